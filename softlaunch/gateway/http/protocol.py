"""HTTP/1.1 as the gateway speaks it: llhttp reads, and nothing that a client sends is ever taken for more than it is.

uvicorn's own protocol reads no body of a request that offers an upgrade, and takes the body's bytes for the next
request; it knows no bound of heads, of unread bodies and of clients that don't read. This one serves such a request as
if nothing had been offered, which is what RFC 9110 (section 7.8) asks of a server that doesn't upgrade.
"""

import asyncio
import math
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from softlaunch.gateway.http.asgi import asgi_handler
from softlaunch.gateway.http.connection import HttpConnection
from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.cycle import Handler, Head, HttpCycle
from softlaunch.gateway.http.head import (
    RefusedHeadError,
    check_framing,
    read_target,
    refusal,
    size_of_head,
    without_upgrade,
)

_BUFFERED = 65_536  # bytes of a body that wait for the application before reading pauses
_PIPELINED = 64  # requests sent before the first of them was answered
_HEARD_OUT = 4  # largest bodies that are thrown away before a refused client is cut off
_CHUNK_OVERHEAD = 8  # bytes on the wire for one of a chunked body: a chunk of one byte is six


class HttpProtocol(HttpConnection):
    """One connection's requests, answered one after the other in the order in which they came."""

    handler: Handler | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._handler: Handler | None = self.handler
        self._parser = self._new_parser()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = self._upgrading = False
        self._body_received = 0
        self._body_began = 0.0
        self._reading: HttpCycle | None = None
        self._active: HttpCycle | None = None
        self._waiting: deque[HttpCycle] = deque()
        self._refusal: bytes | None = None

    # The transport's side

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for anything any more."""
        super().connection_lost(exc)
        for cycle in (self._reading, self._active):
            if cycle is not None:
                cycle.disconnect()
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came; after an answer that closes the connection, and after an error, nothing is read."""
        self.received += len(data)
        if self.deaf:
            if self.received > self.limits.body_bytes * _HEARD_OUT:
                self.drop()
            return
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            cause = error.__cause__ or error.__context__  # what a callback raised
            refused = cause if isinstance(cause, RefusedHeadError) else RefusedHeadError(400, f"no valid HTTP: {error}")
            self._refuse(refused.status, refused.message)
        except RefusedHeadError as refused:
            self._refuse(refused.status, refused.message)
        if self._reading is not None and self._reading is self._active:
            self.deadline = self._body_deadline()

    def is_busy(self) -> bool:
        """Whether a request is being received or answered."""
        return self._active is not None or super().is_busy()

    def expire(self) -> None:
        """A body came too slowly, or anything else that a connection waits for."""
        if self._reading is None or self._reading is not self._active or self.deaf:
            super().expire()
        elif self._paused:
            self.wait(self.limits.body_grace_seconds)  # nobody has taken what came already
        else:
            seconds, rate = self.limits.body_seconds, self.limits.body_rate
            text = f"the request's body came too slowly; send it within {seconds:g} s, and {rate} bytes each second"
            self._refuse(408, text, code="request_timeout")

    def shutdown(self) -> None:
        """The server stops: what is under way is answered, and no more.

        While it drains, a client that hasn't read `connection: close` may be sending its next request: it has as long
        as the drain for it, from its last answer.
        """
        if self.connections.drain.goes_on:
            self.drain()
            return
        self._waiting.clear()
        if self._active is None:
            self.transport.close()
        else:
            self._active.keep_alive = False

    def drain(self) -> None:
        """The server will stop: what has come is answered, and the last answer that hasn't begun says goodbye."""
        last = self._waiting[-1] if self._waiting else self._active
        if last is None:
            self.deadline = min(self.deadline, self.loop.time() + self.connections.drain.seconds)
        elif not last.started:
            last.keep_alive = False

    # The cycle's side

    def want_body(self) -> None:
        """Go on reading, unless the next request has come already."""
        if not self._waiting:
            self.go_on_reading()

    def answered(self, cycle: HttpCycle) -> None:
        """Go on with the next request, or close."""
        self.state.total_requests += 1
        self._active = None
        if self.transport.is_closing():
            return
        if not cycle.keep_alive:
            self._waiting.clear()
            if cycle.more_body:
                self.linger()
            else:
                self.close()
        elif self._waiting:
            self._start(self._waiting.popleft())
        elif self._refusal is not None:
            self.say(self._refusal)
        else:
            self.wait(self.limits.head_seconds if self._in_head else self._idle_seconds)
            self.want_body()

    # The parser's side

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._url, self._headers = b"", []
        self._in_head = True
        if self._active is None:
            self.wait(self.limits.head_seconds)

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Those behind a body are left out: a proxy in front may not have looked at them."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole, and its request begins."""
        if self._parser.should_upgrade():
            self._upgrading = True
            return
        if self.received > self.limits.head_bytes and size_of_head(self._url, self._headers) > self.limits.head_bytes:
            raise self._too_large()
        self._in_head = False
        self._body_received = 0
        self._body_began = self.loop.time()
        version = self._parser.get_http_version()
        expects_continue = check_framing(self._headers, version)
        keep_alive = version == "1.1" and self._parser.should_keep_alive() and not self.connections.drain.begun
        cycle = HttpCycle(self, self._head(version), keep_alive=keep_alive, expects_continue=expects_continue)
        self._reading = cycle
        if self._active is None:
            self._start(cycle)
            return
        if len(self._waiting) >= _PIPELINED:
            self._reading = None
            raise RefusedHeadError(503, f"more than {_PIPELINED} requests wait on one connection; await their answers")
        self._waiting.append(cycle)
        self.stop_reading()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        cycle = self._reading
        self._body_received += len(body)
        if cycle is not None and not cycle.complete:
            cycle.feed(body)
            if cycle.buffered > _BUFFERED:
                self.stop_reading()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._upgrading:
            return
        if self._reading is not None:
            self._reading.body_ends()
            if self._reading is self._active:
                self.deadline = math.inf
            self._reading = None
        self.received = 0

    # What is behind them

    @property
    def _idle_seconds(self) -> float:
        drain = self.connections.drain
        return min(self.limits.idle_seconds, drain.seconds) if drain.goes_on else self.limits.idle_seconds

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what follows a last request is left unread
        return parser

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._decline_upgrade(data[upgrade.args[0] :])
            else:
                break
        if self._in_head and self.received > self.limits.head_bytes:
            raise self._too_large()
        if self._reading is not None:
            self._check_overhead()

    def _decline_upgrade(self, rest: bytes) -> bytes:
        """The head again, without its offer, and what followed it: a fresh parser reads its body."""
        self._upgrading = False
        ended = self._parser
        head = without_upgrade(ended.get_method(), self._url, ended.get_http_version(), self._headers)
        self._parser = self._new_parser()
        return head + rest

    def _body_deadline(self) -> float:
        limits = self.limits
        seconds = limits.body_grace_seconds + self._body_received / limits.body_rate
        return self._body_began + min(seconds, limits.body_seconds)

    def _check_overhead(self) -> None:
        allowed = self.limits.head_bytes * 2 + self._body_received * _CHUNK_OVERHEAD
        if self.received > allowed:
            raise RefusedHeadError(400, "more bytes about the body's chunks than of the body")

    def _head(self, version: str) -> Head:
        path, raw_path, query = read_target(self._url)
        return Head(self._parser.get_method().decode("ascii"), path, raw_path, query, version, self._headers)

    def _start(self, cycle: HttpCycle) -> None:
        self._active = cycle
        self.deadline = math.inf
        handler = self._handler
        if handler is None:
            handler = self._handler = asgi_handler(self.app, _pair(self._name), _pair(self._peer))
        task = self.loop.create_task(cycle.run(handler, self.state.tasks.discard))
        self.state.tasks.add(task)
        cycle.task = task

    def _refuse(self, status: int, message: str, code: str = "invalid_http") -> None:
        """Answer what can't be understood, when everything before it has been answered; then close."""
        self.deaf = True
        answer = refusal(status, message, code=code)
        broken, self._reading = self._reading, None
        if broken is not None and broken in self._waiting:
            self._waiting.remove(broken)
        if broken is not None and broken is self._active:
            self._active = None
            broken.disconnect()
            if broken.started:
                self.drop()
                return
        if self._active is None:
            self.say(answer)
        else:
            self._refusal = answer

    def _too_large(self) -> RefusedHeadError:
        return RefusedHeadError(431, f"the request's head is larger than {self.limits.head_bytes} bytes; send less")


def http_protocol(connections: Connections, handler: Handler | None = None) -> type[HttpProtocol]:
    """The protocol of a server with these connections; uvicorn takes a class.

    Requests are answered by the handler, or without one by the server's ASGI application.
    """
    bound = {"connections": connections, "handler": None if handler is None else staticmethod(handler)}
    return type("BoundHttpProtocol", (HttpProtocol,), bound)


def _pair(name: object) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
