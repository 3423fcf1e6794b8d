"""The breaker: a gateway by itself stops sending traffic to a candidate that fails massively where stable doesn't."""

from collections import deque
from math import log

from softlaunch.policy.gateway import BreakerPolicy

_SLICES = 20  # the window is kept in so many slices, so that memory doesn't grow with the traffic
_CERTAIN = 10.0  # nats: chance alone makes such a difference in one of 100,000 windows
_FEW = 3  # of stable's answers: fewer say nothing, whatever they were
_PATIENCE = 2.0  # windows in which a failing candidate is left alone because few of stable's answers are known


class Breaker:
    """Answers of both arms at one revision of a route; once tripped it stays so for that revision.

    It trips when the candidate's failed share within the window reaches the policy's, and stable's is at most half of
    it in the same seconds, by more than chance explains. An outage that hits both arms never looks like that. Where
    stable gives no answers at all (at 100 %, without fallback) the candidate's alone decide; where it gives hardly any,
    they do once the candidate has failed for two windows and stable not once meanwhile.
    """

    def __init__(self) -> None:
        self._slices: deque[list[int]] = deque()  # number of the slice, then counts as in `_counts`
        self._counts = [0, 0, 0, 0]  # the candidate's answers, how many failed, stable's answers, how many failed
        self._has_met_stable = False
        self._failing_since: float | None = None
        self._stable_failed = False  # since the candidate began to fail
        self.reason: str | None = None

    @property
    def tripped(self) -> bool:
        """Whether the candidate gets nothing any more."""
        return self.reason is not None

    def note(self, *, candidate: bool, failed: bool, policy: BreakerPolicy, now: float) -> bool:
        """Count an answer of either arm at `now` (monotonic seconds); true when this one trips the breaker.

        An answer of stable that stood in for the candidate's is stable's, and is to be noted before the failure that it
        stood in for: otherwise an outage would look like the candidate's alone until stable's answers have failed too.
        """
        if self.tripped:
            return False
        self._count(0 if candidate else 2, int(failed), int(now / policy.window * _SLICES))
        self._has_met_stable |= not candidate
        answers, failures = self._counts[:2]
        if answers < policy.minimum_requests or failures * 100 < policy.failed_percent * answers:
            self._failing_since, self._stable_failed = None, False
            return False
        if self._failing_since is None:
            self._failing_since = now
        self._stable_failed |= failed and not candidate
        if not self._is_the_candidates(now - self._failing_since, policy.window):
            return False
        self.reason = self._said(policy.window)
        self._slices.clear()
        return True

    def _count(self, arm: int, failed: int, number: int) -> None:
        """Add an answer to its slice, and forget slices that the window has left behind."""
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append([number, 0, 0, 0, 0])
        counts, newest = self._counts, self._slices[-1]
        counts[arm] += 1
        newest[arm + 1] += 1
        if failed:
            counts[arm + 1] += 1
            newest[arm + 2] += 1
        while self._slices[0][0] < number - _SLICES:
            _, *past = self._slices.popleft()
            for place, count in enumerate(past):
                counts[place] -= count

    def _is_the_candidates(self, lasting: float, window: float) -> bool:
        """Whether stable does clearly better than a candidate that has failed for so many seconds."""
        answers, failures, stable, stable_failures = self._counts
        if not self._has_met_stable:
            return True
        if stable < _FEW and not stable_failures and not self._stable_failed and lasting >= _PATIENCE * window:
            return True
        if 2 * stable_failures * answers > failures * stable:
            return False
        return _surprise(failures, answers, stable_failures, stable) >= _CERTAIN

    def _said(self, window: float) -> str:
        answers, failures, stable, stable_failures = self._counts
        beside = f"{stable_failures} of stable's {stable}" if stable else "and stable gave none to compare with"
        return f"{failures} of the candidate's last {answers} answers within {window:g} s failed, {beside}"


def _surprise(failures: int, answers: int, other_failures: int, others: int) -> float:
    """Log-likelihood ratio, in nats, of two shares of failures against one that both have in common."""
    pooled = (failures + other_failures) / (answers + others)
    return sum(
        count * log(count / expected)
        for count, expected in (
            (failures, answers * pooled),
            (answers - failures, answers * (1 - pooled)),
            (other_failures, others * pooled),
            (others - other_failures, others * (1 - pooled)),
        )
        if count
    )
