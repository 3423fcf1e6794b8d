"""Rows of a window become what the gates see: who is met for the first time, and everything that happened."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.measured import Measured, Rates
from softlaunch.forecast.replay.missing import Blanks
from softlaunch.forecast.replay.rows import Flags, Rows
from softlaunch.forecast.replay.seen import FirstArms, SeenUnits
from softlaunch.gates.observations import Events, Floats, Observations, Window


@dataclass(slots=True, eq=False)
class StageCount:
    """Counts the requests of a stage, for some metrics.

    As an observation each unit counts in the window in which it first appears and not again: requests of one user
    resemble each other, also from window to window. For ratings, which come later and seldom, it is the window in
    which a unit is first rated. Where units were assigned to an arm, a unit belongs to the one on which it was first
    seen, and what it did on the other one is left out; `arms` counts that.
    """

    metrics: Collection[Metric]
    arms: FirstArms = field(default_factory=FirstArms)
    copied: SeenUnits = field(default_factory=SeenUnits)
    ratings: dict[Metric, SeenUnits] = field(default_factory=dict)
    measured: dict[Metric, Measured] = field(default_factory=dict)
    blanks: dict[Metric, Blanks] = field(default_factory=dict)
    rows: ByArm[int] = NONE_COUNTED
    until: float = -np.inf

    def window(self, rows: Rows, share: float, *, is_split: bool) -> Window:
        """What the gates see of a window of rows, of which `share` were meant for the candidate.

        `is_split` where units were assigned to an arm, which can be found wrong, and not copied from one to the other.
        """
        rows, asking = self._own(rows.only(np.argsort(rows.ts, kind="stable")), is_split=is_split)
        known = {metric: column for metric, column in rows.values.items() if metric in self.metrics}
        self._measure(rows, known)
        of_candidate = int(np.count_nonzero(rows.candidate))
        self.rows += ByArm(of_candidate, len(rows) - of_candidate)
        counted = {metric: self._counted(metric, column, rows, asking) for metric, column in known.items()}
        split = ByArm(_units(rows, asking & rows.candidate), _units(rows, asking & ~rows.candidate))
        candidate, stable = (_observed(rows, arm, counted) for arm in (rows.candidate, ~rows.candidate))
        at = np.maximum(rows.ts, self.until)  # what came late happened, for the gates, when it came
        self.until = max(self.until, float(at.max(initial=-np.inf)))
        requests, ratings = _events(rows, at, known)
        return Window(share, candidate, stable, split if is_split else None, requests, ratings, self.until)

    def rates(self, metric: Metric) -> Rates | None:
        """Of how many requests of each arm a metric is known; None where that can't be said."""
        return self.measured[metric].rates(metric) if metric in self.measured else None

    def _own(self, rows: Rows, *, is_split: bool) -> tuple[Rows, Flags]:
        """The rows on their unit's first arm, and whether each unit is met for the first time."""
        if not is_split:
            return rows, _first(self.copied, rows, rows.named)
        own, fresh = self.arms.meet(rows)
        return rows.only(own), fresh[own]

    def _measure(self, rows: Rows, known: Mapping[Metric, Floats]) -> None:
        """Count what has a value; no answer came to a failed request, so that nothing else of it can be missing."""
        answered = known.get(Metric.ERRORS, np.zeros(len(rows))) != 1
        for metric, column in known.items():
            asked = np.ones(len(rows), dtype=np.bool_) if metric is Metric.ERRORS else answered
            self.measured.setdefault(metric, Measured()).add(rows.units, rows.candidate, ~np.isnan(column), asked)
            self.blanks.setdefault(metric, Blanks(metric)).add(rows.ts, rows.candidate, column, asked)

    def _counted(self, metric: Metric, column: Floats, rows: Rows, asking: Flags) -> Floats:
        """The column, with NaN in place of what doesn't count."""
        if not metric.is_rated:
            return np.where(asking, column, np.nan)
        rated = ~np.isnan(column)
        if metric not in self.ratings:
            self.ratings[metric] = SeenUnits()
        return np.where(_first(self.ratings[metric], rows, rated & rows.named), column, np.nan)


def _events(rows: Rows, at: Floats, known: Mapping[Metric, Floats]) -> tuple[Events, Mapping[Metric, Events]]:
    """All requests, with what was measured of each, and per rated metric those that have a value."""
    measured = {metric: column for metric, column in known.items() if not metric.is_rated}
    answers = rows.ts.view(np.int64) ^ rows.units  # nobody asks twice at the same moment
    ratings = {
        metric: Events(at, rows.units, rows.candidate, {metric: column}, answers=answers).only(~np.isnan(column))
        for metric, column in known.items()
        if metric.is_rated
    }
    return Events(at, rows.units, rows.candidate, measured, rows.covariates), ratings


def _first(seen: SeenUnits, rows: Rows, marked: Flags) -> Flags:
    """False where a marked row's unit was marked in a window before this one."""
    first = np.ones(len(rows), dtype=np.bool_)
    first[marked] = seen.first_time(rows.units[marked])
    return first


def _units(rows: Rows, marked: Flags) -> int:
    """How many different units marked rows have."""
    return len(np.unique(rows.units[marked & rows.named])) + int(np.count_nonzero(marked & ~rows.named))


def _observed(rows: Rows, arm: Flags, counted: Mapping[Metric, Floats]) -> Mapping[Metric, Observations]:
    return {metric: Observations.of(rows.units[arm], column[arm]) for metric, column in counted.items()}
