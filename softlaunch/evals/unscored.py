"""The gate on calls without a score: whose errors they are, and whether there are too many."""

from collections.abc import Sequence

import numpy as np

from softlaunch.evals.answers import EvalAnswer, EvalArm, Status
from softlaunch.evals.paired import PairedEstimate, estimate
from softlaunch.evals.report import ArmTotals
from softlaunch.evals.rows import ByCase
from softlaunch.evals.suite import Case
from softlaunch.policy.model import EvalPolicy
from softlaunch.verdict import Interval, Outcome, Verdict

GATE = "unscored"


def judge_unscored(
    cases: Sequence[Case], grouped: ByCase, stable: ArmTotals, candidate: ArmTotals, policy: EvalPolicy
) -> Verdict:
    """Fail where only the candidate's calls go unscored; error where stable's do too, for then it isn't the change.

    Limits are shares of the calls; whether the candidate has clearly more is judged over cases, because the repeats
    of a case fail together.
    """
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
        candidate_value=candidate.unscored_share if candidate.calls else None,
        stable_value=stable.unscored_share if stable.calls else None,
    )


def _outcome(stable: ArmTotals, candidate: ArmTotals, compared: PairedEstimate | None, policy: EvalPolicy) -> Outcome:
    limit = policy.maximum_unscored.value
    if compared is None or stable.unscored_share > limit:
        return Outcome.ERROR
    if candidate.unscored_share <= limit:
        return Outcome.PASS
    return Outcome.FAIL if compared.p_beyond <= 1 - policy.confidence else Outcome.INCONCLUSIVE


def _estimate(cases: Sequence[Case], grouped: ByCase, level: float) -> PairedEstimate | None:
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


def _reason(outcome: Outcome, stable: ArmTotals, candidate: ArmTotals, policy: EvalPolicy) -> str:
    counts = (
        f"{candidate.unscored:,} of the candidate's {candidate.calls:,} calls and {stable.unscored:,} of stable's "
        f"{stable.calls:,} have no score{_codes(stable, candidate)}; {policy.maximum_unscored} are allowed"
    )
    meaning = {
        Outcome.PASS: "",
        Outcome.FAIL: ": the candidate fails where stable does not",
        Outcome.INCONCLUSIVE: ": too many of the candidate's, but not clearly more than stable's",
        Outcome.ERROR: ": stable's calls fail too, so this says nothing about the candidate; see to the endpoint and "
        "run the eval again"
        if stable.calls and candidate.calls
        else ": an arm was not called",
    }
    return counts + meaning[outcome]


def _codes(stable: ArmTotals, candidate: ArmTotals) -> str:
    codes = sorted({*stable.errors, *candidate.errors})
    return f" ({', '.join(codes)})" if codes else ""
