"""Pieces of HTTP that tests send to the gateway, and the tight limits that they meet."""

import orjson

from softlaunch.gateway.limits import Limits
from tests.gateway.worlds import APP

KEY = "first-key"
CHAT = "/v1/chat/completions"
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
BODY = orjson.dumps({"model": APP, "messages": [{"role": "user", "content": "Hi"}]})
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


def chunks(*parts: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
