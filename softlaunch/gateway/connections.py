"""Connections to providers: our own client's, and aiohttp's where a proxy stands between."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from softlaunch.core.endpoint import Way
from softlaunch.gateway.provider.answer import HttpAnswer, ProviderAnswer
from softlaunch.gateway.provider.errors import InvalidUrlError
from softlaunch.gateway.provider.origin import request_bytes, target_of
from softlaunch.gateway.provider.pool import ProviderPool
from softlaunch.gateway.provider.unpacked import UnpackedAnswer, unpacker_of

if TYPE_CHECKING:
    from softlaunch.gateway.provider.proxied import ProxiedCalls


class Sent(NamedTuple):
    """What a request carries; names of headers are in lower case."""

    headers: Mapping[str, str]
    content: bytes


class Connections:
    """Calls to providers from one event loop; made within it. See ProviderPool for `resends`."""

    def __init__(self, *, resends: bool = True) -> None:
        self.loop = asyncio.get_running_loop()
        self._pool = ProviderPool(self.loop, resends=resends)
        self._proxied: ProxiedCalls | None = None

    async def close(self) -> None:
        """Close every connection."""
        self._pool.close()
        if self._proxied is not None:
            await self._proxied.close()

    async def call(
        self, method: str, way: Way, sent: Sent, connect_seconds: float, count: Callable[[], None] = lambda: None
    ) -> HttpAnswer:
        """The head of an answer; each attempt is counted. Raises ProviderCallError."""
        if way.proxy is not None:
            from softlaunch.gateway.provider.proxied import ProxiedCalls, ProxiedRequest  # aiohttp, which takes a while

            self._proxied = self._proxied or ProxiedCalls()
            count()
            asked = ProxiedRequest(method, way.url, sent.headers.items(), sent.content)
            return await self._proxied.ask(asked, way.proxy, connect_seconds)
        try:
            target = target_of(way.url)
        except ValueError as error:
            raise InvalidUrlError("its address is no URL of an HTTP server") from error
        request = request_bytes(method, target, sent.headers, sent.content)
        answer = await self._pool.ask(target, request, connect_seconds, count)
        unpack = unpacker_of(answer.raw_headers)
        return answer if unpack is None else UnpackedAnswer(answer, unpack)

    def give_back(self, answer: HttpAnswer, *, over: bool) -> None:
        """Done with an answer; where it is over, its connection may serve again."""
        if isinstance(answer, UnpackedAnswer):
            answer = answer.packed
        if isinstance(answer, ProviderAnswer):
            self._pool.give_back(answer, over=over)
        elif self._proxied is not None:
            self._proxied.give_back(answer)
