"""A provider's answer as its bytes come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol, Self

from softlaunch.gateway.provider.errors import AnswerTooLargeError

_BUFFERED = 64 * 1024


class Source(Protocol):
    """The connection that an answer comes from."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def drop(self) -> None:
        """End the connection at once."""


class HttpAnswer(Protocol):
    """A provider's answer, whatever way it came: its head, and its body whole or piece by piece."""

    status: int
    raw_headers: list[tuple[bytes, bytes]]

    @property
    def content_type(self) -> str:
        """The media type in lower case, without its parameters."""

    async def whole(self, most: int) -> bytes:
        """The whole body. Raises AnswerTooLargeError above `most` bytes, and BrokenOffError."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's pieces as they come."""


class ProviderAnswer:
    """Status, headers as they came, and the body: whole (`whole`), or piece by piece (`async for`).

    What isn't taken holds back the provider: no more than 64 KiB wait, and one piece.
    """

    def __init__(
        self, source: Source, loop: asyncio.AbstractEventLoop, status: int, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self.source = source
        self.status = status
        self.raw_headers = headers
        self.is_whole = False
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self._most: int | None = None
        self._discarded: int | None = None
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._at_end: Callable[[], None] | None = None

    @property
    def content_type(self) -> str:
        """The media type in lower case, without its parameters; `application/octet-stream` where none is named."""
        for name, value in self.raw_headers:
            if name.lower() == b"content-type":
                return value.decode("latin-1").partition(";")[0].strip().lower()
        return "application/octet-stream"

    async def whole(self, most: int) -> bytes:
        """The whole body. Raises AnswerTooLargeError above `most` bytes, and BrokenOffError."""
        self._most = most
        if self._size > most:
            raise AnswerTooLargeError
        self._read_on()
        while not self.is_whole:
            await self._more()
        return self._take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self.is_whole:
                raise StopAsyncIteration
            await self._more()
        return self._take()

    def discard(self, most: int, at_end: Callable[[], None]) -> None:
        """Throw away what still comes, up to `most` bytes; `at_end` is called when that was all."""
        self._parts.clear()
        if self.is_whole:
            at_end()
            return
        self._discarded, self._at_end = most, at_end
        self._read_on()

    # The connection's side

    def feed(self, part: bytes) -> None:
        """More of the body."""
        if self._discarded is not None:
            self._discarded -= len(part)
            if self._discarded < 0:
                self.source.drop()
            return
        self._parts.append(part)
        self._size += len(part)
        if self._most is None:
            if self._size > _BUFFERED and not self._paused:
                self._paused = True
                self.source.pause()
            self._wake()
        elif self._size > self._most:
            self.fail(AnswerTooLargeError())
            self.source.drop()

    def end(self) -> None:
        """That was all."""
        self.is_whole = True
        self._wake()
        if self._at_end is not None:
            at_end, self._at_end = self._at_end, None
            self._loop.call_soon(at_end)

    def fail(self, error: Exception) -> None:
        """No more comes."""
        self._error = self._error or error
        self._wake()

    def _take(self) -> bytes:
        taken = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._read_on()
        return taken

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self.source.resume()

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
