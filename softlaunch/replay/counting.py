"""Rows of a window become observations: each unit counts once in a stage."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from softlaunch.gates.observations import Floats, Observations, Window
from softlaunch.policy.model import RATED_METRICS, Metric
from softlaunch.replay.rows import Flags, Rows
from softlaunch.replay.seen import SeenUnits


@dataclass(slots=True, eq=False)
class StageCount:
    """Counts each unit of a stage, for some metrics, in the window in which it first appears and not again.

    Requests of one user resemble each other, also from window to window. For ratings, which come later and seldom, it
    is the window in which a unit is first rated.
    """

    metrics: Collection[Metric]
    requests: SeenUnits = field(default_factory=SeenUnits)
    ratings: dict[Metric, SeenUnits] = field(default_factory=dict)

    def window(self, rows: Rows, share: float, *, is_split: bool) -> Window:
        """What the gates see of a window of rows, of which `share` were meant for the candidate.

        `is_split` where units were assigned to an arm, which can be found wrong, and not copied from one to the other.
        """
        asking = _first(self.requests, rows, rows.named)
        known = {metric: column for metric, column in rows.values.items() if metric in self.metrics}
        counted = {metric: self._counted(metric, column, rows, asking) for metric, column in known.items()}
        split = (_units(rows, asking & rows.candidate), _units(rows, asking & ~rows.candidate)) if is_split else None
        candidate, stable = (_observed(rows, arm, counted) for arm in (rows.candidate, ~rows.candidate))
        return Window(share, candidate, stable, split)

    def _counted(self, metric: Metric, column: Floats, rows: Rows, asking: Flags) -> Floats:
        """The column, with NaN in place of what doesn't count."""
        if metric not in RATED_METRICS:
            return np.where(asking, column, np.nan)
        rated = ~np.isnan(column)
        if metric not in self.ratings:
            self.ratings[metric] = SeenUnits()
        return np.where(_first(self.ratings[metric], rows, rated & rows.named), column, np.nan)


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
