"""Going on to the next stage before the one in force has passed: what a person's decision may skip, and what not. Pure.

It skips the minimum time and gates that are undecided. It skips neither harm, nor what can't be judged, nor the least
evidence that the policy asks for, nor plain figures that are worse than the margin: without evidence nothing goes on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from softlaunch.core.approvals import ApprovalState
from softlaunch.core.arms import ByArm
from softlaunch.core.formatting import show_harm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import LATELY_MINUTES, Met, Outcome, Role, Verdict
from softlaunch.ledger.approvals import Approval
from softlaunch.policy.release import Kind, Release
from softlaunch.policy.stage_limits import lacking_numbers


@dataclass(frozen=True, slots=True)
class Seen:
    """What a stage has seen: its verdicts, and how many requests and units; so many were a fallback model's."""

    verdicts: Sequence[Verdict]
    requests: ByArm[int]
    units: ByArm[int]
    by_fallback: int = 0


def decided_early(approval: Approval | None) -> str:
    """Who decided to advance early, and why: `anna decided to advance early (before the fair)`; empty for nobody."""
    if approval is None or approval.state is not ApprovalState.APPROVED:
        return ""
    why = f" ({approval.reason})" if approval.reason else ""
    return f"{approval.decided_by} decided to advance early{why}"


def may_advance_early(release: Release) -> bool:
    """Whether the policy lets people end the stage in force early."""
    ordinary = release.kind is Kind.RELEASE and not release.emergency
    return release.state.live and ordinary and release.stage.may_advance_early and release.next_stage is not None


def against_advancing(release: Release, seen: Seen) -> str | None:
    """What speaks against beginning the next stage now, in words; None when nothing does."""
    stage = release.stage
    if not may_advance_early(release):
        return (
            f"the policy of {release.app} doesn't let {stage.name} end early; 'may_advance_early: true' at that stage "
            "allows it, for releases started with that policy"
        )
    counted = [verdict for verdict in seen.verdicts if verdict.role is not Role.MUTED]
    required = [verdict for verdict in counted if verdict.role is Role.REQUIRED]
    if not required:
        return f"no required gate has judged anything in {stage.name}, and a release never advances without evidence"
    found = (
        *(f"{one.name} shows harm: {one.reason}" for one in counted if one.outcome is Outcome.FAIL),
        *(f"{one.name} can't be judged: {one.reason}" for one in counted if one.outcome is Outcome.ERROR),
        *(f"{one.name} has no evidence of both arms yet" for one in required if not _has_evidence(one)),
        lacking_numbers(stage, seen.requests, seen.units, seen.by_fallback),
        *(f"{one.name} {worse}" for one in counted for worse in _worse(one)),
    )
    return next((one for one in found if one), None)


def _has_evidence(verdict: Verdict) -> bool:
    return min(verdict.candidate_count, verdict.stable_count) > 0


def _worse(verdict: Verdict) -> Iterator[str]:
    """Where an estimate or a plain figure is worse by more than the stage's margin, in words."""
    margin, metric = verdict.margin, Metric.named(verdict.gate)
    if margin is None:
        return
    if verdict.harm is not None and verdict.harm > margin:
        yield f"looks worse by {show_harm(verdict.gate, verdict.harm)}"
    from softlaunch.gates.plain_figures import harm_met  # here: whoever shows a release needs no numpy for it

    candidate, stable = verdict.candidate_met, verdict.stable_met
    if metric is None or candidate is None or stable is None:
        return
    for span, one, other in (
        ("over the whole stage", candidate, stable),
        (f"in the last {LATELY_MINUTES} minutes", _lately(candidate), _lately(stable)),
    ):
        for where, harm in harm_met(metric, one, other).items():
            if harm > margin:
                yield f"looks worse by {show_harm(verdict.gate, harm)} {where} {span}"


def _lately(met: Met) -> Met:
    return replace(met, value=met.lately, slow=None)
