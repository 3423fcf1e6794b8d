"""Texts with what must be cut out of them, and texts in which nothing must be."""

PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7/b+c=\n-----END RSA PRIVATE KEY-----"
_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

SECRETS: dict[str, tuple[str, ...]] = {
    "email": (
        "anna@example.com",
        "anna.b+shop@mail.example.co.uk",
        "kundenservice@müller-söhne.de",
        "o_brien-77@sub.example.org",
    ),
    "phone": (
        "+49 30 901820",
        "+1 (415) 555-2671",
        "0171 1234567",
        "0171/1234567",
        "(030) 1234-567",
        "555-123-4567",
        "+442079460958",
        "0044 20 7946 0958",
        "(+49) 171 1234567",
    ),
    "iban": (
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "de89370400440532013000",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NO93 8601 1117 947",
        "MT84MALT011000012345MTLCAST001S",
    ),
    "credit_card": (
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "378282246310005",
        "6011000990139424",
    ),
    "ip_address": (
        "192.168.0.1",
        "8.8.8.8",
        "2001:db8:85a3::8a2e:370:7334",
        "fe80::1",
        "::1",
        "::ffff:10.0.0.7",
    ),
    "api_key": (
        "sk-proj-abcdefghijklmnopqrstuvwx0123456789",
        "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWx_yz",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-123456789012-abcdefghij",
        "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
        "sk_live_abcdefghijklmnopqrstuvwx",
        "glpat-abcdefghij0123456789",
        _TOKEN,
        PRIVATE_KEY,
    ),
}
"""What must be found, by the pattern that must find it."""

SENTENCES = (
    "{}",
    "It is {}.",
    "Please use {}, thank you",
    "mine is ({}) and nothing else",
    "first line\n{}\nlast line",
    'he wrote "{}" yesterday',
)

HARMLESS = (
    "We met on 2026-11-30 at 10:24:15, and again on 01.12.2026 10:30.",
    "It costs 1,299,000.50 dollars, or 1.299.000,00 EUR.",
    "Order 123456789 of 12 345 678 people; reference 4111111111111112.",
    "Pi is 3.14159265358979, and 0.12345678 is not.",
    "ISBN 978-3-16-148410-0, pages 100-200, the war of 1914-1918.",
    "Use std::vector<int> and abc::de in C++, and a[1:20:3] in Python.",
    "Version 2.10.3 replaces 2.9.14; see section 1.2.3.",
    "(1) 100 200 300 and (2) 400 500 600",
    "Follow @anna, or write me @ the shop; a@b is no address.",
    "DE89 is a road, and DE12 3456 7890 1234 5678 90 has wrong check digits.",
    "The key sk-1 is short, and skeleton-key-of-the-house-on-the-hill is a title.",
    "16 groups: 1234 5678 9012 3456 7890 1234 and 2024 2025 2026 2027.",
    "commit 9fe0472a5896e6d9540adb7e and sha256:0123456789abcdef0123456789abcdef",
    "In 10 seconds: 3, 2, 1, 0. Then 24/7 and 50/50.",
    "https://example.com/orders/20261130/0123456789?page=2",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
)
"""What looks a little like a secret, and is none."""
