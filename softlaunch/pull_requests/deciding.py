"""What would decide a comparison that is undecided: how many more cases, or how many more repeats of these. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.answers import EvalAnswer, EvalArm
from softlaunch.evals.statistics.paired import cases_needed
from softlaunch.evals.statistics.report import EvalReport, MetricComparison
from softlaunch.evals.statistics.rows import by_case, value_of

_MOST_REPEATS = 100


@dataclass(frozen=True, slots=True)
class Spread:
    """Why the mean differences of cases vary: between cases, and by the chance of one repeat within them.

    Both are variances; `repeats` is how often a case was asked on average.
    """

    between: float
    within: float
    repeats: float

    def repeats_for(self, variance: float) -> int | None:
        """How many repeats bring the variance of a case's mean difference down to this; None where no number does."""
        room = variance - self.between
        if room <= 0 or self.within <= 0:
            return None
        needed = ceil(self.within / room)
        return needed if needed <= _MOST_REPEATS else None


def what_would_decide(report: EvalReport, answers: Sequence[EvalAnswer]) -> tuple[str, ...]:
    """A sentence for each metric that is undecided; none for what is decided."""
    if report.outcome is not Outcome.INCONCLUSIVE:
        return ()
    undecided = (one for one in report.metrics if one.outcome is Outcome.INCONCLUSIVE)
    return tuple(_sentence(one, spread_of(answers, one.metric)) for one in undecided)


def _sentence(one: MetricComparison, spread: Spread) -> str:
    found = one.estimate
    margin = f"{one.margin * 100:g} {'%' if one.relative else 'points'}"
    if found.minimum_detectable <= one.margin:
        return (
            f"{one.metric}: these cases can show {margin}, and the difference lies near it; more repeats or cases "
            "narrow the interval, or a person decides"
        )
    more = max(0, cases_needed(found, one.margin) - found.cases)
    ways = [f"about {more:,} more cases (there are {found.cases:,})"]
    total = spread.between + spread.within / max(spread.repeats, 1.0)
    repeats = spread.repeats_for(total * (one.margin / found.minimum_detectable) ** 2)
    if repeats is not None and repeats > spread.repeats:
        ways.append(f"about {repeats} repeats of each case (there are {spread.repeats:g})")
    else:
        ways.append(f"a tolerance of {found.minimum_detectable * 100:.1f} {'%' if one.relative else 'points'}")
    return f"{one.metric}: to show {margin} it would take {' or '.join(ways)}"


def spread_of(answers: Sequence[EvalAnswer], metric: str) -> Spread:
    """How a metric varies between the cases of both arms, and within them."""
    pairs = list(_values(answers, metric))
    if not pairs:
        return Spread(0.0, 0.0, 0.0)
    repeats = float(np.mean([(len(one) + len(other)) / 2 for one, other in pairs]))
    within = float(np.mean([_variance(one) + _variance(other) for one, other in pairs]))
    means = [float(np.mean(other)) - float(np.mean(one)) for one, other in pairs]
    return Spread(max(0.0, _variance(means) - within / repeats), within, round(repeats, 1))


def _values(answers: Sequence[EvalAnswer], metric: str) -> Iterator[tuple[list[float], list[float]]]:
    grouped = by_case(answers)
    for case_id in dict.fromkeys(case_id for case_id, _ in grouped):
        arms: Mapping[EvalArm, list[float]] = {
            arm: [value for one in grouped.get((case_id, arm), ()) if (value := value_of(one, metric)) is not None]
            for arm in EvalArm
        }
        if all(arms.values()):
            yield arms[EvalArm.STABLE], arms[EvalArm.CANDIDATE]


def _variance(values: Sequence[float]) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
