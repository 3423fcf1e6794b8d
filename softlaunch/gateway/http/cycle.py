"""One request and its answer on a connection: the body handed out as it comes, the answer written as HTTP/1.1."""

import asyncio
import http
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from softlaunch.gateway.wire import ClientGoneError, Fault, Headers, error_body

_LOGGER = logging.getLogger(__name__)
_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # in a header's value; a line break there would be a new header
_NO_BODY = frozenset({204, 304})
_FAILED = error_body(Fault("the gateway failed at this request; its log says why", "server_error", "internal_error"))


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_STATUS_LINES = {status: status_line(status) for status in range(100, 600)}


@dataclass(slots=True)
class Head:
    """A request's head; header names are in lower case. Not to be changed."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    version: str
    headers: Headers


class Peer(Protocol):
    """The connection that a cycle is part of."""

    @property
    def is_writable(self) -> bool:
        """Whether the client has taken most of what it was sent."""

    async def writable(self) -> None:
        """Return when it has."""

    def write(self, content: bytes) -> None:
        """Send."""

    def want_body(self) -> None:
        """Go on reading."""

    def drop(self) -> None:
        """End the connection at once."""

    def answered(self, cycle: "HttpCycle") -> None:
        """The answer is complete."""


class HttpCycle:
    """A request of a connection, and its answer.

    An answer that begins before the request's body is whole ends the connection: what is unread of a body must never
    be taken for a request, and nobody need receive what nobody reads. What is written to a client that is gone is
    thrown away.
    """

    def __init__(self, peer: Peer, head: Head, *, keep_alive: bool, expects_continue: bool) -> None:
        self._peer = peer
        self.head = head
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        """What answers it."""
        self.added: Headers = []
        """Headers that go with whatever answer there is."""
        self._expects_continue = expects_continue
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._when_gone: Callable[[], None] | None = None
        self._chunked = False
        self._bodiless = head.method == "HEAD"
        self.buffered = 0
        self.more_body = True
        self.started = False
        self.complete = False
        self.gone = False

    # The connection's side

    def feed(self, part: bytes) -> None:
        """More of the body."""
        self._parts.append(part)
        self.buffered += len(part)
        self._wake()

    def body_ends(self) -> None:
        """The body is whole."""
        self.more_body = False
        self._wake()

    def disconnect(self) -> None:
        """The client is gone, or what it sends can't be understood."""
        self.gone = True
        self._wake()
        if self._when_gone is not None and not self.complete:
            self._when_gone()

    async def run(self, handler: "Handler", at_end: Callable[[asyncio.Task[None]], object]) -> None:
        """Let the handler answer; whatever it does, the client gets an answer or a closed connection.

        `at_end` is called with the task that this runs in, at its end.
        """
        try:
            await handler(self)
        except asyncio.CancelledError:  # the server stops and waits no longer
            self._peer.drop()
            raise
        except Exception:
            _LOGGER.exception("a request failed in a way that nobody foresaw")
            await self._fail()
        else:
            if not self.complete and not self.gone:
                self._peer.drop()
        finally:
            if self.task is not None:
                at_end(self.task)

    # The handler's side

    @property
    def has_more(self) -> bool:
        """Whether some of the body hasn't been handed out."""
        return self.more_body or bool(self._parts)

    async def part(self) -> bytes:
        """The next piece of the body, empty at its end. Raises ClientGoneError."""
        if self._expects_continue and self.more_body and not (self.started or self.gone):
            self._peer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        while not self.gone:
            if self._parts or not self.more_body:
                return self._take()
            self._peer.want_body()
            await self._wait()
        raise ClientGoneError

    def ready(self) -> bytes | None:
        """The whole body, where it has come already and nothing of it was handed out."""
        if self.more_body or self.gone or self.started:
            return None
        return self._take() if self._parts else b""

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """Call this as soon as the client is gone before its answer is complete; None calls nothing any more."""
        self._when_gone = callback
        if callback is not None and self.gone:
            callback()

    async def gone_or_answered(self) -> None:
        """Return when the client is gone, or its answer complete."""
        while not (self.gone or self.complete):
            self._peer.want_body()
            await self._wait()

    async def respond(self, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        """A whole answer; `lines` are more headers, written out and known to be sendable."""
        if not self._peer.is_writable:
            await self._peer.writable()
        if self.gone or self.complete:
            return
        head = self._begin(status, headers, len(body), lines)
        self._peer.write(head if self._bodiless else head + body)
        self._end()

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """The head of an answer whose body follows; of unknown length unless a header says it.

        `lines` are more headers, as in `respond`.
        """
        if not self._peer.is_writable:
            await self._peer.writable()
        if not (self.gone or self.complete):
            self._peer.write(self._begin(status, headers, None, lines))

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A piece of the body, the last one unless there are `more`."""
        if not self._peer.is_writable:
            await self._peer.writable()
        if self.gone or self.complete:
            return
        self._write_body(body, more=more)
        if not more:
            self._end()

    def abort(self) -> None:
        """End the connection: the answer that has begun won't become whole."""
        self._peer.drop()

    def _take(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.buffered = 0
        self._peer.want_body()
        return body

    def _begin(self, status: int, headers: Headers, length: int | None, written: bytes) -> bytes:
        self.started = True
        self._bodiless = self._bodiless or status in _NO_BODY
        if self.more_body:
            self.keep_alive = False
        lines = [_STATUS_LINES[status], written]
        measured = length is not None
        for name, value in (*headers, *self.added) if self.added else headers:
            if name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue
            measured = measured or name == b"content-length"
            clean = _UNSENDABLE.sub(b"", value) if _UNSENDABLE.search(value) else value
            lines += (name, b": ", clean, b"\r\n")
        if length is not None:
            lines.append(b"content-length: %d\r\n" % length)
        if not (measured or self._bodiless):
            self._measure_by_chunks(lines)
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _measure_by_chunks(self, lines: list[bytes]) -> None:
        """A body of unknown length: in chunks, or for HTTP/1.0 until the connection is closed."""
        self._chunked = self.head.version == "1.1"
        if self._chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self.keep_alive = False

    def _write_body(self, body: bytes, *, more: bool) -> None:
        if self._bodiless:
            return
        if not self._chunked:
            if body:
                self._peer.write(body)
            return
        parts = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
        if not more:
            parts.append(b"0\r\n\r\n")
        if parts:
            self._peer.write(b"".join(parts))

    def _end(self) -> None:
        self.complete = True
        self._wake()
        self._peer.answered(self)

    async def _fail(self) -> None:
        if self.started:
            self._peer.drop()  # so that the client sees that the answer isn't whole
            return
        await self.respond(500, [(b"content-type", b"application/json"), (b"connection", b"close")], _FAILED)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Handler = Callable[[HttpCycle], Awaitable[None]]
