"""The lease of a candidate as a client keeps it: a candidate is served only while a server was heard in time.

What is left of the lease counts from the moment before the question was sent, so that an answer that took long, or that
lay unread in a process that was stopped, never makes it longer. Two clocks count, and the first to run out decides: one
that goes on while the machine sleeps, and the wall clock, which knows of pauses that the machine itself doesn't see. A
wall clock that is set back changes nothing, and one that is set forward ends the lease until the next answer.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

Clock = Callable[[], float]


class Moment(NamedTuple):
    """One moment on both clocks, in seconds."""

    running: float
    wall: float


class Clocks(NamedTuple):
    """A clock that never goes back nor stops while the machine sleeps, and the wall clock."""

    running: Clock
    wall: Clock

    def now(self) -> Moment:
        """The moment that it is."""
        return Moment(self.running(), self.wall())


def _running() -> Clock:
    """Linux' clock since boot; elsewhere the monotonic one of the system, which counts sleep there."""
    system: Any = time
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        number = getattr(system, name, None)
        if number is not None:
            return partial(system.clock_gettime, number)
    return time.monotonic


CLOCKS = Clocks(_running(), time.time)


class LocalLease:
    """Until when a candidate may be served without another word of a server."""

    __slots__ = ("_running", "_until", "_wall")

    def __init__(self, clocks: Clocks = CLOCKS) -> None:
        self._running, self._wall = clocks
        self._until: Moment | None = None

    def renew(self, left_seconds: float | None, asked: Moment) -> None:
        """Take note of what a server said is left, to a question that was sent after the moment `asked`.

        Nothing left ends it. None, or less than another server of the same ledger said, changes nothing: that one saw a
        later sign of life of whoever watches.
        """
        if left_seconds is None:
            return
        if not left_seconds > 0:
            self._until = None
            return
        until = Moment(asked.running + left_seconds, asked.wall + left_seconds)
        if self._until is None or until.running > self._until.running:
            self._until = until

    def left(self) -> float:
        """Seconds left, 0 where it is over."""
        until = self._until
        if until is None:
            return 0.0
        return max(0.0, min(until.running - self._running(), until.wall - self._wall()))

    def holds(self) -> bool:
        """Whether the candidate may be served now."""
        until = self._until
        return until is not None and self._running() < until.running and self._wall() < until.wall
