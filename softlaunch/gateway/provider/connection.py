"""One connection to a provider: a request written, an answer read by llhttp as it comes, and kept where it can be."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from softlaunch.gateway.provider.answer import ProviderAnswer
from softlaunch.gateway.provider.errors import BrokenOffError, DroppedError, InvalidHttpError, is_final
from softlaunch.gateway.provider.origin import Origin

_HEAD_BYTES = 64 * 1024
_FRAMED = frozenset({b"content-length", b"transfer-encoding"})
_BODILESS = frozenset({204, 304})


class ProviderConnection(asyncio.Protocol):
    """A connection that has one request under way at a time.

    llhttp is strict here: an answer that could be read in two ways breaks the connection. Interim answers (1xx) are
    passed over. An answer without a length ends with its connection.
    """

    def __init__(
        self, origin: Origin, loop: asyncio.AbstractEventLoop, lost: Callable[["ProviderConnection"], None]
    ) -> None:
        self.origin = origin
        self._loop = loop
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._answer: ProviderAnswer | None = None
        self._waiter: asyncio.Future[ProviderAnswer] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._interim = self._until_close = self._unasked = False
        self.is_open = False
        self.opened_at = loop.time()
        self.idle_since = self.opened_at

    async def ask(self, request: bytes) -> ProviderAnswer:
        """Send a request, and return when the head of its answer is there.

        Raises DroppedError where the connection ended before, and InvalidHttpError. Whoever is cancelled here closes
        the connection: what comes next on it would be the answer to this request.
        """
        if not self.is_open:  # it ended between its being made and this
            raise DroppedError("the connection ended")
        self._waiter = self._loop.create_future()
        self._headers, self._head_bytes = [], 0
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.drop()
            raise

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: this one's answer is whole, and the request was sent whole."""
        return self.is_open and self._answer is None and self._waiter is None

    def drop(self) -> None:
        """End the connection at once."""
        if self.is_open:
            self.is_open = False
            self._transport.abort()

    # The answer's side

    def pause(self) -> None:
        """Read no more for now."""
        if self.is_open:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.is_open:
            self._transport.resume_reading()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Parse what came; bytes that nobody asked for end the connection."""
        if self._answer is None and self._waiter is None:
            self.drop()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(InvalidHttpError("the provider switched to a protocol that nobody asked for"))
        except httptools.HttpParserError as error:
            self._fail(InvalidHttpError(f"the provider's answer is no valid HTTP: {error}"))
        else:
            if self._unasked:
                self.drop()
            elif self._waiter is not None:
                self._head_bytes += len(data)
                if self._head_bytes > _HEAD_BYTES:
                    text = f"the head of the provider's answer is larger than {_HEAD_BYTES} bytes"
                    self._fail(InvalidHttpError(text))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed: by the provider, by the network, or by us."""
        self.is_open = False
        answer = self._answer
        if answer is not None and self._until_close and exc is None:
            self._answer = None
            answer.end()
        else:
            self._fail(DroppedError("the connection ended"))
        self._lost(self)

    # The parser's side

    def on_message_begin(self) -> None:
        """An answer's first byte."""
        self._unasked = self._waiter is None

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those behind a body in chunks are left out."""
        if self._answer is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._interim or self._waiter is None:
            return
        if not is_final(status):
            self._fail(InvalidHttpError(f"the provider answered with the status {status}, which HTTP doesn't have"))
            return
        self._until_close = status not in _BODILESS and not _is_framed(self._headers)
        self._answer = ProviderAnswer(self, self._loop, status, self._headers)
        waiter, self._waiter = self._waiter, None
        if not waiter.done():
            waiter.set_result(self._answer)

    def on_body(self, body: bytes) -> None:
        """A piece of the answer."""
        if self._answer is not None:
            self._answer.feed(body)

    def on_message_complete(self) -> None:
        """The answer is whole; the connection may be used again where both sides keep it."""
        if self._interim:
            self._headers = []
            return
        answer, self._answer = self._answer, None
        if answer is not None:
            unsent = self._transport.get_write_buffer_size()
            answer.end()
            if unsent or not self._parser.should_keep_alive():
                self.drop()

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        answer, self._answer = self._answer, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if answer is not None:
            answer.fail(BrokenOffError(str(error)))
        self.drop()


def _is_framed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a head says where its body ends."""
    return any(name.lower() in _FRAMED for name, _ in headers)
