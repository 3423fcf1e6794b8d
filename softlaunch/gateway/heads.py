"""Connections whose request never comes: uvicorn waits for a head for ever, this gateway doesn't."""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, closing a connection whose request head isn't whole within `head_seconds`.

    Between requests uvicorn's own limit for idle connections holds.
    """

    head_seconds = 20.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first head is awaited."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request's first byte is there, and the rest of its head is awaited."""
        self._stop_waiting()
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_waiting()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def bounded_heads(seconds: float) -> type[HttpToolsProtocol]:
    """The protocol with this limit; uvicorn takes a class."""
    return type("BoundedHeads", (BoundedHeads,), {"head_seconds": seconds})
