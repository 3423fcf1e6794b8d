"""A provider without delay: one fixed chat completion for every request, by hand on uvloop to cost next to nothing.

Run as `python -m benchmarks.gateway.provider PORT`.
"""

import asyncio
import sys
from typing import cast

import orjson
import uvloop

_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4-0613",
    "system_fingerprint": "fp_bench",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "The parcel left our house this morning and arrives tomorrow."},
        }
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132},
}
_BODY = orjson.dumps(_ANSWER)
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(_BODY)).encode()
    + b"\r\n\r\n"
    + _BODY
)


class FixedAnswer(asyncio.Protocol):
    """Answers each request that has a Content-Length, however it is cut into packets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection for as long as the client does."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't derive from it
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + content_length(self._buffer[:end])
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            self._transport.write(_RESPONSE)


def content_length(head: bytes) -> int:
    """The Content-Length of a head, 0 where it has none."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(FixedAnswer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
