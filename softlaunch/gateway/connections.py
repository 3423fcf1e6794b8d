"""Connections to providers: a pool, fresh ones where the pool's had been closed, and what is left unread."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Self

import aiohttp
from multidict import CIMultiDict

from softlaunch.core.endpoint import Way

_DRAIN_SECONDS = 1.0
_DRAIN_BYTES = 64 * 1024
_MOST_DRAINED = 256


class Connections:
    """The pool, and connections that are used once."""

    def __init__(self, pooled: aiohttp.ClientSession, fresh: aiohttp.ClientSession) -> None:
        self._pooled = pooled
        self._fresh = fresh
        self._draining: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls) -> Self:
        """Needs a running loop."""
        return cls(_session(), _session(force_close=True))

    async def close(self) -> None:
        """Close every connection."""
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        await self._pooled.close()
        await self._fresh.close()

    async def post(
        self, way: Way, headers: CIMultiDict[str], content: bytes, connect_seconds: float, count: Callable[[], None]
    ) -> aiohttp.ClientResponse:
        """The response's head; each attempt is counted.

        Only a connection from the pool that the provider had closed is replaced, once, by a fresh one (not by another
        of the pool: a provider that restarts, or an idle limit, closes them all at once). A request that was dropped on
        a connection of its own may have been worked on, and isn't sent again.
        """
        about = SimpleNamespace(reused=False)
        timeout = _timeout(connect_seconds)
        count()
        try:
            return await self._pooled.post(
                way.url,
                data=content,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
                proxy=way.proxy,
                trace_request_ctx=about,
            )
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not about.reused:
                raise
        count()
        return await self._fresh.post(
            way.url, data=content, headers=headers, allow_redirects=False, timeout=timeout, proxy=way.proxy
        )

    def give_back(self, response: aiohttp.ClientResponse, *, over: bool) -> None:
        """Done with a response. Where its answer is over, the connection goes back to the pool once its end was read.

        Nobody waits for that; a provider that says nothing more, or never stops, is left soon.
        """
        if not over or response.content.at_eof() or len(self._draining) >= _MOST_DRAINED:
            response.release()
            return
        task = asyncio.get_running_loop().create_task(_drain(response))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > _DRAIN_BYTES:
                    break
    except (TimeoutError, aiohttp.ClientError, OSError):
        response.close()
    finally:
        response.release()


def _session(*, force_close: bool = False) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, force_close=force_close),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        trace_configs=[] if force_close else [_told_of_reuse()],
    )


def _told_of_reuse() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def reused(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:  # noqa: ARG001
        context.trace_request_ctx.reused = True

    trace.on_connection_reuseconn.append(reused)
    return trace


@lru_cache(maxsize=256)
def _timeout(connect_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=connect_seconds)
