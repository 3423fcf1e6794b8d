"""Pieces of HTTP that tests send to the gateway, and the tight limits that they meet."""

import orjson
import pytest

from softlaunch.gateway.limits import Limits
from tests.gateway.worlds import APP

KEY = "first-key"
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
STORED = f"{RESPONSES}/resp_1_sl{'0' * 22}-{APP}"
"""The path of a response that nobody gave."""
QUICK = Limits(
    head_seconds=1.0,
    head_bytes=4096,
    body_bytes=200_000,
    body_seconds=3.0,
    body_grace_seconds=0.6,
    body_rate=20_000,
    linger_seconds=1.5,
    requests_bytes=300_000,
    connections=16,
    route_poll_seconds=0.05,
    heartbeat_seconds=0.1,
)
OTHER_APIS = [pytest.param(path, marks=pytest.mark.long) for path in (RESPONSES, MESSAGES)]
_HI = [{"role": "user", "content": "Hi"}]
BODY = orjson.dumps({"model": APP, "messages": _HI, "input": _HI})
"""A request of any API: what it doesn't know is passed on."""
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""A request behind which the gateway closes, so that nobody waits to see that nothing else comes."""
H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQBAAAAAAIAAAAA"}
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "eA==",
    "Sec-WebSocket-Version": "13",
}
CHUNKED = {"Transfer-Encoding": "chunked"}


def aimed(request: bytes, path: str) -> bytes:
    """A request at chat completions, at another path."""
    return request.replace(CHAT.encode(), path.encode())


def chunks(*parts: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
