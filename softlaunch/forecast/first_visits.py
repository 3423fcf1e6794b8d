"""What stable's users did in their first visits: the sample that a plan draws a stage's users from."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from softlaunch.gates.observations import Events, Flags, Floats, Units
from softlaunch.gates.reference import ENOUGH
from softlaunch.gates.visits import ByUnit, VisitRule, Visits


@dataclass(frozen=True, slots=True, eq=False)
class FirstVisits:
    """One value a request, shape (n,), visit by visit, in order of time within each; `start` has shape (visits,)."""

    values: Floats
    start: Units

    @classmethod
    def of_lengths(cls, values: Floats, lengths: Units) -> Self:
        """From visits of so many requests each."""
        return cls(values, np.cumsum(lengths) - lengths)

    @classmethod
    def alone(cls, values: Floats) -> Self:
        """Visits of one request each."""
        return cls(values, np.arange(len(values)))

    @classmethod
    def of_events(cls, events: Events, values: Floats, rule: VisitRule) -> Self:
        """The first visit of each unit; requests whose value is NaN are left out.

        Visits that may have gone on when the events end are left out too, unless hardly any would remain.
        """
        if not len(events):
            return cls.alone(np.empty(0))
        seen = ByUnit.of(events, values[:, None])
        lengths = np.where(_settled(seen, rule), _lengths(seen, rule), 0)
        rank = np.arange(len(seen.at)) - np.repeat(seen.start, seen.length)
        kept = (rank < np.repeat(lengths, seen.length)) & ~np.isnan(seen.columns[:, 0])
        held = np.add.reduceat(kept.astype(np.int64), seen.start)
        return cls.of_lengths(seen.columns[kept, 0], held[held > 0])

    def __len__(self) -> int:
        """How many visits there are."""
        return len(self.start)

    @property
    def lengths(self) -> Units:
        """Requests of each visit, shape (visits,)."""
        return np.diff(self.start, append=len(self.values))

    def means(self, columns: Floats) -> Floats:
        """Means over each visit of columns of its requests, shape (n, columns); shape (visits, columns)."""
        return np.asarray(np.add.reduceat(columns, self.start, axis=0) / self.lengths[:, None])

    def correlation(self, values: Floats) -> float:
        """The intra-class correlation of the requests of a visit, in [0, 1), by analysis of variance."""
        lengths = self.lengths
        count, visits = len(values), len(lengths)
        if visits < 2 or count == visits:
            return 0.0
        sums = np.add.reduceat(values, self.start)
        within = float((values * values).sum() - (sums * sums / lengths).sum()) / (count - visits)
        between = float((sums * sums / lengths).sum() - values.sum() ** 2 / count) / (visits - 1)
        usual = (count - float((lengths * lengths).sum()) / count) / (visits - 1)
        spread = between + (usual - 1) * within
        return float(np.clip((between - within) / spread, 0.0, 0.95)) if spread > 0 else 0.0


def seconds_until_over(events: Events, rule: VisitRule) -> float:
    """Mean time from a unit's first request until its first visit is over."""
    if not len(events):
        return rule.pause
    seen = ByUnit.of(events, np.zeros((len(events), 0)))
    lengths = _lengths(seen, rule)
    lasted = seen.at[seen.start + lengths - 1] - seen.at[seen.start]
    over = np.where(lengths >= rule.most, lasted, np.minimum(lasted + rule.pause, rule.age))
    return float(over[_settled(seen, rule)].mean())


def _lengths(seen: ByUnit, rule: VisitRule) -> Units:
    """Requests of each unit's first visit."""
    places = replace(seen, columns=np.arange(len(seen.at), dtype=np.float64)[:, None])
    middle = Visits(rule, 1).take(places, math.inf).means[:, 0]  # of the places of a visit's requests
    return np.asarray(np.rint(2 * (middle - seen.start)) + 1, dtype=np.int64)


def _settled(seen: ByUnit, rule: VisitRule) -> Flags:
    """Whose first visit was over before the end: surely, or where that would be too long ago, probably.

    Everybody where hardly any would remain.
    """
    began, end = seen.at[seen.start], float(seen.at.max())
    settled = began <= end - min(rule.age, (end - float(seen.at.min())) / 2)
    return np.asarray(settled if settled.sum() >= ENOUGH else np.ones(len(settled), np.bool_))
