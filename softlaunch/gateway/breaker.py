"""The breaker: a gateway by itself stops sending traffic to a candidate that fails massively."""

from collections import deque

from softlaunch.policy.model import BreakerPolicy


class Breaker:
    """Outcomes of one candidate at one revision of its route; once tripped it stays so for that revision."""

    def __init__(self) -> None:
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failed = 0
        self.reason: str | None = None

    @property
    def tripped(self) -> bool:
        """Whether the candidate gets nothing any more."""
        return self.reason is not None

    def note(self, *, candidate: bool, failed: bool, policy: BreakerPolicy, now: float) -> bool:
        """Count an outcome at `now` (monotonic seconds); true when this one trips the breaker."""
        if self.tripped or not candidate:
            return False
        self._outcomes.append((now, failed))
        self._failed += failed
        while self._outcomes[0][0] < now - policy.window:
            self._failed -= self._outcomes.popleft()[1]
        total = len(self._outcomes)
        if total < policy.minimum_requests or self._failed * 100 < policy.failed_percent * total:
            return False
        self.reason = f"{self._failed} of the candidate's last {total} answers within {policy.window:g} s failed"
        self._outcomes.clear()
        return True
