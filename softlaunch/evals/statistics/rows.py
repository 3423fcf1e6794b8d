"""Folding the answers of an eval into one row per case and totals per arm."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from softlaunch.evals.calls.answers import EvalAnswer, EvalArm, Status
from softlaunch.evals.statistics.report import ArmTotals, CaseArm, CaseRow
from softlaunch.metrics import ACCURACY

ByCase = Mapping[tuple[str, EvalArm], Sequence[EvalAnswer]]
_OWN_FIGURES = {"latency": "latency_ms", "cost": "cost_usd"}


class ComparedCase(Protocol):
    """What a comparison reads of a case, whether of a golden set or of recorded outputs."""

    @property
    def id(self) -> str:
        """Unique among the cases."""

    @property
    def asked(self) -> str:
        """What was asked, for people."""

    @property
    def wanted(self) -> str:
        """What a right answer is, for people; empty where nobody wrote it down."""

    @property
    def weight(self) -> float:
        """How many ordinary cases it counts for."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What it is about."""


def by_case(answers: Iterable[EvalAnswer]) -> ByCase:
    """Answers by case and arm, in the order of their repeats."""
    grouped: dict[tuple[str, EvalArm], list[EvalAnswer]] = defaultdict(list)
    for answer in sorted(answers, key=lambda answer: answer.key.repeat):
        grouped[answer.key.case_id, answer.key.arm].append(answer)
    return grouped


def value_of(answer: EvalAnswer, metric: str) -> float | None:
    """A metric's value of one call; latency and cost are the call's own where no score has that name."""
    if metric in answer.scores or metric not in _OWN_FIGURES or answer.status is Status.UNSCORED:
        return answer.scores.get(metric)
    found: float | None = getattr(answer, _OWN_FIGURES[metric])
    return found


def mean_value(answers: Iterable[EvalAnswer], metric: str) -> float | None:
    """Weighted mean over the repeats of one case in one arm that have a value; None where none has."""
    values = [(value, answer.weight) for answer in answers if (value := value_of(answer, metric)) is not None]
    if not values:
        return None
    return sum(value * weight for value, weight in values) / sum(weight for _, weight in values)


def case_row(case: ComparedCase, grouped: ByCase, metric: str = ACCURACY) -> CaseRow:
    """One case in both arms, with a pair of answers that shows the change of a metric if there is one."""
    stable = grouped.get((case.id, EvalArm.STABLE), ())
    candidate = grouped.get((case.id, EvalArm.CANDIDATE), ())
    worse = (mean_value(candidate, metric) or 0) < (mean_value(stable, metric) or 0)
    return CaseRow(
        case_id=case.id,
        asked=case.asked,
        wanted=case.wanted,
        weight=case.weight,
        tags=case.tags,
        stable=_case_arm(stable, metric, best=worse),
        candidate=_case_arm(candidate, metric, best=not worse),
    )


def arm_totals(answers: Iterable[EvalAnswer], arm: EvalArm) -> ArmTotals:
    """Counts, cost and latency of one arm's calls."""
    own = [answer for answer in answers if answer.key.arm is arm]
    scored = [answer for answer in own if answer.status is Status.SCORED]
    latencies = [answer.latency_ms for answer in scored if answer.latency_ms is not None]
    return ArmTotals(
        calls=len(own),
        scored=len(scored),
        errors=error_counts(own),
        cost_usd=total_cost(own),
        latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
        latency_p95_ms=float(np.percentile(latencies, 95)) if latencies else None,
    )


def error_counts(answers: Iterable[EvalAnswer]) -> Mapping[str, int]:
    """How many calls ended without a score, by code."""
    return dict(Counter(answer.error or "unknown" for answer in answers if answer.status is Status.UNSCORED))


def total_cost(answers: Iterable[EvalAnswer]) -> float | None:
    """USD of the answered calls; None where there are none, or the cost of any is unknown."""
    costs = [answer.cost_usd for answer in answers if answer.status is Status.SCORED]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if costs and len(known) == len(costs) else None


def _case_arm(answers: Sequence[EvalAnswer], metric: str, *, best: bool) -> CaseArm:
    scored = [(value, answer) for answer in answers if (value := value_of(answer, metric)) is not None]
    shown = (max if best else min)(scored, key=lambda one: one[0], default=(None, None))[1]
    shown = shown or next((answer for answer in answers if answer.answer is not None), None)
    failed = next((answer.error for answer in answers if answer.status is Status.UNSCORED), None)
    return CaseArm(
        mean=mean_value(answers, metric),
        scored=len(scored),
        unscored=len(answers) - len(scored),
        flips=sum(before != after for before, after in pairwise(value for value, _ in scored)),
        answer=shown.answer if shown else None,
        error=failed,
    )
