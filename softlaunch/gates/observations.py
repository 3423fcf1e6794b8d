"""What the gates see: per arm and metric, one value per request together with the unit that made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.policy.gating import Adjustment

Floats = NDArray[np.float64]
Units = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Values of one metric in one arm, shape (n,), and their units' pseudonyms, shape (n,); never NaN.

    Errors, unusable answers and hallucinations are 0 or 1, quality and satisfaction are in [0, 1], latency is in
    milliseconds and cost in USD.
    """

    units: Units
    values: Floats

    @classmethod
    def of(cls, units: Units, values: Floats) -> "Observations":
        """Observations from equally long arrays; entries whose value is NaN were not measured and are left out."""
        known = ~np.isnan(values)
        return cls(np.asarray(units, dtype=np.int64)[known], np.asarray(values, dtype=np.float64)[known])

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.values)


NONE = Observations(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Everything that happened in a window, in order of time, whoever had been seen before.

    `at` (epoch seconds), `units` and `candidate` (whether the candidate answered) have shape (n,), and so has each
    metric's column of `values`, in the units of `Observations`; NaN is what wasn't measured. `covariates` are columns
    of what was known before an arm answered: a request's size in characters, and whether it asked for a stream (0 or
    1); NaN where unknown. `answers`, shape (n,), are the pseudonyms of the answers that something was said of, by which
    ratings and scores of one answer find each other; None where the source doesn't tell.
    """

    at: Floats
    units: Units
    candidate: Flags
    values: Mapping[Metric, Floats] = field(default_factory=dict)
    covariates: Mapping[Adjustment, Floats] = field(default_factory=dict)
    answers: Units | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.at)

    def only(self, kept: Flags | Units) -> "Events":
        """Some of them."""
        return Events(
            self.at[kept],
            self.units[kept],
            self.candidate[kept],
            {metric: column[kept] for metric, column in self.values.items()},
            {name: column[kept] for name, column in self.covariates.items()},
            None if self.answers is None else self.answers[kept],
        )

    def measured(self, metric: Metric) -> Floats:
        """The values of a metric that were measured."""
        column = self.values.get(metric, np.empty(0))
        return column[~np.isnan(column)]

    def together(self, other: "Events") -> "Events":
        """Both, in order of time; a metric or covariate that one of them doesn't know wasn't measured there."""
        values = {
            metric: np.concatenate([side.values.get(metric, np.full(len(side), np.nan)) for side in (self, other)])
            for metric in {**self.values, **other.values}
        }
        covariates = {
            name: np.concatenate([side.covariates.get(name, np.full(len(side), np.nan)) for side in (self, other)])
            for name in {**self.covariates, **other.covariates}
        }
        both = Events(
            np.concatenate([self.at, other.at]),
            np.concatenate([self.units, other.units]),
            np.concatenate([self.candidate, other.candidate]),
            values,
            covariates,
            self._answers_with(other),
        )
        return both.only(np.argsort(both.at, kind="stable"))

    def _answers_with(self, other: "Events") -> Units | None:
        """Both ones' answers; who has no events doesn't matter."""
        told = [side.answers for side in (self, other) if len(side)]
        known = [one for one in told if one is not None]
        return np.concatenate(known) if known and len(known) == len(told) else None


NO_EVENTS = Events(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True)
class Window:
    """Concurrent observations of both arms.

    Windows are folded in order of time and never overlap. `candidate_share` is the probability in (0, 1) that an
    observation belonged to the candidate. `candidate` and `stable` are observations of units that were first seen in
    this window. `split` counts these units where the gateway assigned them; None where both arms answered the same
    requests.

    `requests` are all requests of the window, of units seen before too, and `ratings` all ratings and scores, per
    metric, by the time from which they count, soon after they arrived; both are complete up to `until` (epoch
    seconds). `requests` is None where the source can't tell one request of a unit from another, or both arms answered
    the same requests.
    """

    candidate_share: float
    candidate: Mapping[Metric, Observations] = field(default_factory=dict)
    stable: Mapping[Metric, Observations] = field(default_factory=dict)
    split: ByArm[int] | None = None
    requests: Events | None = None
    ratings: Mapping[Metric, Events] = field(default_factory=dict)
    until: float = -np.inf

    def merge(self, other: "Window") -> "Window":
        """The same window as seen by two gateways together. Both must have served by the same split."""
        if self.candidate_share != other.candidate_share:
            raise ValueError(f"windows of different splits: {self.candidate_share} and {other.candidate_share}")
        unsplit = self.split is None and other.split is None
        return Window(
            self.candidate_share,
            _merged(self.candidate, other.candidate),
            _merged(self.stable, other.stable),
            None if unsplit else (self.split or NONE_COUNTED) + (other.split or NONE_COUNTED),
            self._requests_with(other),
            {
                metric: self.ratings.get(metric, NO_EVENTS).together(other.ratings.get(metric, NO_EVENTS))
                for metric in {**self.ratings, **other.ratings}
            },
            max(self.until, other.until),
        )

    def _requests_with(self, other: "Window") -> Events | None:
        if self.requests is None:
            return other.requests
        if other.requests is None:
            return self.requests
        return self.requests.together(other.requests)


def _merged(ours: Mapping[Metric, Observations], theirs: Mapping[Metric, Observations]) -> dict[Metric, Observations]:
    return {
        metric: Observations(
            np.concatenate([side.get(metric, NONE).units for side in (ours, theirs)]),
            np.concatenate([side.get(metric, NONE).values for side in (ours, theirs)]),
        )
        for metric in {**ours, **theirs}
    }


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Observations counted by bucket: indices, ascending and distinct, and weights, both of shape (n,).

    A unit's requests share one weight evenly, so `units` is the sum of the weights. To bet on each request with a
    fraction of a bet multiplies to at most what one whole bet on their mean gives (the arithmetic mean is above the
    geometric), so the evidence stays valid however correlated the requests of a unit are.
    """

    index: Units
    weight: Floats
    requests: int = 0

    @classmethod
    def of(cls, units: Units, index: Units) -> "Tally":
        """Count buckets, arrays of equal length."""
        _, inverse, requests = np.unique(units, return_inverse=True, return_counts=True)
        share = 1.0 / requests[inverse] if len(units) else np.empty(0)
        lowest = index.min(initial=0)
        weight = np.bincount(index - lowest, weights=share).astype(np.float64)
        held = np.flatnonzero(weight)
        return cls(held + lowest, weight[held], len(index))

    @classmethod
    def count(cls, index: Units) -> "Tally":
        """Count buckets of units that have one request each, shape (n,)."""
        lowest = index.min(initial=0)
        counts = np.bincount(index - lowest)
        held = counts.nonzero()[0]
        return cls(held + lowest, counts[held].astype(np.float64), len(index))

    @property
    def units(self) -> float:
        """How many units there are."""
        return float(self.weight.sum())

    def times(self, factor: float) -> "Tally":
        """The same with each weight times a factor."""
        return Tally(self.index, self.weight * factor, self.requests)
