"""Where a request goes: the origin that connections are kept for, and the first lines of the request."""

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from yarl import URL

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A host, its port, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool


class Target(NamedTuple):
    """A URL as a request names it: its origin, and the head that its requests begin with, apart from the method."""

    origin: Origin
    line: str
    """`/v1/chat/completions HTTP/1.1` and the header `Host`, each with its line end."""
    authorization: str | None
    """From a user's name in the URL; None where there is none."""


@lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """Raises ValueError for what is no URL of an HTTP server."""
    parsed = URL(url)
    host, scheme = parsed.raw_host, parsed.scheme
    if not host or scheme not in _PORTS:
        raise ValueError(f"no URL of an HTTP server: {url}")
    port = parsed.port or _PORTS[scheme]
    named = f"[{host}]" if ":" in host else host
    where = named if port == _PORTS[scheme] else f"{named}:{port}"
    line = f"{parsed.raw_path_qs} HTTP/1.1\r\nhost: {where}\r\n"
    user = None
    if parsed.raw_user:
        pair = f"{unquote(parsed.raw_user)}:{unquote(parsed.raw_password or '')}"
        user = f"Basic {b64encode(pair.encode()).decode()}"
    return Target(Origin(host, port, scheme == "https"), line, user)


def request_bytes(method: str, target: Target, headers: Mapping[str, str], content: bytes) -> bytes:
    """A whole request. Header names are in lower case, and values printable ASCII as `is_header_value` has it."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if target.authorization is not None and "authorization" not in headers:
        lines.append(f"authorization: {target.authorization}\r\n")
    head = f"{method} {target.line}{''.join(lines)}content-length: {len(content)}\r\n\r\n"
    return head.encode("ascii") + content
