"""Folding the answers of an eval into one row per case and totals per arm."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from softlaunch.evals.answers import EvalAnswer, EvalArm, Status
from softlaunch.evals.metrics import ACCURACY
from softlaunch.evals.report import ArmTotals, CaseArm, CaseRow
from softlaunch.evals.suite import Case

ByCase = Mapping[tuple[str, EvalArm], Sequence[EvalAnswer]]


def by_case(answers: Iterable[EvalAnswer]) -> ByCase:
    """Answers by case and arm, in the order of their repeats."""
    grouped: dict[tuple[str, EvalArm], list[EvalAnswer]] = defaultdict(list)
    for answer in sorted(answers, key=lambda answer: answer.key.repeat):
        grouped[answer.key.case_id, answer.key.arm].append(answer)
    return grouped


def mean_score(answers: Iterable[EvalAnswer], metric: str) -> float | None:
    """Mean over the scored repeats of one case in one arm; None where no repeat has this score."""
    values = [answer.scores[metric] for answer in answers if metric in answer.scores]
    return float(np.mean(values)) if values else None


def case_row(case: Case, grouped: ByCase) -> CaseRow:
    """One case in both arms, with a pair of answers that shows the change if there is one."""
    stable = grouped.get((case.id, EvalArm.STABLE), ())
    candidate = grouped.get((case.id, EvalArm.CANDIDATE), ())
    worse = (mean_score(candidate, ACCURACY) or 0) < (mean_score(stable, ACCURACY) or 0)
    return CaseRow(
        case_id=case.id,
        asked=case.asked,
        wanted=case.wanted,
        weight=case.weight,
        tags=case.tags,
        stable=_case_arm(stable, best=worse),
        candidate=_case_arm(candidate, best=not worse),
    )


def arm_totals(answers: Iterable[EvalAnswer], arm: EvalArm) -> ArmTotals:
    """Counts, cost and latency of one arm's calls."""
    own = [answer for answer in answers if answer.key.arm is arm]
    scored = [answer for answer in own if answer.status is Status.SCORED]
    latencies = [answer.latency_ms for answer in scored if answer.latency_ms is not None]
    return ArmTotals(
        calls=len(own),
        scored=len(scored),
        errors=dict(Counter(answer.error or "unknown" for answer in own if answer.status is Status.UNSCORED)),
        cost_usd=total_cost(own),
        latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
        latency_p95_ms=float(np.percentile(latencies, 95)) if latencies else None,
    )


def total_cost(answers: Iterable[EvalAnswer]) -> float | None:
    """USD of the answered calls; None where there are none, or the cost of any is unknown."""
    costs = [answer.cost_usd for answer in answers if answer.status is Status.SCORED]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if costs and len(known) == len(costs) else None


def _case_arm(answers: Sequence[EvalAnswer], *, best: bool) -> CaseArm:
    scored = [answer for answer in answers if ACCURACY in answer.scores]
    scores = [answer.scores[ACCURACY] for answer in scored]
    shown = (max if best else min)(scored, key=lambda answer: answer.scores[ACCURACY], default=None)
    failed = next((answer.error for answer in answers if answer.status is Status.UNSCORED), None)
    return CaseArm(
        mean=mean_score(scored, ACCURACY),
        scored=len(scored),
        unscored=len(answers) - len(scored),
        flips=sum(before != after for before, after in pairwise(scores)),
        answer=shown.answer if shown else None,
        error=failed,
    )
