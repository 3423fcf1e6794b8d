"""Answers that providers keep: read, deleted and cancelled where they are, by the id that the client knows."""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

import orjson

from softlaunch.core.api import Api
from softlaunch.core.endpoint import EndpointError
from softlaunch.gateway.azure import without_version
from softlaunch.gateway.calls import StoredCall
from softlaunch.gateway.client_sink import ClientWatch
from softlaunch.gateway.deadlines import Deadlines, LimitReachedError
from softlaunch.gateway.forwarding import content_type_of, response_headers
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.provider.answer import HttpAnswer
from softlaunch.gateway.provider.errors import AnswerTooLargeError, ProviderCallError
from softlaunch.gateway.requests import find_app_route
from softlaunch.gateway.sse import EventSplitter, EventTooLongError
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.threads import Marking, Threads, mark_of, unknown_thread
from softlaunch.gateway.upstream import Upstream
from softlaunch.gateway.wire import Headers, RefusedError, clipped

PREFIX = "/v1/responses/"
_PATHS: Mapping[tuple[str, str], str] = {
    ("GET", ""): "",
    ("DELETE", ""): "",
    ("POST", "/cancel"): "/cancel",
    ("GET", "/input_items"): "/input_items",
}
_EVENT_BYTES = 32 * 1024 * 1024


class StoredAnswers:
    """The endpoints below one response. They ask the provider that has it; nothing is logged or judged."""

    def __init__(self, table: RouteTable, threads: Threads, upstream: Upstream, most_bytes: int) -> None:
        self._table = table
        self._threads = threads
        self._upstream = upstream
        self._most_bytes = most_bytes

    def allowed(self, path: str) -> bytes:
        """The methods that a path takes, as the header Allow has them."""
        _, rest = _parts(path)
        methods = [method for method, there in _PATHS if there == rest]
        return ", ".join([*methods, "OPTIONS"]).encode() if methods else b""

    async def serve(self, cycle: HttpCycle, path: str, headers: Mapping[bytes, bytes], key: bytes) -> None:
        """Answer one request. Raises RefusedError."""
        known, rest = _parts(path)
        below = _PATHS.get((cycle.head.method, rest))
        if below is None:
            allowed = self.allowed(path)
            allow: Headers = [(b"allow", allowed)] if allowed else []
            raise RefusedError(
                405 if allowed else 404,
                f"there is no {cycle.head.method} {clipped(path)}",
                code="unknown_url",
                headers=allow,
            )
        mark = mark_of(known)
        if mark is None:
            raise unknown_thread(known)
        app_route = find_app_route(self._table, mark.app)
        pinned = await self._threads.find(known, app_route, key, for_reading=True)
        serving = app_route.route.serving
        marking = Marking(mark.app, serving.salt, key, mark.short, {pinned.own: known})
        asked_query = without_version(cycle.head.query)
        query = f"?{asked_query.decode('latin-1')}" if asked_query else ""
        upstream = f"/responses/{quote(pinned.own, safe='')}{below}{query}"
        limits, loop = app_route.limits, asyncio.get_running_loop()
        asked = StoredCall(Api.RESPONSES, headers, limits.connect)
        try:
            with ClientWatch(cycle, lambda: False), Deadlines(limits, loop, streamed=False) as deadlines:
                answer = await self._upstream.stored(cycle.head.method, pinned.asked, upstream, asked)
                await self._pass_on(answer, marking, cycle, deadlines)
        except (EndpointError, ProviderCallError) as error:
            text = f"the provider that keeps this response can't be asked: {error}"
            raise RefusedError(502, text, kind="upstream_error", code="connect") from None
        except LimitReachedError as limit:
            if cycle.started:
                cycle.abort()  # so that the client sees that it isn't whole
                return
            text = f"the provider that keeps this response hasn't answered within {limit.seconds:g} s"
            raise RefusedError(504, text, kind="upstream_error", code=limit.outcome) from None

    async def _pass_on(self, answer: HttpAnswer, marking: Marking, cycle: HttpCycle, deadlines: Deadlines) -> None:
        over = False
        passed = [(b"content-type", content_type_of(answer.raw_headers)), *response_headers(answer.raw_headers)]
        try:
            if answer.content_type == "text/event-stream":
                await self._pass_events(answer, marking, cycle, passed, deadlines)
            else:
                content = await answer.whole(self._most_bytes)
                deadlines.pause()
                await cycle.respond(answer.status, passed, _with_known_ids(content, marking))
            over = True
        except AnswerTooLargeError:
            text = f"the provider's answer is larger than {self._most_bytes} bytes"
            raise RefusedError(502, text, kind="upstream_error", code="malformed") from None
        finally:
            self._upstream.done(answer, over=over)

    async def _pass_events(
        self, answer: HttpAnswer, marking: Marking, cycle: HttpCycle, passed: Headers, deadlines: Deadlines
    ) -> None:
        splitter = EventSplitter(_EVENT_BYTES)
        await cycle.start(answer.status, passed)
        try:
            async for piece in answer:
                deadlines.piece()
                deadlines.pause()
                for event in splitter.feed(piece):
                    await cycle.write(marking.apply(event, None))
                deadlines.resume()
        except (ProviderCallError, EventTooLongError):
            cycle.abort()  # so that the client sees that it isn't whole
            return
        await cycle.write(marking.apply(splitter.close(), None), more=False)


def _parts(path: str) -> tuple[str, str]:
    known, slash, rest = path.removeprefix(PREFIX).partition("/")
    return known, slash + rest


def _with_known_ids(content: bytes, marking: Marking) -> bytes:
    """What a response continues belongs where it belongs itself."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content
    before = document.get("previous_response_id") if isinstance(document, dict) else None
    return marking.apply(content, before if isinstance(before, str) else None)
