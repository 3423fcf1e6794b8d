"""What was not measured of some requests: counted, and bounded by the worst that it could be.

A blank latency is how a timeout looks in many exports. So a blank of the candidate's is as bad as the metric can be,
and one of stable's as good: what passes must pass even then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite

import numpy as np

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.formatting import show_harm
from softlaunch.core.live_metrics import Metric, Source
from softlaunch.core.verdict import Met, Outcome, Verdict
from softlaunch.forecast.replay.rows import Flags
from softlaunch.gates.observations import Floats
from softlaunch.gates.plain_figures import Plain, harm_met

_NO_SAMPLE = 0.95
"""Share of stable's answers, from which on scores are no sample, and one that lacks is missing."""


@dataclass(frozen=True, slots=True)
class WorstCase:
    """How many values are missing, of how many, and the harm that there would be were they as bad as can be.

    `harm` is in the margin's unit by what is compared, and infinite where nothing bounds it.
    """

    metric: Metric
    missing: ByArm[int]
    asked: ByArm[int]
    harm: Mapping[str, float]

    @property
    def said(self) -> str:
        """A sentence without its end."""
        what = "requests" if self.metric is Metric.ERRORS else "answers"
        counts = (
            f"{self.metric.value} is missing for {self.missing.candidate:,} of {self.asked.candidate:,} of the "
            f"candidate's {what} and {self.missing.stable:,} of {self.asked.stable:,} of stable's"
        )
        shown = (
            f"{show_harm(self.metric, harm) if isfinite(harm) else 'anything'} {where}"
            for where, harm in self.harm.items()
        )
        return f"{counts}; were these as bad as can be, the change would be {' and '.join(shown)}"

    def exceeds(self, margin: float | None) -> bool:
        """Whether what is missing could hide more than the margin."""
        return margin is not None and max(self.harm.values(), default=0.0) > margin

    def bounding(self, verdict: Verdict) -> Verdict:
        """The verdict, which is no pass where one would rest on what is missing."""
        if verdict.outcome is not Outcome.PASS or not self.exceeds(verdict.margin):
            return verdict
        allowed = show_harm(self.metric, verdict.margin).removeprefix("+")
        return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=f"{self.said}, margin {allowed}: {self._next}")

    @property
    def _next(self) -> str:
        """What would decide."""
        how = "whether each failed" if self.metric.is_event else "what each came to"
        instead = "" if self.metric is Metric.ERRORS else ", or mark those that no answer came to as failed (ok = 0)"
        return f"fill in {how}{instead}, and replay again"


@dataclass(slots=True, eq=False)
class Blanks:
    """The known values of a metric by arm, and how many are missing, over all requests of a stage."""

    metric: Metric
    known: ByArm[Plain] = field(init=False)
    missing: ByArm[int] = NONE_COUNTED

    def __post_init__(self) -> None:
        """Nothing is counted yet."""
        self.known = ByArm(*(Plain(is_magnitude=self.metric.is_relative) for _ in range(2)))

    def add(self, at: Floats, candidate: Flags, values: Floats, asked: Flags) -> None:
        """Count requests, arrays of equal length; only those that are `asked` for could have a value."""
        known = ~np.isnan(values)
        for plain, arm in ((self.known.candidate, candidate), (self.known.stable, ~candidate)):
            chosen = known & arm
            plain.add(at[chosen], values[chosen])
        blank = asked & ~known
        mine = int(np.count_nonzero(blank & candidate))
        self.missing += ByArm(mine, int(np.count_nonzero(blank)) - mine)

    def worst_case(self, counted: ByArm[Plain] | None = None) -> WorstCase | None:
        """What is missing; None where nothing is, where it is left out of a sample, and where an arm has no value.

        `counted` are sessions or users, where they are what the gate counts: a missing value may be one of each.
        """
        if self.missing == NONE_COUNTED or self._is_sample:
            return None
        known, within = (self.known, False) if counted is None else (counted, True)
        if not (known.candidate.requests and known.stable.requests):
            return None
        high = not self.metric.higher_is_better
        worst = known.candidate.were(self.missing.candidate, high=high, within=within)
        best = known.stable.were(self.missing.stable, high=not high, within=within)
        asked = ByArm(self.known.candidate.requests, self.known.stable.requests) + self.missing
        return WorstCase(self.metric, self.missing, asked, _harms(self.metric, worst, best))

    @property
    def _is_sample(self) -> bool:
        """Users rate what they like to, and judges score a part, unless they score nearly all of stable's answers."""
        if self.metric.entry.source is not Source.SCORES:
            return self.metric.is_rated
        known = self.known.stable.requests
        return known < _NO_SAMPLE * (known + self.missing.stable)


def _harms(metric: Metric, candidate: Met, stable: Met) -> dict[str, float]:
    """Harm of figures that may be zero and infinite, in the margin's unit, by what was compared."""
    if not metric.is_relative:
        return harm_met(metric, candidate, stable)
    pairs = {"at the median": (candidate.value, stable.value), "at the 95th percentile": (candidate.slow, stable.slow)}
    return {name: _change(one or 0.0, other or 0.0) for name, (one, other) in pairs.items()}


def _change(candidate: float, stable: float) -> float:
    if not stable:
        return inf if candidate else 0.0
    return candidate / stable - 1
