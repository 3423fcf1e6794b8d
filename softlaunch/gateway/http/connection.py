"""A connection by itself: whether it is admitted, how long it may wait, and how it is closed so that answers arrive."""

import asyncio
import fcntl
import math
import sys
import termios
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from softlaunch.gateway.http.connections import Connections, address_of
from softlaunch.gateway.http.head import refusal


class HttpConnection(asyncio.Protocol):
    """One connection, bounded in time both ways; what its bytes mean is HttpProtocol's."""

    connections: Connections

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002  (uvicorn hands it over)
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.app = config.loaded_app
        self.state = server_state
        self.loop = _loop or asyncio.get_event_loop()
        self.limits = self.connections.limits
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.deaf = False
        """Whether what comes is thrown away."""
        self.received = 0
        """Bytes since the request began, or since nothing is read any more."""
        self.deadline = math.inf
        self._peer: object = None
        self._name: object = None
        self.address = ""
        self._admitted = self._turned_away = False
        self._lingering = self._paused = False
        self._writable: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first head is awaited, where there is room."""
        self.transport = cast("asyncio.Transport", transport)
        self._peer = transport.get_extra_info("peername")
        self._name = transport.get_extra_info("sockname")
        self.address = address_of(self._peer)
        self.state.connections.add(self)  # type: ignore[arg-type]  # uvicorn only calls shutdown()
        self.wait(self.limits.head_seconds)
        self.connections.watch(self, self.loop)
        self._admitted = self.connections.admit(self.address)
        self._turned_away = not self._admitted
        if self._turned_away and self.connections.turn_away(self.address, self.loop.time()):
            text = "too many connections, of your address or in all; close some, or try again"
            self.say(refusal(503, text, code="overloaded", headers=b"retry-after: 1\r\n"))
        elif self._turned_away:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Its place is free again."""
        self.deaf = True
        self.state.connections.discard(self)
        self.connections.forget(self)
        if self._admitted:
            self.connections.leave(self.address)
        elif self._turned_away:
            self.connections.turned_away()
        if self._writable is not None:
            self._writable.set()

    def pause_writing(self) -> None:
        """The client doesn't take what it is sent."""
        self._writable = asyncio.Event()
        for slow in self.connections.reads_slowly(self, self.loop.time()):
            self.loop.call_soon(slow.drop)

    def resume_writing(self) -> None:
        """It does again."""
        self.connections.reads_again(self)
        if self.transport.is_closing():
            self.wait(self.limits.stall_seconds)
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def eof_received(self) -> None:
        """A client that ends its side is gone: a closed connection looks the same."""

    def wait(self, seconds: float) -> None:
        """Let the connection expire after so long."""
        self.deadline = self.loop.time() + seconds

    def expire(self) -> None:
        """A head, the next request, or the end of an unread body didn't come, or the last answer isn't taken."""
        if self._writable is not None:
            self.wait(self.limits.stall_seconds)  # a slow reader, after whom `Connections` looks
        elif self._lingering or self.transport.is_closing() or self.unsent():
            self.drop()
        else:
            self.close()

    def is_idle(self) -> bool:
        """Whether it has a place, and no request that somebody waits for."""
        return self._admitted and (self._lingering or not self.is_busy())

    def is_busy(self) -> bool:
        """Whether a request is being answered, or an answer is on its way."""
        return self._writable is not None

    def make_way(self) -> None:
        """Close it, and give its place back at once."""
        self._admitted = False
        self.connections.leave(self.address)
        self.deaf = True
        self.transport.close()

    def unsent(self) -> int:
        """Bytes of answers that the client hasn't taken, in this process and in the kernel."""
        return self.transport.get_write_buffer_size() + _in_kernel(self.transport.get_extra_info("socket"))

    @property
    def is_writable(self) -> bool:
        """Whether the client has taken most of what it was sent."""
        return self._writable is None

    async def writable(self) -> None:
        """Return when it has."""
        if self._writable is not None:
            await self._writable.wait()

    def write(self, content: bytes) -> None:
        """Send."""
        self.transport.write(content)

    def say(self, answer: bytes) -> None:
        """A last answer, of this connection's own."""
        self.transport.write(answer)
        self.linger()

    def linger(self) -> None:
        """Close when the client has the answer, though it is still sending: it must be heard out to read it.

        (RFC 9112, section 9.6: closing with unread input resets the connection, and the answer is lost.) It is heard
        for `linger_seconds` at most, and what it says is thrown away.
        """
        self.deaf = self._lingering = True
        self.received = 0
        self.wait(self.limits.linger_seconds)
        self.transport.write_eof()
        self.go_on_reading()

    def close(self) -> None:
        """Close once what was written is taken, for which there is a limit too."""
        self.deaf = True
        self.wait(self.limits.stall_seconds)
        self.transport.close()

    def drop(self) -> None:
        """End the connection at once."""
        self.deaf = True
        self.transport.abort()

    def stop_reading(self) -> None:
        """What came is enough for now."""
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def go_on_reading(self) -> None:
        """There is room for more."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()


def _in_kernel(socket: Any) -> int:
    """What the kernel holds for the peer, which may be megabytes that a slow reader needs minutes for; 0 if unknown."""
    try:
        found = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError, AttributeError):
        return 0
    return int.from_bytes(found, sys.byteorder)
