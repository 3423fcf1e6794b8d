"""The connections to providers: kept while both sides want to, fresh ones where the pool's had been closed."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable
from typing import cast

import aiohappyeyeballs

from softlaunch.gateway.provider.answer import ProviderAnswer
from softlaunch.gateway.provider.connection import ProviderConnection
from softlaunch.gateway.provider.errors import ConnectTimeoutError, DroppedError, InvalidUrlError, UnreachableError
from softlaunch.gateway.provider.origin import Origin, Target

_IDLE_SECONDS = 15.0
_OLDEST_SECONDS = 300.0
"""A connection is kept no longer, so that a name that leads elsewhere by now is followed."""
_DRAIN_SECONDS = 1.0
_DRAIN_BYTES = 64 * 1024
_HAPPY_EYEBALLS_SECONDS = 0.25


class ProviderPool:
    """Connections by origin, the newest first; used from one event loop.

    With `resends` a request that met a kept connection's end is sent once more on a fresh one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, resends: bool = True) -> None:
        self._loop = loop
        self._resends = resends
        self._idle: defaultdict[Origin, list[ProviderConnection]] = defaultdict(list)
        self._open: set[ProviderConnection] = set()
        self._tls: ssl.SSLContext | None = None
        self._sweep = loop.call_later(_IDLE_SECONDS, self._close_idle)

    def close(self) -> None:
        """Close every connection."""
        self._sweep.cancel()
        for connection in list(self._open):
            connection.drop()

    async def ask(
        self, target: Target, request: bytes, connect_seconds: float, count: Callable[[], None]
    ) -> ProviderAnswer:
        """The head of an answer; each attempt is counted.

        Only a connection from the pool that the provider had closed is replaced, once, by a fresh one (not by another
        of the pool: a provider that restarts, or an idle limit, closes them all at once). A request that was dropped on
        a connection of its own may have been worked on, and isn't sent again. Raises ProviderCallError.
        """
        kept = self._take(target.origin)
        count()
        if kept is None:
            fresh = await self._connect(target.origin, connect_seconds)
            return await fresh.ask(request)
        try:
            return await kept.ask(request)
        except DroppedError:
            if not self._resends:
                raise
        count()
        fresh = await self._connect(target.origin, connect_seconds)
        return await fresh.ask(request)

    def give_back(self, answer: ProviderAnswer, *, over: bool) -> None:
        """Done with an answer. Where it is over, its connection is kept once its end was read.

        Nobody waits for that; a provider that says nothing more, or never stops, is left soon.
        """
        connection = cast("ProviderConnection", answer.source)
        if answer.is_whole:
            self._keep(connection)
        elif over:
            late = self._loop.call_later(_DRAIN_SECONDS, connection.drop)

            def at_end() -> None:
                late.cancel()
                self._keep(connection)

            answer.discard(_DRAIN_BYTES, at_end)
        else:
            connection.drop()

    def _take(self, origin: Origin) -> ProviderConnection | None:
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.is_reusable and self._loop.time() - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.drop()
        return None

    def _keep(self, connection: ProviderConnection) -> None:
        now = self._loop.time()
        if connection.is_reusable and now - connection.opened_at < _OLDEST_SECONDS:
            connection.idle_since = now
            self._idle[connection.origin].append(connection)
        else:
            connection.drop()

    async def _connect(self, origin: Origin, seconds: float) -> ProviderConnection:
        """A connection, TLS spoken where the origin asks for it. Raises UnreachableError."""
        try:
            async with asyncio.timeout(seconds):
                return await self._open_one(origin)
        except TimeoutError as error:
            raise ConnectTimeoutError(f"no connection within {seconds:g} s") from error
        except UnicodeError as error:  # no host has a name such as `a..b`
            raise InvalidUrlError(type(error).__name__) from error
        except OSError as error:
            raise UnreachableError(type(error).__name__) from error

    async def _open_one(self, origin: Origin) -> ProviderConnection:
        addresses = await self._loop.getaddrinfo(origin.host, origin.port, type=1)
        socket = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_SECONDS, loop=self._loop
        )
        _, connection = await self._loop.create_connection(
            lambda: ProviderConnection(origin, self._loop, self._forget),
            sock=socket,
            ssl=await self._tls_context() if origin.tls else None,
            server_hostname=origin.host if origin.tls else None,
        )
        if connection.is_open:
            self._open.add(connection)
        return connection

    async def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:  # reading the system's authorities takes tens of milliseconds
            self._tls = await asyncio.to_thread(_tls_context)
        return self._tls

    def _forget(self, connection: ProviderConnection) -> None:
        self._open.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def _close_idle(self) -> None:
        now = self._loop.time()
        for origin, idle in list(self._idle.items()):
            for connection in [one for one in idle if now - one.idle_since >= _IDLE_SECONDS]:
                connection.drop()
            if not idle:
                del self._idle[origin]
        self._sweep = self._loop.call_later(_IDLE_SECONDS, self._close_idle)


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
