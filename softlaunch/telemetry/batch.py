"""Rows of the request log as columns: fast to cut into windows and arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from softlaunch.core.answer_checks import BITS, FORM_UNKNOWN
from softlaunch.core.live_metrics import Metric
from softlaunch.core.request_outcome import GIVEN, TIMEOUTS, UNUSABLE, RequestOutcome
from softlaunch.gates.observations import Events, Flags, Floats, Observations, Units
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.route import Arm

WINDOW_SECONDS = 10.0
"""A watcher that catches up judges at most this much at once."""
_COLUMN_COUNT = 10
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

    `first` are those of units that hadn't been seen before these requests. `values` is what was measured of every
    request, metric by metric, and `covariates` what was known before it was answered.
    """

    units: Units
    started_at: Floats
    of_candidate: Flags
    first: Flags
    values: Mapping[Metric, Floats]
    covariates: Mapping[Adjustment, Floats]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Self:
        """From rows that begin with queries.COLUMNS, and may go on with whether they are first; in any order."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * _COLUMN_COUNT
        units, outcomes, latencies, costs, started, arms, excused, sizes, streamed, checks, *first = columns
        batch = cls(
            units=np.array(units, dtype=np.int64),
            started_at=np.array(started, dtype=np.float64),
            of_candidate=np.array([arm in CANDIDATES for arm in arms], dtype=np.bool_),
            first=np.array(first[0], dtype=np.bool_) if first else np.ones(len(units), np.bool_),
            values={**_measured(outcomes, latencies, costs, excused), **_told(checks)},
            covariates={
                Adjustment.REQUEST_SIZE: np.array(sizes, dtype=np.float64),
                Adjustment.STREAMED: np.array(streamed, dtype=np.float64),
            },
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
            {metric: column[kept] for metric, column in self.values.items()},
            {name: column[kept] for name, column in self.covariates.items()},
        )

    def observations(self) -> dict[Metric, Observations]:
        """What was measured, metric by metric, of the requests of which it was."""
        return {metric: Observations.of(self.units, column) for metric, column in self.values.items()}

    def events(self) -> Events:
        """All requests of both sides."""
        return Events(self.started_at, self.units, self.of_candidate, self.values, self.covariates)


def _measured(
    outcomes: Sequence[str], latencies: Sequence[float], costs: Sequence[float | None], excused: Sequence[bool]
) -> dict[Metric, Floats]:
    """A blameless request is nobody's error, and its cost is cut short like its answer.

    Only an answer that came can be unusable: a failed request is an error, and not one more of these.
    """
    blameless = np.array(excused, dtype=np.bool_)
    latency = np.array(latencies, dtype=np.float64)
    latency[[outcome not in _TOOK_TIME for outcome in outcomes]] = np.nan
    cost = np.array(costs, dtype=np.float64)  # an unknown cost is None, which becomes NaN
    return {
        Metric.ERRORS: np.where(blameless, np.nan, [outcome not in GIVEN for outcome in outcomes]),
        Metric.UNUSABLE: np.array([_serves_nobody(outcome) for outcome in outcomes], dtype=np.float64),
        Metric.LATENCY: latency,
        Metric.COST: np.where(blameless, np.nan, cost),
    }


def _serves_nobody(outcome: str) -> float:
    return float(outcome in UNUSABLE) if outcome in GIVEN else np.nan


def _told(checks: Sequence[int | None]) -> dict[Metric, Floats]:
    """What checks told of answers; nothing of a form that couldn't be checked."""
    unknown = np.array([found is None for found in checks], dtype=np.bool_)
    bits = np.array([found or 0 for found in checks], dtype=np.int64)
    told = {metric: np.where(unknown, np.nan, (bits & bit) != 0) for metric, bit in BITS.items()}
    told[Metric.MALFORMED_OUTPUT][(bits & FORM_UNKNOWN) != 0] = np.nan
    return told
