"""A real endpoint on a free port whose behaviour a test decides call by call."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant


@dataclass(frozen=True)
class Reply:
    """What the endpoint does with one call."""

    text: str = "yes"
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    usage: Mapping[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 2})
    resolved_model: str | None = None
    fingerprint: str | None = None


Behaviour = Callable[[str, str, int], Reply]
"""Model, question, and how often this model was asked this question before."""


@dataclass
class Endpoint:
    """Answers as `behaviour` says, and remembers who asked what."""

    url: str = ""
    behaviour: Behaviour = lambda model, question, before: Reply()
    by_request: Callable[[Mapping[str, Any]], Reply] | None = None
    """In place of `behaviour`, from the whole request."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    order: list[tuple[str, str]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Count the call and do with it as told."""
        body = orjson.loads(await request.read())
        model, question = body["model"], body["messages"][-1]["content"]
        before = self.asked[model, question]
        self.asked[model, question] += 1
        self.order.append((model, question))
        self.keys.append(request.headers.get("authorization"))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            chosen = self.behaviour(model, question, before) if self.by_request is None else self.by_request(body)
            return await self._play(request, chosen, streamed=bool(body.get("stream")))
        finally:
            self.under_way -= 1

    async def _play(self, request: web.Request, reply: Reply, *, streamed: bool) -> web.StreamResponse:
        await asyncio.sleep(reply.delay)
        if reply.drop and request.transport is not None:
            request.transport.close()
        headers = dict(reply.headers)
        if reply.body is not None:
            return web.Response(body=reply.body, status=reply.status, headers=headers)
        if streamed and reply.status == HTTPStatus.OK:
            return web.Response(body=events(reply), content_type="text/event-stream", headers=headers)
        return web.Response(body=orjson.dumps(completion(reply)), status=reply.status, headers=headers)


def completion(reply: Reply) -> dict[str, Any]:
    """A chat completion with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": reply.usage, **_resolved(reply)}


def events(reply: Reply) -> bytes:
    """The same as a stream: its text in one event, then what it took."""
    said = {"index": 0, "delta": {"role": "assistant", "content": reply.text}, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
    named = {"id": "c", "object": "chat.completion.chunk", **_resolved(reply)}
    chunks: list[dict[str, Any]] = [{"choices": [said]}, {"choices": [ended]}, {"choices": [], "usage": reply.usage}]
    return b"".join(b"data: %s\n\n" % orjson.dumps({**named, **chunk}) for chunk in chunks) + b"data: [DONE]\n\n"


def _resolved(reply: Reply) -> dict[str, str]:
    """What names the model behind an answer, where it is told."""
    named = {"model": reply.resolved_model, "system_fingerprint": reply.fingerprint}
    return {name: value for name, value in named.items() if value is not None}


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    """An endpoint in a thread with its own event loop."""
    endpoint = Endpoint()
    loop = asyncio.new_event_loop()
    application = web.Application()
    application.router.add_post("/v1/chat/completions", endpoint.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint.url = "http://127.0.0.1:{}/v1".format(*runner.addresses[0][1:])

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def variant(endpoint: str, model: str, **fields: Any) -> Variant:
    """A variant without a prompt of its own on a model of this name."""
    prompt = PromptVersion(name="plain", version="1.0.0", messages=fields.pop("prompt", ()))
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
    version = ModelVersion(name=model, provider="test", model=model, endpoint=endpoint, **{**prices, **fields})
    return Variant(prompt=prompt, model=version)


def instruction(text: str) -> tuple[PromptMessage, ...]:
    """A prompt of one system message."""
    return (PromptMessage(role="system", content=text),)
