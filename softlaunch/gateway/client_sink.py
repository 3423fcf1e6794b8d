"""The client's end of an answer: a stream that is kept alive while it waits, or a whole answer."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from softlaunch.gateway.calls import Answer
from softlaunch.gateway.forwarding import Told
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.wire import ClientGoneError, Headers

_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_ALIVE = b": keep-alive\n\n"


class ClientSink:
    """Sends to one client; one that stops reading for `stall_seconds` counts as gone.

    A stream is opened by its first token, or by a comment where that takes longer than the heartbeat. Opened so, it can
    still be answered by another arm, and a failure comes as an event, which `as_event` makes of its document.
    """

    def __init__(self, cycle: HttpCycle, told: Told, stall_seconds: float, as_event: Callable[[bytes], bytes]) -> None:
        self._cycle = cycle
        self._as_event = as_event
        self._stall_seconds = stall_seconds
        self._heartbeat: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.told = told
        self.passed: Headers = []
        self.opened = False
        self.is_over = False

    def keep_alive(self, heartbeat_seconds: float) -> None:
        """From now on send a comment each time that so long nothing was sent, until the first token."""
        loop = asyncio.get_running_loop()

        def begin() -> None:
            self._heartbeat = loop.create_task(self._beat(heartbeat_seconds))

        self._timer = loop.call_later(heartbeat_seconds, begin)

    async def _beat(self, heartbeat_seconds: float) -> None:
        with contextlib.suppress(ClientGoneError):
            while True:
                await self._write(_ALIVE)
                await asyncio.sleep(heartbeat_seconds)

    async def quiet(self) -> None:
        """No comments any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heartbeat
            self._heartbeat = None

    async def write(self, content: bytes) -> None:
        """Send whole events at once."""
        if self._timer is not None:
            await self.quiet()
        await self._write(content)

    async def ping(self, content: bytes) -> None:
        """Pass on a provider's sign of life, where the stream is open."""
        if self.opened and self._heartbeat is None:
            await self._write(content)

    def over(self) -> None:
        """The client has its whole answer."""
        self.is_over = True

    async def finish(self, answer: Answer) -> None:
        """Send what remains of the answer."""
        if self._timer is not None or self._heartbeat is not None:
            await self.quiet()
        if answer.streamed:
            await self._cycle.write(answer.body, more=False)
        elif self.opened:
            await self._cycle.write(self._as_event(answer.body), more=False)
        else:
            headers = [*answer.headers, *answer.passed]
            await self._cycle.respond(answer.status, headers, answer.body, self.told.lines(answer.passed))

    async def _write(self, content: bytes) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                if not self.opened:
                    self.opened = True
                    await self._cycle.start(200, [*_STREAM, *self.passed], self.told.lines(self.passed))
                await self._cycle.write(content)
        except TimeoutError:
            raise ClientGoneError from None


class ClientWatch:
    """While inside: when the client disconnects, what runs is cancelled, and ClientGoneError comes out.

    A client that leaves when `has_all` says that it has its whole answer isn't gone: what runs may end by itself.
    """

    def __init__(self, cycle: HttpCycle, has_all: Callable[[], bool]) -> None:
        self._cycle = cycle
        self._has_all = has_all
        self._gone = False

    def __enter__(self) -> Self:
        task = self._cycle.task
        if task is None:
            raise RuntimeError("a client is watched from within the task that answers it")
        self._watched = task
        self._cycle.when_gone(self._leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cycle.when_gone(None)
        if self._gone:
            self._watched.uncancel()
            raise ClientGoneError from None

    def _leave(self) -> None:
        if not self._gone and not self._has_all():
            self._gone = True
            self._watched.cancel()
