"""Noticing that a client has gone, so that nobody pays for an answer that nobody reads."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from softlaunch.gateway.wire import ClientGoneError, Receive

_UNWATCHED_SECONDS = 0.05  # an answer that is there by then needs no watching, which costs a task


class ClientWatch:
    """While inside: when the client disconnects, what runs is cancelled, and ClientGoneError comes out.

    A client that leaves when `has_all` says that it has its whole answer isn't gone: what runs may end by itself.
    """

    def __init__(self, receive: Receive, has_all: Callable[[], bool]) -> None:
        self._receive = receive
        self._has_all = has_all
        self._over = self._gone = False
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a client is watched from within a task")
        self._watched = task
        self._timer = asyncio.get_running_loop().call_later(_UNWATCHED_SECONDS, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._timer.cancel()
        if self._watch is not None and not self._watch.done():
            self._watch.cancel()
        if self._gone:
            self._watched.uncancel()
            raise ClientGoneError from None

    def _begin(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over and not self._has_all():
            self._gone = True
            self._watched.cancel()
