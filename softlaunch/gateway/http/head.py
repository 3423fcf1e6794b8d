"""Heads of requests: what of them could be read in two ways is refused, and an upgrade that is offered is declined."""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

import httptools

from softlaunch.gateway.http.cycle import status_line
from softlaunch.gateway.wire import Fault, error_body

RawHeaders = Sequence[tuple[bytes, bytes]]

_VERSIONS = ("1.0", "1.1")
_UNUSUAL = frozenset({b"transfer-encoding", b"expect"})
_FRAMING = _UNUSUAL | {b"host"}
_USUAL_TARGET = 128  # bytes; longer ones aren't remembered
_OFFER = frozenset({b"upgrade", b"http2-settings"})


class RefusedHeadError(Exception):
    """A request that isn't handed to the application; raised through the parser, which it stops."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_framing(headers: RawHeaders, version: str) -> bool:
    """Whether the client waits for 100 before its body; names are in lower case.

    llhttp has refused already what is no HTTP, two lengths, and a length beside chunks. Raises RefusedHeadError.
    """
    if version not in _VERSIONS:
        raise RefusedHeadError(505, "send HTTP/1.1")
    names = {name for name, _ in headers}
    if len(names) == len(headers) and names.isdisjoint(_UNUSUAL):
        return False
    of_framing = [(name, value.strip().lower()) for name, value in headers if name in _FRAMING]
    if sum(name == b"host" for name, _ in of_framing) > 1:
        raise RefusedHeadError(400, "a request names its Host once")
    for name, value in of_framing:
        if name == b"transfer-encoding" and (value != b"chunked" or version == "1.0"):
            raise RefusedHeadError(501, "the only Transfer-Encoding that is known is chunked, in HTTP/1.1")
        if name == b"expect" and value != b"100-continue":
            raise RefusedHeadError(417, "the only expectation that is known is 100-continue")
    return version == "1.1" and any(name == b"expect" for name, _ in of_framing)


def read_target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target. Raises RefusedHeadError."""
    return _usual_target(url) if len(url) <= _USUAL_TARGET else _target(url)


def _target(url: bytes) -> tuple[str, bytes, bytes]:
    try:
        target = httptools.parse_url(url)
        raw_path = target.path or b"/"
        path = raw_path.decode("ascii")
    except (httptools.HttpParserError, UnicodeDecodeError):
        raise RefusedHeadError(400, "the request's target is no URL") from None
    return unquote(path) if "%" in path else path, raw_path, target.query or b""


_usual_target = lru_cache(maxsize=1024)(_target)


def without_upgrade(method: bytes, url: bytes, version: str, headers: RawHeaders) -> bytes:
    """A head again, without its offer to speak another protocol. Raises RefusedHeadError for CONNECT."""
    if method == b"CONNECT":
        raise RefusedHeadError(405, "this is no proxy; send the request itself")
    lines = [method, b" ", url, b" HTTP/", version.encode(), b"\r\n"]
    for name, value in headers:
        if name not in _OFFER:
            lines += (name, b": ", _kept(value) if name == b"connection" else value, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def size_of_head(url: bytes, headers: RawHeaders) -> int:
    """About how many bytes it took on the wire."""
    return len(url) + sum(len(name) + len(value) for name, value in headers)


def refusal(status: int, message: str, *, code: str = "invalid_http", headers: bytes = b"") -> bytes:
    """A whole answer, after which the connection is closed."""
    body = error_body(Fault(message, "server_error" if status >= 500 else "invalid_request_error", code))
    head = b"content-type: application/json\r\n%bcontent-length: %d\r\nconnection: close\r\n\r\n" % (headers, len(body))
    return status_line(status) + head + body


def _kept(connection: bytes) -> bytes:
    tokens = (token.strip() for token in connection.split(b","))
    return b", ".join(token for token in tokens if token and token.lower() not in _OFFER) or b"keep-alive"
