"""The patterns that come along: what is found in a text, and how much of it. Each takes time in proportion to the text.

A pattern finds what looks like it, and a check says how many characters of that it really is: what has check digits
(cards, IBANs) or a strict form (addresses) is cut out only where it holds.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from types import MappingProxyType


class PatternName(StrEnum):
    """What comes along, in the order in which it is looked for: what could be two of them is the first."""

    API_KEY = "api_key"
    EMAIL = "email"
    IBAN = "iban"
    CREDIT_CARD = "credit_card"
    IP_ADDRESS = "ip_address"
    PHONE = "phone"


def _whole(found: str) -> int:
    return len(found)


@dataclass(frozen=True, slots=True)
class NamedPattern:
    """What is looked for, and how many of the found characters, from the first, are it: 0 for none."""

    expression: re.Pattern[str]
    length: Callable[[str], int] = _whole

    def sub(self, placeholder: str, text: str) -> str:
        """The text with a placeholder for each that is found."""

        def replaced(match: re.Match[str]) -> str:
            found = match[0]
            size = self.length(found)
            return placeholder + found[size:] if size else found

        return self.expression.sub(replaced, text)


_SHORTEST_IBAN, _LONGEST_IBAN = 15, 34
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15  # of a telephone number; E.164 has the latter
_DATE = r"(?:\d{1,2}([./-])\d{1,2}\1\d{4}|\d{4}([./-])\d{1,2}\2\d{1,2})(?!\d)"
_BETWEEN = r"(?: ?\(|\) ?| ?[./-] ?| )?"  # digits of one number; two blanks stand between two numbers
_BEGINNING = r"(?:\(\+?\d{2,5}\)|\+ ?\(?\d|\d)"
_DECIMAL = re.compile(r"\d+[.]\d+")
_PREFIXED = re.compile(r"\+|00|0\d|\(\+?\d{2,5}\)")
_NORTH_AMERICAN = re.compile(r"1?[ .-]?[2-9]\d{2}[ .-]\d{3}[ .-]\d{4}")


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _word_ends(found: str, shortest: int) -> Iterator[str]:
    """The beginnings that end with a word, the longest first: what was found may go on into the next words."""
    for end in range(len(found), shortest - 1, -1):
        if end == len(found) or (found[end - 1].isalnum() and not found[end].isalnum()):
            yield found[:end]


def _iban(found: str) -> int:
    """The longest beginning whose check digits hold (ISO 7064, modulo 97)."""
    for part in _word_ends(found, _SHORTEST_IBAN):
        account = "".join(character for character in part if character.isalnum()).upper()
        if not (account.isascii() and _SHORTEST_IBAN <= len(account) <= _LONGEST_IBAN):
            continue
        turned = account[4:] + account[:4]
        if int("".join(str(int(character, 36)) for character in turned)) % 97 == 1:
            return len(part)
    return 0


def _card(found: str) -> int:
    """The longest beginning whose check digit holds (Luhn)."""
    for part in _word_ends(found, _SHORTEST_CARD):
        digits = [int(character) for character in _digits(part)]
        doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
        fits = _SHORTEST_CARD <= len(digits) <= _LONGEST_CARD and len(set(digits)) > 1
        if fits and (sum(digits[-1::-2]) + doubled) % 10 == 0:
            return len(part)
    return 0


def _phone(found: str) -> int:
    """The longest beginning with the digits of a telephone number, where it begins or is written like one."""
    for part in _word_ends(found, _FEWEST_DIGITS):
        fits = _FEWEST_DIGITS <= len(_digits(part)) <= _MOST_DIGITS and not _DECIMAL.fullmatch(part)
        if fits and (_PREFIXED.match(part) or _NORTH_AMERICAN.fullmatch(part)):
            return len(part)
    return 0


def _address(found: str) -> int:
    """All of it, but for a colon or a full stop at its end, where it is an IPv4 or an IPv6 address."""
    stripped = found.rstrip(".:") if not found.endswith("::") else found
    try:
        ip_address(stripped)
    except ValueError:
        return 0
    return len(stripped) if any(character.isdigit() for character in stripped) else 0


_API_KEYS = (
    r"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    r"AIza[A-Za-z0-9_-]{35,}",  # Google
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}",
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}",  # SendGrid
    r"eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,}",  # JSON web tokens
)
_PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"

PATTERNS: Mapping[PatternName, NamedPattern] = MappingProxyType(
    {
        PatternName.API_KEY: NamedPattern(re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_API_KEYS)})|{_PRIVATE_KEY}")),
        PatternName.EMAIL: NamedPattern(re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}")),
        PatternName.IBAN: NamedPattern(
            re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,40}(?![A-Za-z0-9])"), _iban
        ),
        PatternName.CREDIT_CARD: NamedPattern(re.compile(r"(?<![\w-])[2-6](?:[ -]?\d){12,18}(?!-?\d)"), _card),
        PatternName.IP_ADDRESS: NamedPattern(
            re.compile(
                r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d|\w)"
                r"|(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?!\w|\.\d))"
            ),
            _address,
        ),
        PatternName.PHONE: NamedPattern(
            re.compile(rf"(?<![\w@#/-])(?<!\d[.,:])(?!{_DATE}){_BEGINNING}(?:{_BETWEEN}\d){{5,17}}(?![\w@]|[.,]\d)"),
            _phone,
        ),
    }
)
