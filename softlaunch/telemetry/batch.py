"""Rows of the request log as columns: fast to cut into windows and arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.request_outcome import GIVEN, TIMEOUTS, UNUSABLE, RequestOutcome
from softlaunch.gates.observations import Events, Flags, Floats, Observations, Units
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.route import Arm

WINDOW_SECONDS = 10.0
"""A watcher that catches up judges at most this much at once."""
CANDIDATES = frozenset({Arm.CANDIDATE, Arm.SHADOW})
# What failed at once was not fast. What timed out was slow, and so was what a client left: those who lose patience
# with a slow candidate must not vanish from its latency.
_TOOK_TIME = GIVEN | TIMEOUTS | {RequestOutcome.CLIENT_GONE}


def window_edges(after: float, until: float, *times: Floats) -> Floats:
    """Where windows begin and end that are ten seconds long at most, the first beginning at `after`.

    Ten seconds in which nothing happened belong to the window before them. `times` lie in [after, until).
    """
    numbers = np.unique(np.concatenate([np.zeros(1), *((at - after) // WINDOW_SECONDS for at in times)]))
    return np.append(after + WINDOW_SECONDS * numbers, until)


def cut(at: Floats, edges: Floats) -> list[Units]:
    """The places of ascending times in each window between these edges; all are within them."""
    inner = np.searchsorted(at, edges[1:-1])
    return np.split(np.arange(len(at)), inner)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Requests in the order in which they began; every array has shape (n,). NaN is what wasn't measured.

    `first` are those of units that hadn't been seen before these requests.
    """

    units: Units
    started_at: Floats
    of_candidate: Flags
    first: Flags
    failed: Floats
    unusable: Floats
    latency_ms: Floats
    cost_usd: Floats
    request_size: Floats
    streamed: Floats

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Self:
        """From rows that begin with queries.COLUMNS, and may go on with whether they are first; in any order.

        A blameless request is nobody's error, and its cost is cut short like its answer. Only an answer that came can
        be unusable: a failed request is an error, and not one more of these.
        """
        if not rows:
            none, never = np.empty(0), np.empty(0, np.bool_)
            return cls(np.empty(0, np.int64), none, never, never, none, none, none, none, none, none)
        units, outcomes, latencies, costs, started, arms, excused, sizes, streamed, *first = zip(*rows, strict=True)
        blameless = np.array(excused, dtype=np.bool_)
        latency = np.array(latencies, dtype=np.float64)
        latency[[outcome not in _TOOK_TIME for outcome in outcomes]] = np.nan
        cost = np.array(costs, dtype=np.float64)  # an unknown cost is None, which becomes NaN
        batch = cls(
            units=np.array(units, dtype=np.int64),
            started_at=np.array(started, dtype=np.float64),
            of_candidate=np.array([arm in CANDIDATES for arm in arms], dtype=np.bool_),
            first=np.array(first[0], dtype=np.bool_) if first else np.ones(len(units), np.bool_),
            failed=np.where(blameless, np.nan, [outcome not in GIVEN for outcome in outcomes]),
            unusable=np.array([_serves_nobody(outcome) for outcome in outcomes], dtype=np.float64),
            latency_ms=latency,
            cost_usd=np.where(blameless, np.nan, cost),
            request_size=np.array(sizes, dtype=np.float64),
            streamed=np.array(streamed, dtype=np.float64),
        )
        return batch._only(np.argsort(batch.started_at, kind="stable"))

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.units)

    def windows(self, edges: Floats) -> list[Self]:
        """One for each pair of neighbouring edges.

        A unit that is first is so in the first window that it appears in, with all its requests there, and in no later
        one.
        """
        window = np.searchsorted(edges[1:-1], self.started_at, side="right")
        _, earliest, unit = np.unique(self.units, return_index=True, return_inverse=True)
        first = self.first & (window == window[earliest][unit])
        return [self._only(places, first) for places in cut(self.started_at, edges)]

    def firsts(self, *, candidate: bool) -> Self:
        """The first requests of one side."""
        return self._only(self.first & (self.of_candidate == candidate))

    def _only(self, kept: Flags | Units, first: Flags | None = None) -> Self:
        return type(self)(
            self.units[kept],
            self.started_at[kept],
            self.of_candidate[kept],
            (self.first if first is None else first)[kept],
            self.failed[kept],
            self.unusable[kept],
            self.latency_ms[kept],
            self.cost_usd[kept],
            self.request_size[kept],
            self.streamed[kept],
        )

    def measured(self) -> dict[Metric, Floats]:
        """What was measured of every request."""
        return {
            Metric.ERRORS: self.failed,
            Metric.UNUSABLE: self.unusable,
            Metric.LATENCY: self.latency_ms,
            Metric.COST: self.cost_usd,
        }

    def observations(self) -> dict[Metric, Observations]:
        """What was measured, metric by metric, of the requests of which it was."""
        return {metric: Observations.of(self.units, column) for metric, column in self.measured().items()}

    def events(self) -> Events:
        """All requests of both sides."""
        covariates = {Adjustment.REQUEST_SIZE: self.request_size, Adjustment.STREAMED: self.streamed}
        return Events(self.started_at, self.units, self.of_candidate, self.measured(), covariates)


def _serves_nobody(outcome: str) -> float:
    return float(outcome in UNUSABLE) if outcome in GIVEN else np.nan
