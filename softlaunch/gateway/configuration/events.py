"""Server-sent events, and tokens with which a browser may listen to them: it can send no header there."""

import hashlib
import hmac
from collections.abc import Sequence

from softlaunch.gateway.wire import Headers

EVENT_STREAM: Headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
_TOKEN_SECONDS = 86_400.0


def event(name: str, content: bytes, number: str = "") -> bytes:
    """One event; `content` is a line, as JSON is that orjson writes."""
    identified = f"id: {number}\n" if number else ""
    return f"{identified}event: {name}\ndata: ".encode() + content + b"\n\n"


def listening_token(key: bytes, now: float) -> str:
    """What lets whoever has it listen for a day, and nothing else."""
    until = f"{int(now + _TOKEN_SECONDS):x}"
    return f"{until}.{_mac(key, until)}"


def may_listen(token: str, keys: Sequence[bytes], now: float) -> bool:
    """Whether one of the keys has made this token, not too long ago."""
    until, _, mac = token.partition(".")
    try:
        is_over = int(until, 16) < now
    except ValueError:
        return False
    return not is_over and any(hmac.compare_digest(mac.encode(), _mac(key, until).encode()) for key in keys)


def _mac(key: bytes, until: str) -> str:
    return hmac.new(key, f"softlaunch events until {until}".encode(), hashlib.sha256).hexdigest()
