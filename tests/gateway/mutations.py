"""Requests with faults in them, drawn from a seed: bytes changed, lines doubled, values of other kinds."""

import random

import orjson

from tests.gateway.raw_client import head
from tests.gateway.worlds import APP

KEY = "first-key"
_CHAT = {
    "model": APP,
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ],
    "user": "ann",
    "stream": False,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "max_tokens": 10,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "metadata": {"user_id": "ann"},
    "variables": {"name": "Ann"},
}
_FEEDBACK = {"request_id": f"{APP}-{'0' * 32}", "thumbs": "up"}
_VALUES: list[object] = [
    None, True, False, 0, -1, 2**63, 2**64 - 1, 1.5, -1e308, "", "x", "\x00", "é" * 50, "\u202e", "a" * 5000,
    [], {}, [[]], [None], {"": None}, ["x"] * 300, {"x": {"y": {"z": []}}}, "support-bot", "../..", "{{ 7 * 7 }}",
]  # fmt: skip
_RAW = [
    b"[" * 300 + b"]" * 300,
    b"[" * 1010 + b"]" * 1010,
    b"1" * 400,
    b"1e999",
    b'"\\ud800"',
    b'"\xff"',
    b"NaN",
    b"",
    b"{",
]
_HEADERS = [
    ("Content-Length", "5"), ("Content-Length", "99999999"), ("Content-Length", "-1"), ("Transfer-Encoding", "chunked"),
    ("Transfer-Encoding", "gzip"), ("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Connection", "close"),
    ("Expect", "100-continue"), ("Expect", "\xff"), ("Host", "\xff"), ("Authorization", "Bearer \xff\xfe"),
    ("Authorization", "Basic"), ("x-user-id", "\xff" * 100), ("x-softlaunch-unit-signature", "\xff"), ("", "x"),
    ("X", "\x00"), ("X" * 300, "x" * 3000), ("Cookie", "a\r\n b"), ("traceparent", "\xe9"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "\xff"), ("Accept-Encoding", "\xff"), ("Content-Type", "text/\xff"), ("Origin", "\xff"),
    ("Idempotency-Key", "\x7f"), ("X-Request-ID", "\xe9" * 500),
]  # fmt: skip
_LINES = [
    "POST /v1/chat/completions HTTP/1.1", "POST /v1/chat/completions/ HTTP/1.1", "GET /v1/models HTTP/1.1",
    "GET /v1/models/%ff%00%2e HTTP/1.1", "GET /healthz HTTP/1.1", "HEAD /healthz HTTP/1.1", "GET /metrics HTTP/1.0",
    "OPTIONS * HTTP/1.1", "DELETE /v1/feedback HTTP/1.1", "CONNECT x:1 HTTP/1.1", "GET /\xff HTTP/1.1",
    "GET //// HTTP/1.1",
    "POST http://x/v1/chat/completions?a=%ff HTTP/1.1", "GET /%ed%a0%80 HTTP/1.1", "GET /?%00 HTTP/1.1",
    "TRACE / HTTP/1.1",
]  # fmt: skip


def mutated(seed: int) -> bytes:
    """A request with up to four faults; the same seed makes the same one."""
    draw = random.Random(seed)
    feedback = draw.random() < 0.15
    body = _mutated_body(draw, dict(_FEEDBACK if feedback else _CHAT))
    line = f"POST /v1/{'feedback' if feedback else 'chat/completions'} HTTP/1.1"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if draw.random() < 0.9:
        headers.insert(0, ("Authorization", f"Bearer {KEY}"))
    for _ in range(draw.choice((0, 0, 1, 2))):
        headers.insert(draw.randrange(len(headers) + 1), draw.choice(_HEADERS))
    if draw.random() < 0.15:
        line = draw.choice(_LINES)
    if draw.random() < 0.1:
        headers = [pair for pair in headers if pair[0] != "Content-Length"] + [("Transfer-Encoding", "chunked")]
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return _mutated_bytes(draw, head(headers, line) + body)


def _mutated_body(draw: random.Random, body: dict[str, object]) -> bytes:
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        name = draw.choice([*body, "messages", "x"])
        if draw.random() < 0.2:
            body.pop(name, None)
        elif name == "messages" and draw.random() < 0.7:
            body[name] = [{draw.choice(("role", "content", "tool_calls", "")): draw.choice(_VALUES)}]
        else:
            body[name] = draw.choice(_VALUES)
    content = orjson.dumps(body)
    if draw.random() < 0.15:
        content = content.replace(draw.choice((b'"ann"', b'"Be kind."', b"0.5", b'"Hi"', b'"up"')), draw.choice(_RAW))
    return content


def _mutated_bytes(draw: random.Random, request: bytes) -> bytes:
    changed = bytearray(request)
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        at = draw.randrange(len(changed))
        kind = draw.randrange(4)
        if kind == 0:
            changed[at] = draw.randrange(256)
        elif kind == 1:
            del changed[at : at + draw.randrange(1, 20)]
        elif kind == 2:
            changed[at:at] = changed[at : at + draw.randrange(1, 60)]
        else:
            changed[at:at] = draw.choice((b"\r\n", b"\n", b"\r", b"\x00", b"\r\n\r\n", b" ", b"\xff"))
        if not changed:
            break
    return bytes(changed)
