"""The gate on calls without a score: whose errors they are, and whether there are too many."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.core.visible import one_line
from softlaunch.evals.calls.answers import EvalAnswer, EvalArm, Status
from softlaunch.evals.statistics.paired import PairedEstimate, estimate
from softlaunch.evals.statistics.rows import ByCase, ComparedCase, error_counts, value_of
from softlaunch.policy.evals import EvalPolicy

GATE = "unscored"


@dataclass(frozen=True, slots=True)
class _Counts:
    """One arm's calls, how many of them have no score, and why."""

    calls: int
    unscored: int
    errors: Mapping[str, int]

    @property
    def share(self) -> float:
        """In [0, 1]; 1 where there was no call, because nothing was scored."""
        return self.unscored / self.calls if self.calls else 1.0


def judge_unscored(cases: Sequence[ComparedCase], grouped: ByCase, policy: EvalPolicy) -> Verdict:
    """Fail where only the candidate's calls go unscored; error where stable's do too, for then it isn't the change.

    Limits are shares of the calls; whether the candidate has clearly more is judged over cases, because the repeats
    of a case fail together.
    """
    stable, candidate = (_count(grouped, arm) for arm in (EvalArm.STABLE, EvalArm.CANDIDATE))
    compared = _estimate(cases, grouped, 1 - policy.confidence)
    outcome = _outcome(stable, candidate, compared, policy)
    return Verdict(
        gate=GATE,
        outcome=outcome,
        reason=_reason(outcome, stable, candidate, policy),
        harm=compared.harm if compared else None,
        interval=Interval(compared.lower, compared.upper) if compared else None,
        margin=policy.maximum_unscored.value,
        candidate_count=candidate.calls,
        stable_count=stable.calls,
        candidate_value=candidate.share if candidate.calls else None,
        stable_value=stable.share if stable.calls else None,
    )


def metric_gate(metric: str) -> str:
    """The gate on answers that a metric has no value for."""
    return f"{GATE}: {metric}"


def judge_unscored_metric(grouped: ByCase, metric: str, policy: EvalPolicy) -> Verdict | None:
    """Whether a metric has a value for enough of the answered calls of both arms; None where it has for all.

    It shows nobody's fault, so too many are an error: a judge that answers nonsense about the hard half of
    the cases must not look like a fair sample of them.
    """
    stable, candidate = (_count(grouped, arm, metric) for arm in (EvalArm.STABLE, EvalArm.CANDIDATE))
    if not stable.unscored and not candidate.unscored:
        return None
    enough = max(stable.share, candidate.share) <= policy.maximum_unscored.value
    return Verdict(
        gate=metric_gate(metric),
        outcome=Outcome.PASS if enough else Outcome.ERROR,
        reason=f"{metric} has no value for {candidate.unscored:,} of the candidate's {candidate.calls:,} answers and "
        f"{stable.unscored:,} of stable's {stable.calls:,}; {policy.maximum_unscored} are allowed"
        + first_without_value((one for answers in grouped.values() for one in answers), metric)
        + ("" if enough else ": what is left may not be typical, so repair the metric and run it again"),
        margin=policy.maximum_unscored.value,
        candidate_count=candidate.calls,
        stable_count=stable.calls,
        candidate_value=candidate.share if candidate.calls else None,
        stable_value=stable.share if stable.calls else None,
    )


def first_without_value(answers: Iterable[EvalAnswer], metric: str) -> str:
    """Which case is the first without a value, and why, to end a sentence with; empty where nobody knows."""
    described = (
        f"; the first is case {one_line(answer.key.case_id)} ({one_line(reason)})"
        for answer in answers
        if answer.status is Status.SCORED and (reason := answer.unscored_because.get(metric))
    )
    return next(described, "")


def _count(grouped: ByCase, arm: EvalArm, metric: str | None = None) -> _Counts:
    """Calls without a score or, where a metric is named, answered calls without a value for it."""
    own = [answer for (_, side), answers in grouped.items() if side is arm for answer in answers]
    scored = [answer for answer in own if answer.status is Status.SCORED]
    if metric is None:
        return _Counts(len(own), len(own) - len(scored), error_counts(own))
    return _Counts(len(scored), sum(value_of(answer, metric) is None for answer in scored), {})


def _outcome(stable: _Counts, candidate: _Counts, compared: PairedEstimate | None, policy: EvalPolicy) -> Outcome:
    limit = policy.maximum_unscored.value
    if compared is None or stable.share > limit:
        return Outcome.ERROR
    if candidate.share <= limit:
        return Outcome.PASS
    return Outcome.FAIL if compared.p_beyond <= 1 - policy.confidence else Outcome.INCONCLUSIVE


def _estimate(cases: Sequence[ComparedCase], grouped: ByCase, level: float) -> PairedEstimate | None:
    """How much larger the candidate's share of unscored calls is, against no difference at all."""
    shares = [
        (_scored_share(stable), _scored_share(candidate))
        for case in cases
        if (stable := grouped.get((case.id, EvalArm.STABLE)))
        and (candidate := grouped.get((case.id, EvalArm.CANDIDATE)))
    ]
    if not shares:
        return None
    stable_shares, candidate_shares = np.array(shares, dtype=np.float64).T
    return estimate(stable_shares, candidate_shares, np.ones(len(shares)), margin=0.0, level=level)


def _scored_share(answers: Sequence[EvalAnswer]) -> float:
    return sum(answer.status is Status.SCORED for answer in answers) / len(answers)


def _reason(outcome: Outcome, stable: _Counts, candidate: _Counts, policy: EvalPolicy) -> str:
    counts = (
        f"{candidate.unscored:,} of the candidate's {candidate.calls:,} calls and {stable.unscored:,} of stable's "
        f"{stable.calls:,} have no score{_codes(stable, candidate)}; {policy.maximum_unscored} are allowed"
    )
    meaning = {
        Outcome.PASS: "",
        Outcome.FAIL: ": the candidate fails where stable does not",
        Outcome.INCONCLUSIVE: ": too many of the candidate's, but not clearly more than stable's",
        Outcome.ERROR: ": stable's calls fail too, so this says nothing about the candidate; repair the endpoint and "
        "run the eval again"
        if stable.calls and candidate.calls
        else ": an arm was not called",
    }
    return counts + meaning[outcome]


def _codes(stable: _Counts, candidate: _Counts) -> str:
    codes = sorted({*stable.errors, *candidate.errors})
    return f" ({', '.join(codes)})" if codes else ""
