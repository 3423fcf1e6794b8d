"""Requests with faults in them, drawn from a seed: bytes changed, lines doubled, values of other kinds."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

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
_RESPONSE = {
    "model": APP,
    "instructions": "Be kind.",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
    "previous_response_id": "resp_1",
    "user": "ann",
    "stream": False,
    "temperature": 0.5,
    "max_output_tokens": 10,
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "text"}},
    "metadata": {"user_id": "ann"},
    "variables": {"name": "Ann"},
}
_MESSAGE = {
    "model": APP,
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "stream": False,
    "temperature": 0.5,
    "max_tokens": 10,
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "thinking": {"type": "disabled"},
    "output_config": {"format": {"type": "text"}},
    "metadata": {"user_id": "ann"},
    "variables": {"name": "Ann"},
}
_TEXT = {
    "model": APP,
    "prompt": ["Hi", "Ho"],
    "user": "ann",
    "stream": False,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "max_tokens": 10,
    "n": 1,
    "logit_bias": {"1": 2},
    "variables": {"name": "Ann"},
}
_VECTORS = {
    "model": APP,
    "input": [[1, 2], [3]],
    "user": "ann",
    "dimensions": 2,
    "encoding_format": "float",
    "metadata": {"session_id": "s"},
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


@dataclass(frozen=True)
class Target:
    """What faults are put into: requests of these lines, with this body where they have one."""

    lines: tuple[str, ...]
    body: Mapping[str, object] | None
    nested: str = "messages"
    """The field of the body that holds the conversation."""


CHAT = Target(("POST /v1/chat/completions HTTP/1.1",), _CHAT)
RESPONSES = Target(("POST /v1/responses HTTP/1.1",), _RESPONSE, "input")
MESSAGES = Target(("POST /v1/messages HTTP/1.1", "POST /v1/messages/count_tokens HTTP/1.1"), _MESSAGE)
_OF_AZURE = f"POST /openai/deployments/{APP}/{{}}?api-version=2024-10-21 HTTP/1.1"
COMPLETIONS = Target(("POST /v1/completions HTTP/1.1", _OF_AZURE.format("completions")), _TEXT, "prompt")
EMBEDDINGS = Target(("POST /v1/embeddings HTTP/1.1", _OF_AZURE.format("embeddings")), _VECTORS, "input")


def stored(known: str) -> Target:
    """The endpoints below the response that clients know by this id."""
    below = ("GET {}", "GET {}?stream=true", "GET {}/input_items?limit=%ff&after=a", "POST {}/cancel", "DELETE {}")
    return Target(tuple(f"{line.format(f'/v1/responses/{known}')} HTTP/1.1" for line in below), None)


def mutated(seed: int, target: Target = CHAT) -> bytes:
    """A request with up to four faults; the same seed makes the same one."""
    draw = random.Random(seed)
    feedback = draw.random() < 0.15
    line = "POST /v1/feedback HTTP/1.1" if feedback else draw.choice(target.lines)
    given = _FEEDBACK if feedback else target.body
    body = b"" if given is None else _mutated_body(draw, dict(given), target.nested)
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


def _mutated_body(draw: random.Random, body: dict[str, object], nested: str) -> bytes:
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        name = draw.choice([*body, nested, "x"])
        if draw.random() < 0.2:
            body.pop(name, None)
        elif name == nested and draw.random() < 0.7:
            body[name] = [{draw.choice(("role", "content", "tool_calls", "type", "")): draw.choice(_VALUES)}]
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
