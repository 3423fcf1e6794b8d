"""A provider that answers every path with what a test gives it, and keeps what it was asked."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson
from aiohttp import web


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        """Its document."""
        body: dict[str, Any] = orjson.loads(self.content)
        return body


@dataclass
class RecordedProvider:
    """Answers by the model that a request names, or by `""`: a status, a media type and bytes.

    One that is `silent` answers nothing, one that `stalls` never ends its answers, and one with `cuts` sends them in
    pieces that end there.
    """

    url: str = ""
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    silent: bool = False
    stalls: bool = False
    cuts: tuple[int, ...] = ()
    under_way: int = 0

    @property
    def endpoint(self) -> str:
        """The base URL that a model version names."""
        return f"{self.url}/v1"

    def answer_with(self, document: object, *, model: str = "", status: int = 200) -> None:
        """Answer with a document from now on."""
        self.answers[model] = (status, "application/json", orjson.dumps(document))

    def stream(self, content: bytes, *, model: str = "") -> None:
        """Answer with a stream of events from now on."""
        self.answers[model] = (200, "text/event-stream; charset=utf-8", content)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.under_way += 1
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.path_qs, dict(request.headers), await request.read())
        self.asked.append(asked)
        model = asked.body.get("model", "") if asked.content else ""
        status, kind, content = self.answers.get(model) or self.answers[""]
        if self.silent:
            await asyncio.sleep(3600)
        if not (self.stalls or self.cuts):
            return web.Response(status=status, body=content, headers={"Content-Type": kind})
        response = web.StreamResponse(status=status, headers={"Content-Type": kind})
        await response.prepare(request)
        edges = [0, *self.cuts, len(content)]
        for start, end in pairwise(edges):
            await response.write(content[start:end])
            await asyncio.sleep(0.02 if self.cuts else 0)
        if self.stalls:
            await asyncio.sleep(3600)
        return response


@contextmanager
def recorded_provider() -> Iterator[RecordedProvider]:
    """Such a provider in a thread of its own."""
    made = RecordedProvider()
    loop = asyncio.new_event_loop()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = "http://127.0.0.1:{}".format(*runner.addresses[0][1:])

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
