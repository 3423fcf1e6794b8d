"""Time limits of one call: until its first token, between two pieces, and altogether."""

import asyncio
import math
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.policy.gateway import GatewayPolicy


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds; `first_token` and `idle` hold for streams, `total` and `connect` for every call."""

    connect: float
    first_token: float
    idle: float
    total: float

    @classmethod
    def of(cls, policy: GatewayPolicy) -> Self:
        """Those of a policy; an older one's single limit bounds them all."""
        most = policy.timeout or math.inf
        return cls(
            connect=min(policy.connect, most),
            first_token=min(policy.first_token, most),
            idle=min(policy.idle, most),
            total=min(policy.total, most),
        )


class LimitReachedError(Exception):
    """A limit was reached; `outcome` says which, `seconds` how long it is."""

    def __init__(self, outcome: RequestOutcome, seconds: float) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.seconds = seconds


class Deadlines:
    """While inside: at the limit in force what runs is cancelled, and LimitReachedError comes out.

    One timer that moves itself on when it rings too early: a piece of a stream costs no timer of its own. While a
    slow reader is waited for (`pause`, `resume`) no time passes.
    """

    def __init__(self, limits: TimeLimits, loop: asyncio.AbstractEventLoop, *, streamed: bool) -> None:
        self._limits = limits
        self._loop = loop  # handed over, because asking for the running one is a system call (of Python 3.11)
        now = self._loop.time()
        self._total_at = now + limits.total
        self._phase = RequestOutcome.FIRST_TOKEN_TIMEOUT if streamed else RequestOutcome.TOTAL_TIMEOUT
        self._phase_seconds = limits.first_token if streamed else limits.total
        self._phase_at = now + self._phase_seconds
        self._paused_at: float | None = None
        self._reached: LimitReachedError | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("limits hold within a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = self._loop.call_at(min(self._phase_at, self._total_at), self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._reached is None:
            return
        only_by_limit = self._task.uncancel() <= self._cancelling
        if only_by_limit and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._reached from None

    def piece(self) -> None:
        """A token came: until the next one the limit between two pieces is in force."""
        self._enter(RequestOutcome.IDLE_TIMEOUT, self._limits.idle)

    def over(self, grace_seconds: float) -> None:
        """The answer is over; what may still follow has this long. Then ANSWERED is the outcome that comes out."""
        self._total_at = math.inf
        self._enter(RequestOutcome.ANSWERED, grace_seconds)

    def _enter(self, phase: RequestOutcome, seconds: float) -> None:
        self._phase_at = self._loop.time() + seconds
        if phase is not self._phase:
            self._phase, self._phase_seconds = phase, seconds
            self._timer.cancel()
            self._timer = self._loop.call_at(min(self._phase_at, self._total_at), self._ring)

    def pause(self) -> None:
        """The reader is waited for."""
        self._paused_at = self._loop.time()

    def resume(self) -> float:
        """The reader has taken what there was; gives the seconds that it took."""
        waited = 0.0 if self._paused_at is None else self._loop.time() - self._paused_at
        self._paused_at = None
        self._phase_at += waited
        self._total_at += waited
        return waited

    def _ring(self) -> None:
        now = self._loop.time()
        due = min(self._phase_at, self._total_at)
        if self._paused_at is not None:
            due = now + (due - self._paused_at)
        if due > now:
            self._timer = self._loop.call_at(due, self._ring)
            return
        by_phase = self._phase_at <= self._total_at
        outcome = self._phase if by_phase else RequestOutcome.TOTAL_TIMEOUT
        self._reached = LimitReachedError(outcome, self._phase_seconds if by_phase else self._limits.total)
        self._task.cancel()
