"""Rows of the request log as columns: fast to cut into windows and arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from softlaunch.gates.observations import Floats, Observations, Units
from softlaunch.policy.model import Metric
from softlaunch.request_outcome import GIVEN, TIMEOUTS, UNUSABLE, RequestOutcome
from softlaunch.route import Arm

WINDOW_SECONDS = 10.0
"""A watcher that catches up judges at most this much at once."""
_CANDIDATES = frozenset({Arm.CANDIDATE, Arm.SHADOW})
# What failed at once was not fast. What timed out was slow, and so was what a client left: those who lose patience
# with a slow candidate must not vanish from its latency.
_TOOK_TIME = GIVEN | TIMEOUTS | {RequestOutcome.CLIENT_GONE}

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Requests in the order in which they began; every array has shape (n,). NaN is what wasn't measured."""

    units: Units
    started_at: Floats
    of_candidate: Flags
    failed: Floats
    unusable: Floats
    latency_ms: Floats
    cost_usd: Floats

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Self:
        """From rows that begin with queries.COLUMNS, in any order.

        A blameless request is nobody's error, and its cost is cut short like its answer. Only an answer that came can
        be unusable: a failed request is an error, and not one more of these.
        """
        if not rows:
            none = np.empty(0)
            return cls(np.empty(0, np.int64), none, np.empty(0, np.bool_), none, none, none, none)
        units, outcomes, latencies, costs, started, arms, excused, *_ = zip(*rows, strict=True)
        blameless = np.array(excused, dtype=np.bool_)
        latency = np.array(latencies, dtype=np.float64)
        latency[[outcome not in _TOOK_TIME for outcome in outcomes]] = np.nan
        cost = np.array(costs, dtype=np.float64)  # an unknown cost is None, which becomes NaN
        batch = cls(
            units=np.array(units, dtype=np.int64),
            started_at=np.array(started, dtype=np.float64),
            of_candidate=np.array([arm in _CANDIDATES for arm in arms], dtype=np.bool_),
            failed=np.where(blameless, np.nan, [outcome not in GIVEN for outcome in outcomes]),
            unusable=np.array([_serves_nobody(outcome) for outcome in outcomes], dtype=np.float64),
            latency_ms=latency,
            cost_usd=np.where(blameless, np.nan, cost),
        )
        return batch._only(np.argsort(batch.started_at, kind="stable"))

    def windows(self, after: float) -> list[Self]:
        """Cut into windows of at most ten seconds, the first beginning at `after`; at least one.

        A unit is evidence in the first window that it appears in, with all its requests there, and in no later one.
        """
        number = ((self.started_at - after) // WINDOW_SECONDS).astype(np.int64)
        _, first, unit = np.unique(self.units, return_index=True, return_inverse=True)
        number = np.where(number == number[first][unit], number, -1)
        found = sorted({0, *number.tolist()} - {-1})
        return [self._only(number == one) for one in found]

    def arm(self, *, candidate: bool) -> Self:
        """The requests of one side."""
        return self._only(self.of_candidate == candidate)

    def _only(self, kept: Flags | Units) -> Self:
        return type(self)(
            self.units[kept],
            self.started_at[kept],
            self.of_candidate[kept],
            self.failed[kept],
            self.unusable[kept],
            self.latency_ms[kept],
            self.cost_usd[kept],
        )

    def observations(self) -> dict[Metric, Observations]:
        """What was measured of every request."""
        return {
            Metric.ERRORS: Observations.of(self.units, self.failed),
            Metric.UNUSABLE: Observations.of(self.units, self.unusable),
            Metric.LATENCY: Observations.of(self.units, self.latency_ms),
            Metric.COST: Observations.of(self.units, self.cost_usd),
        }


def _serves_nobody(outcome: str) -> float:
    return float(outcome in UNUSABLE) if outcome in GIVEN else np.nan
