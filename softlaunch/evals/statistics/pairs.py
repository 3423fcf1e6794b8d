"""A metric's values of both arms on the same cases: those that can be compared, and the worst of those that can't."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.evals.calls.answers import EvalArm
from softlaunch.evals.statistics.amounts import AmountEstimate, estimate_amounts
from softlaunch.evals.statistics.multiplicity import Levels
from softlaunch.evals.statistics.paired import Floats, estimate
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.evals.statistics.rows import ByCase, ComparedCase, mean_value


@dataclass(frozen=True, slots=True)
class PairedMetric:
    """A metric's case means in both arms, on the cases that have both, and the cases' weights."""

    plan: MetricPlan
    margin: Margin
    stable: Floats
    candidate: Floats
    weights: Floats

    @property
    def relative(self) -> bool:
        """Whether harm is a share of stable's."""
        return self.margin.kind is MarginKind.RELATIVE

    def compared(self, level: float) -> AmountEstimate | None:
        """The harm and what it is between; None where amounts of zero leave nothing to be a share of."""
        if self.relative:
            return estimate_amounts(
                self.stable,
                self.candidate,
                self.weights,
                margin=self.margin.value,
                level=level,
                higher_is_better=self.plan.higher_is_better,
            )
        found = estimate(self.stable, self.candidate, self.weights, margin=self.margin.value, level=level)
        stable, candidate = (float(np.average(arm, weights=self.weights)) for arm in (self.stable, self.candidate))
        return AmountEstimate(found, "mean", stable, candidate, (), ())

    def between(self, levels: Levels) -> AmountEstimate | None:
        """The same where the two claims have levels of their own: the upper bound of harm has that of passing."""
        found = self.compared(levels.failing)
        if found is None or levels.passing == levels.failing:
            return found
        passing = self.compared(levels.passing)
        if passing is None or passing.what != found.what:
            return found
        return replace(found, estimate=replace(found.estimate, upper=passing.estimate.upper))


@dataclass(frozen=True, slots=True)
class OneSided:
    """The cases that only one arm has a value for: that value, and the case's weight."""

    stable: tuple[tuple[float, float], ...]
    candidate: tuple[tuple[float, float], ...]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.stable) + len(self.candidate)


def pair(cases: Sequence[ComparedCase], grouped: ByCase, plan: MetricPlan, tolerance: Margin) -> PairedMetric | None:
    """The metric on the cases that both arms have a value for; None where there are none."""
    pairs = [
        (stable, candidate, case.weight)
        for case in cases
        if (stable := _value(case, grouped, plan, EvalArm.STABLE)) is not None
        and (candidate := _value(case, grouped, plan, EvalArm.CANDIDATE)) is not None
    ]
    return PairedMetric(plan, plan.margin or tolerance, *np.array(pairs, dtype=np.float64).T) if pairs else None


def one_sided(cases: Sequence[ComparedCase], grouped: ByCase, plan: MetricPlan) -> OneSided:
    """The metric on the cases that one arm alone has a value for."""
    found: dict[EvalArm, list[tuple[float, float]]] = {arm: [] for arm in EvalArm}
    for case in cases:
        stable, candidate = (_value(case, grouped, plan, arm) for arm in (EvalArm.STABLE, EvalArm.CANDIDATE))
        if stable is not None and candidate is None:
            found[EvalArm.STABLE].append((stable, case.weight))
        elif candidate is not None and stable is None:
            found[EvalArm.CANDIDATE].append((candidate, case.weight))
    return OneSided(tuple(found[EvalArm.STABLE]), tuple(found[EvalArm.CANDIDATE]))


def _value(case: ComparedCase, grouped: ByCase, plan: MetricPlan, arm: EvalArm) -> float | None:
    return mean_value(grouped.get((case.id, arm), ()), plan.metric)
