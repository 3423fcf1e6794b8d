"""The endpoint that all runners call: every answer comes after 50 ms, and says `yes`.

A hand-written asyncio server, so that on two cores the measuring doesn't measure the endpoint. As a program it
prints its port, and counts requests and the most that were under way at once at `GET /count`.
"""

import asyncio
import json
import sys
from typing import Any

LATENCY_SECONDS = 0.05
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
    }
).encode()


class _Connection(asyncio.Protocol):
    """Reads requests one after another; knows no more of HTTP than clients with a body of known length need."""

    requests = 0
    under_way = 0
    most = 0

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self.buffer) < end + 4 + length:
                return
            del self.buffer[: end + 4 + length]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        kind = type(self)
        if head.startswith(b"get /count"):
            self._send(json.dumps({"requests": _Connection.requests, "most": _Connection.most}).encode())
            _Connection.requests = _Connection.most = 0
            return
        kind.requests += 1
        kind.under_way += 1
        kind.most = max(kind.most, kind.under_way)
        asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._finish)

    def _finish(self) -> None:
        _Connection.under_way -= 1
        self._send(_ANSWER)

    def _send(self, body: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.install()
    asyncio.run(_serve())
