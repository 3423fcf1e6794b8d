"""Real servers on free ports: gateways of ours, and a provider whose faults are on command."""

import asyncio
import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import brotli
import httpx
import orjson
from aiohttp import web
from backports import zstd

from softlaunch.gateway.limits import Limits
from softlaunch.gateway.server import GatewayOptions, build_server
from softlaunch.store.migrate import open_database

START_SECONDS = 20.0


@contextmanager
def running_gateway(
    database_url: str,
    *,
    limits: Limits | None = None,
    client_keys: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    show_arm: bool = True,
    **options: Any,
) -> Iterator[str]:
    """A gateway in a thread, on a migrated ledger; gives its base URL without `/v1`. It tells clients their arm.

    It has read its routes when this returns, and has written its log when the block is left.
    """
    database = open_database(database_url)
    given = GatewayOptions(
        port=0, log_level="error", client_keys=client_keys, limits=limits or Limits(), show_arm=show_arm, **options
    )
    server, listener = build_server(database, given, environment)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the gateway starts")
        wait_until(lambda: httpx.get(f"{url}/healthz", verify=False).is_success, "the gateway has read its routes")
        yield url
    finally:
        server.should_exit = True
        thread.join()
        database.close()


def wait_until(happened: Any, what: str, seconds: float = START_SECONDS) -> None:
    """Return as soon as a condition is met; fail with what was awaited."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.02)


@dataclass
class FakeModels:
    """A provider's models: each answers by its name, unless `faults` says what it does instead.

    Faults: `500`, `429`, `400`, `401`, `307` (that status; the last leads to the same address), `hang` (no answer),
    `slow` (half a second late), `html`, `empty`, `drop` (the connection is closed), `filtered` and `mute` (whole
    answers without words), `no usage` (400 for whoever asks for usage), and for streams `cut` (ends early), `no json`
    (a broken event), `drop`, `stall` (one event, then nothing), `error event`, `document` (a whole answer in place of
    the stream), `silent` (no event), `pings` (comments, then the answer), `pauses` (a word, and the rest
    later), `never ends` (the connection stays open behind the end). `late` and a second fault: that one after a second
    and a half.

    Answers carry `answer_headers`, and are compressed by `coding` (br, zstd or gzip) where it is set.
    """

    url: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What a model says in a chat in place of its name: the message of its answer, and `finish_reason`."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    under_way: Counter[str] = field(default_factory=Counter)
    most_under_way: Counter[str] = field(default_factory=Counter)
    answer_headers: dict[str, str] = field(default_factory=dict)
    coding: str = ""

    @property
    def endpoint(self) -> str:
        """The base URL that a model version names."""
        return f"{self.url}/v1"

    def forget(self) -> None:
        """Be as at the start, at the same address: nothing asked, and nothing commanded; what is under way goes on."""
        fresh = FakeModels(url=self.url)
        for one in fields(self):
            if one.name != "under_way":
                setattr(self, one.name, getattr(fresh, one.name))

    def asked(self, model: str) -> int:
        """How often a model was asked."""
        return sum(body["model"] == model for body in self.bodies)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of any API, or fail it as commanded; streams are chat completions."""
        body = orjson.loads(await request.read())
        model = body["model"]
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.under_way[model] += 1
        self.most_under_way[model] = max(self.most_under_way[model], self.under_way[model])
        try:
            return await self._answer(request, body, self.faults.get(model, ""))
        finally:
            self.under_way[model] -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any], fault: str) -> web.StreamResponse:
        if fault.startswith("late"):
            await asyncio.sleep(1.6)
            fault = fault.removeprefix("late").strip()
        if fault == "no usage" and "stream_options" in body:
            fault = "400"
        if fault in {"hang", "slow"}:
            await asyncio.sleep(3600 if fault == "hang" else 0.5)
        if fault == "drop" and request.transport is not None:
            request.transport.close()
        if self.coding:
            return self._packed(body)
        return _whole(body["model"], fault) or await self._whole_or_stream(request, body, fault)

    async def _whole_or_stream(self, request: web.Request, body: dict[str, Any], fault: str) -> web.StreamResponse:
        if body["model"] in self.messages:
            return await self._say(request, body, dict(self.messages[body["model"]]))
        return (
            await self._stream(request, body, fault)
            if body.get("stream") and fault != "document"
            else web.json_response(document(request.path, body["model"]), headers=self.answer_headers)
        )

    async def _say(self, request: web.Request, body: dict[str, Any], message: dict[str, Any]) -> web.StreamResponse:
        finish = message.pop("finish_reason", "tool_calls" if "tool_calls" in message else "stop")
        if not body.get("stream"):
            answer = completion(body["model"])
            choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": None, **message}}
            return web.json_response({**answer, "choices": [choice]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
        for delta, end in [*((piece, None) for piece in _pieces(message)), ({}, finish)]:
            await response.write(_event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _packed(self, body: dict[str, Any]) -> web.Response:
        """A whole answer or stream in one piece, compressed."""
        stream = bool(body.get("stream"))
        content = b"".join(stream_events(body)) if stream else orjson.dumps(completion(body["model"]))
        kind = "text/event-stream" if stream else "application/json"
        coded = {"br": brotli.compress, "zstd": zstd.compress, "gzip": gzip.compress}[self.coding](content)
        return web.Response(body=coded, headers={"Content-Type": kind, "Content-Encoding": self.coding})

    async def _stream(self, request: web.Request, body: dict[str, Any], fault: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **self.answer_headers})
        await response.prepare(request)
        if fault == "silent":
            await asyncio.sleep(3600)
        if fault == "pings":
            for _ in range(6):
                await response.write(b": ping\n\n")
                await asyncio.sleep(0.25)
        for number, event in enumerate(stream_events(body)):
            if number == 2 and fault in {"cut", "no json", "drop", "stall", "error event"}:
                return await self._break_off(request, response, fault)
            await response.write(event)
            await asyncio.sleep(1.5 if number == 1 and fault == "pauses" else 0.001)
        if fault == "never ends":
            await asyncio.sleep(3600)
        return response

    async def _break_off(self, request: web.Request, response: web.StreamResponse, fault: str) -> web.StreamResponse:
        if fault == "stall":
            await asyncio.sleep(3600)
        if fault == "drop" and request.transport is not None:
            request.transport.close()
        if fault == "no json":
            await response.write(b"data: {broken\n\n")
        if fault == "error event":
            await response.write(b'data: {"error": {"message": "overloaded"}}\n\n')
        return response


def _pieces(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message as a stream has it: names first, then texts and arguments in pieces of seven characters."""
    for key, value in message.items():
        if key != "tool_calls":
            yield from ({key: value[start : start + 7]} for start in range(0, len(value), 7))
            continue
        for index, call in enumerate(value):
            arguments = call["function"]["arguments"]
            yield {key: [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]}
            for start in range(0, len(arguments), 7):
                yield {key: [{"index": index, "function": {"arguments": arguments[start : start + 7]}}]}


def _whole(model: str, fault: str) -> web.Response | None:
    """The faults that are answers of their own."""
    if fault.isdigit():
        error = {"error": {"message": f"fault {fault}", "type": "fault", "param": None, "code": None}}
        elsewhere = {"Location": "/v1/chat/completions?elsewhere"} if fault.startswith("3") else {}
        return web.json_response(error, status=int(fault), headers={"Retry-After": "7", **elsewhere})
    if fault in {"html", "empty"}:
        return web.Response(text="<html>\n\n" if fault == "html" else "{}\n\n")
    if fault in {"filtered", "mute"}:
        return web.json_response(wordless(model, "content_filter" if fault == "filtered" else "stop"))
    return None


def completion(model: str) -> dict[str, Any]:
    """A whole answer of a model."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": f"{model}-resolved",
        "system_fingerprint": f"fp_{model}",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"I am {model}."},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def response(model: str) -> dict[str, Any]:
    """A whole answer of the Responses API."""
    part = {"type": "output_text", "text": f"I am {model}.", "annotations": []}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": f"{model}-resolved",
        "output": [message],
        "usage": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
    }


def message(model: str) -> dict[str, Any]:
    """A whole answer of the Messages API."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-resolved",
        "content": [{"type": "text", "text": f"I am {model}."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 10},
    }


_DOCUMENTS = {"/v1/chat/completions": completion, "/v1/responses": response, "/v1/messages": message}


def document(path: str, model: str) -> dict[str, Any]:
    """A whole answer to a request at this path."""
    return _DOCUMENTS[path](model)


def wordless(model: str, finish_reason: str) -> dict[str, Any]:
    """A whole answer that says nothing."""
    answer = completion(model)
    answer["choices"] = [{"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": ""}}]
    return answer


def stream_events(body: Mapping[str, Any]) -> Iterator[bytes]:
    """The same answer as a stream: role, words, finish, usage where it was asked for, and the end."""
    model = body["model"]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": f"{model}-resolved"}
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in ("I ", "am ", f"{model}.")]
    deltas.append(({}, "stop"))
    for delta, finish in deltas:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event({**head, "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}})
    yield b"data: [DONE]\n\n"


def _event(content: object) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


@contextmanager
def running_models(given: FakeModels | None = None) -> Iterator[FakeModels]:
    """A provider in a thread with its own event loop."""
    models = given or FakeModels()
    loop = asyncio.new_event_loop()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    for path in _DOCUMENTS:
        application.router.add_post(path, models.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        models.url = "http://127.0.0.1:{}".format(*runner.addresses[0][1:])

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield models
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def forgetful_provider(together: int = 3) -> Iterator[str]:
    """A provider that answers one request a connection, and closes it when it is used again; gives its endpoint.

    The first `together` answers come together, so that so many connections are open, and lie idle, at once.
    """
    answer = orjson.dumps(completion("stable"))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
    waiting: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in request.splitlines() if line.lower().startswith(b"content-l")
        )
        await reader.readexactly(length)
        waiting.append(asyncio.Event())
        if len(waiting) >= together:
            for event in waiting:
                event.set()
        await waiting[-1].wait()
        writer.write(head + answer)
        await writer.drain()
        await reader.read(1)
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
