"""The methods of wrapped clients: each asks the variant of whom it is for, and records what becomes of it."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from softlaunch.client.call import Variant
from softlaunch.client.errors import ClientError
from softlaunch.client.streams import AsyncRecordedStream, RecordedStream, StreamReading
from softlaunch.client.wrapping import Asked, WholeReading, Wrapping, failed_by, remember
from softlaunch.core.api import Api

Find = Callable[[Any], Callable[..., Any]]
"""Finds a method in a client of the package's."""
_UNRECORDED = frozenset({"parse", "stream", "with_raw_response", "with_streaming_response"})


class Method:
    """One method of a synchronous client."""

    def __init__(self, wrapping: Wrapping, client: Any, api: Api, find: Find) -> None:
        self._wrapping = wrapping
        self._client = client
        self._api = api
        self._find = find

    def __call__(self, **given: Any) -> Any:
        """Ask the variant for whom the request names; a candidate's failure is answered by stable."""
        asked = self._wrapping.read(self._api, given)
        return self._ask(self._wrapping.variant(asked), asked)

    def replay(self, variant: Variant, asked: Asked) -> None:
        """Ask a copy's variant the same, and read its answer to the end."""
        answer = self._ask(variant, asked)
        if asked.streamed:
            for _ in answer:
                pass

    def _ask(self, variant: Variant, asked: Asked) -> Any:
        call = variant.call((self, asked))
        try:
            answer = self._send(variant, asked)
        except BaseException as error:
            stable = self._wrapping.fallback(call, failed_by(call, error))
            if stable is None:
                call.finish()
                raise
            return self._fall_back(call, stable, asked)
        if asked.streamed:
            stream = RecordedStream(answer, StreamReading(call, asked))
            remember(stream, call.id)
            return stream
        WholeReading(call, asked).take(answer)
        return answer

    def _fall_back(self, call: Any, stable: Variant, asked: Asked) -> Any:
        """Stable's answer in the candidate's place; the record is of the candidate's failure."""
        try:
            answer = self._send(stable, asked)
        except BaseException:
            call.finish()
            raise
        call.fell_back = True
        call.finish()
        remember(answer, call.id)
        return answer

    def _send(self, variant: Variant, asked: Asked) -> Any:
        method = self._find(self._wrapping.client(self._client, variant, asked))
        return method(**self._wrapping.arguments(variant, asked, method))


class AsyncMethod(Method):
    """One method of an asynchronous client. `afresh` makes a client for another event loop, for copies."""

    def __init__(self, wrapping: Wrapping, client: Any, api: Api, find: Find, afresh: Callable[[Any], Any]) -> None:
        super().__init__(wrapping, client, api, find)
        self._afresh = afresh

    def replay(self, variant: Variant, asked: Asked) -> None:
        """Ask a copy's variant the same, in an event loop of its own."""
        from asyncio import run

        async def ask() -> None:
            async with self._afresh(self._client) as client:
                own = AsyncMethod(self._wrapping, client, self._api, self._find, self._afresh)
                answer = await own._ask(variant, asked)
                if asked.streamed:
                    async for _ in answer:
                        pass

        run(ask())

    async def _ask(self, variant: Variant, asked: Asked) -> Any:
        call = variant.call((self, asked))
        try:
            answer = await self._send(variant, asked)
        except BaseException as error:
            stable = self._wrapping.fallback(call, failed_by(call, error))
            if stable is None:
                call.finish()
                raise
            return await self._fall_back(call, stable, asked)
        if asked.streamed:
            stream = AsyncRecordedStream(answer, StreamReading(call, asked))
            remember(stream, call.id)
            return stream
        WholeReading(call, asked).take(answer)
        return answer

    async def _fall_back(self, call: Any, stable: Variant, asked: Asked) -> Any:
        try:
            answer = await self._send(stable, asked)
        except BaseException:
            call.finish()
            raise
        call.fell_back = True
        call.finish()
        remember(answer, call.id)
        return answer


class Resource:
    """A part of a wrapped client: its own methods in the place of some, and the package's for the rest."""

    def __init__(self, real: Any, own: Mapping[str, Any], unrecorded: frozenset[str] = frozenset()) -> None:
        self._real = real
        self._own = own
        self._unrecorded = unrecorded

    def __getattr__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        if name in self._unrecorded:
            raise ClientError(
                f"{name} of a wrapped client would be asked of no variant and recorded by nobody: use create, or call "
                f"{name} of the client that was wrapped, and record the call by app.variant(...).call()"
            )
        return getattr(self._real, name)

    def __enter__(self) -> "Resource":
        self._real.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._real.__exit__(*error)

    async def __aenter__(self) -> "Resource":
        await self._real.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._real.__aexit__(*error)


def creating(real: Any, method: Method) -> Resource:
    """A resource whose `create` is recorded, and that has no other way to ask."""
    return Resource(real, {"create": method}, _UNRECORDED)


def replayed(variant: Variant, request: object) -> None:
    """Make a copy of a wrapped client's request; see `App.shadow`."""
    method, asked = cast("tuple[Method, Asked]", request)
    method.replay(variant, asked)
