"""A provider without delay: a fixed answer for every request, by hand on uvloop to cost next to nothing.

Run as `python -m benchmarks.gateway.provider EVENTS PORT...`. With EVENTS above 0 it streams each chat completion in so
many events, and writes each of them by itself, with a pause of 3 ms behind the first. GET finds what a plain
OpenAI-compatible server has: a health and a list of models.
"""

import asyncio
import sys
from typing import Any, cast

import orjson
import uvloop

from benchmarks.gateway.answers import content_length

_TEXT = "The parcel left our house this morning and arrives tomorrow."
_MODEL = "gpt-4-0613"
_CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": _MODEL,
    "system_fingerprint": "fp_bench",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": _TEXT}}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 12, "total_tokens": 132},
}
_OUTPUT = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": _TEXT, "annotations": []}],
}
_RESPONSES = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": _MODEL,
    "output": [_OUTPUT],
    "usage": {"input_tokens": 120, "output_tokens": 12, "total_tokens": 132},
}
_MESSAGES = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": _MODEL,
    "content": [{"type": "text", "text": _TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 120, "output_tokens": 12},
}
_VECTOR = [round(number / 7 % 1 - 0.5, 7) for number in range(1536)]
_EMBEDDINGS = {
    "object": "list",
    "model": _MODEL,
    "data": [{"object": "embedding", "index": 0, "embedding": _VECTOR}],
    "usage": {"prompt_tokens": 12, "total_tokens": 12},
}
_COMPLETIONS = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1700000000,
    "model": _MODEL,
    "choices": [{"index": 0, "text": _TEXT, "logprobs": None, "finish_reason": "stop"}],
    "usage": _CHAT["usage"],
}
_MODELS = {
    "object": "list",
    "data": [{"id": name, "object": "model", "created": 1700000000, "owned_by": "bench"} for name in ("m", _MODEL)],
}


def _whole(document: object, status: bytes = b"200 OK") -> bytes:
    body = orjson.dumps(document)
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_WHOLE = {
    b"POST /v1/chat/completions": _whole(_CHAT),
    b"POST /v1/responses": _whole(_RESPONSES),
    b"POST /v1/messages": _whole(_MESSAGES),
    b"POST /v1/embeddings": _whole(_EMBEDDINGS),
    b"POST /v1/completions": _whole(_COMPLETIONS),
    b"GET /v1/models": _whole(_MODELS),
    b"GET /health": _whole({}),
}
_UNKNOWN = _whole({"error": {"message": "there is no such path", "code": 404}}, b"404 Not Found")
_PAUSE_SECONDS = 0.003
"""Behind the first event: the load can only see when it comes if this process leaves the core to it."""
_STREAM_HEAD = (  # the third line asks nginx to pass events on as they come
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def whole_answer(path: str) -> bytes:
    """The answer to what is posted to a path."""
    return _WHOLE[b"POST " + path.encode()]


def streamed(events: int) -> list[bytes]:
    """What is written one after the other for a chat completion in so many events, with its end.

    Each event has a word, but for the last two: the finish and the usage.
    """
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": _MODEL}
    deltas: list[dict[str, str]] = [{"content": f" word{number}"} for number in range(events - 2)]
    deltas[0] = {"role": "assistant", "content": ""}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    documents = [{**shared, "choices": [choice]} for choice in choices]
    documents.append({**shared, "choices": [], "usage": _CHAT["usage"]})
    lines = [*(b"data: %b\n\n" % orjson.dumps(document) for document in documents), b"data: [DONE]\n\n"]
    chunks = [b"%x\r\n%b\r\n" % (len(line), line) for line in lines]
    return [_STREAM_HEAD + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


class FixedAnswer(asyncio.Protocol):
    """Answers each request that has a Content-Length or no body, however it is cut into packets."""

    def __init__(self, stream: list[bytes]) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection for as long as the client does."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't derive from it

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while self._is_there():
            asked = bytes(self._buffer[: self._buffer.find(b" HTTP/1.")])
            del self._buffer[: self._whole]
            self._whole = 0
            if self._stream and asked == b"POST /v1/chat/completions":
                self._write(0)
            else:
                self._transport.write(_WHOLE.get(asked, _UNKNOWN))

    def _is_there(self) -> bool:
        if not self._whole and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            self._whole = end + 4 + (content_length(bytes(self._buffer[:end])) or 0)
        return 0 < self._whole <= len(self._buffer)

    def _write(self, number: int) -> None:
        """Write one event; the next in another turn of the loop, so that each is sent by itself."""
        if self._transport.is_closing():
            return
        self._transport.write(self._stream[number])
        if number == 0:
            self._loop.call_later(_PAUSE_SECONDS, self._write, 1)
        elif number + 1 < len(self._stream):
            self._loop.call_soon(self._write, number + 1)


async def _serve(events: int, ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    stream = streamed(events) if events else []
    servers = [await loop.create_server(lambda: FixedAnswer(stream), "127.0.0.1", port, backlog=1024) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
