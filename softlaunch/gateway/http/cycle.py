"""One request and its answer on a connection: the body handed to the application, the answer written as HTTP/1.1."""

import asyncio
import http
import logging
import re
from typing import Protocol

from softlaunch.gateway.wire import Fault, Message, Scope, error_body

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


class Peer(Protocol):
    """The connection that a cycle is part of."""

    async def writable(self) -> None:
        """Return when the client has taken most of what it was sent."""

    def write(self, content: bytes) -> None:
        """Send."""

    def want_body(self) -> None:
        """Go on reading."""

    def drop(self) -> None:
        """End the connection at once."""

    def answered(self, cycle: "HttpCycle") -> None:
        """The answer is complete."""


class HttpCycle:
    """A request of a connection, as ASGI's `receive` and `send`.

    An answer that begins before the request's body is whole ends the connection: what is unread of a body must never
    be taken for a request, and nobody need receive what nobody reads.
    """

    def __init__(self, peer: Peer, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self._peer = peer
        self.scope = scope
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._parts: list[bytes] = []
        self._handed_over = False
        self._waiter: asyncio.Future[None] | None = None
        self._chunked = False
        self._bodiless = scope["method"] == "HEAD"
        self.buffered = 0
        self.more_body = True
        self.started = False
        self.complete = False
        self.gone = False

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

    async def run(self, app: object) -> None:
        """Let the application answer; whatever it does, the client gets an answer or a closed connection."""
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[operator]
        except asyncio.CancelledError:  # the server stops and waits no longer
            self._peer.drop()
            raise
        except Exception:
            _LOGGER.exception("a request failed in a way that nobody foresaw")
            await self._fail()
        else:
            if not self.complete and not self.gone:
                self._peer.drop()

    async def receive(self) -> Message:
        """The next part of the body, or that the client is gone."""
        if self._expects_continue and self.more_body and not (self.started or self.gone):
            self._peer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        while not (self.gone or self.complete):
            if self._parts or not (self.more_body or self._handed_over):
                return self._hand_over()
            self._peer.want_body()
            await self._wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write the answer's head, or a part of its body."""
        await self._peer.writable()
        if self.gone or self.complete:
            return
        if not self.started:
            self._start(message["status"], message.get("headers", ()))
            return
        more = message.get("more_body", False)
        self._write_body(message.get("body", b""), more=more)
        if not more:
            self.complete = True
            self._wake()
            self._peer.answered(self)

    def _hand_over(self) -> Message:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.buffered = 0
        self._handed_over = not self.more_body
        self._peer.want_body()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        self._bodiless = self._bodiless or status in _NO_BODY
        if self.more_body:
            self.keep_alive = False
        lines = [_STATUS_LINES[status]]
        measured = False
        for name, value in headers:
            if name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue
            measured = measured or name == b"content-length"
            clean = _UNSENDABLE.sub(b"", value) if _UNSENDABLE.search(value) else value
            lines += (name, b": ", clean, b"\r\n")
        if not (measured or self._bodiless):
            self._measure_by_chunks(lines)
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._peer.write(b"".join(lines))

    def _measure_by_chunks(self, lines: list[bytes]) -> None:
        """A body of unknown length: in chunks, or for HTTP/1.0 until the connection is closed."""
        self._chunked = self.scope["http_version"] == "1.1"
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

    async def _fail(self) -> None:
        if self.started:
            self._peer.drop()  # so that the client sees that the answer isn't whole
            return
        length = str(len(_FAILED)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": _FAILED})

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
