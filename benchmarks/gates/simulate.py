"""One release under one judge."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.gates.judges import Decision, Judge, interval_hours
from benchmarks.gates.model import MIRRORED, STAGES, Scenario, Stage
from benchmarks.gates.traffic import Traffic

_JUDGED_A_LOOK = 16
"""The candidate's requests that a judge which looks continuously has for each look, on average."""


class End(StrEnum):
    """How a release ended."""

    ROLLED_BACK = "rolled back"
    PROMOTED = "promoted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Result:
    """How one release went, in candidate requests that users saw.

    `harmed` counts from the stage in which the harm begins, None where that was never reached; `before_full`
    is what it took until the 100 % stage began, None where it never did.
    """

    end: End
    exposed: int
    harmed: int | None
    before_full: int | None
    stage: int
    blamed: str | None


@dataclass(slots=True)
class _Progress:
    position: int = 0
    exposed: int = 0
    before_harm: int | None = None
    before_full: int | None = None


def release(scenario: Scenario, judge: Judge, traffic: Traffic) -> Result:
    """Walk a candidate through all stages, until the judge decides or the time is up."""
    so_far = _Progress()
    for stage in STAGES:
        if so_far.before_harm is None and stage.share >= scenario.effect.from_share:
            so_far.before_harm = so_far.exposed
        if stage.full:
            so_far.before_full = so_far.exposed
        decision = _stage(scenario, judge, traffic, stage, so_far)
        if decision is not Decision.PASS:
            end = End.ROLLED_BACK if decision is Decision.ROLLBACK else End.UNDECIDED
            return _result(end, so_far, stage, judge.blamed)
    return _result(End.PROMOTED, so_far, STAGES[-1], None)


def _result(end: End, so_far: _Progress, stage: Stage, blamed: str | None) -> Result:
    harmed = None if so_far.before_harm is None else so_far.exposed - so_far.before_harm
    return Result(end, so_far.exposed, harmed, so_far.before_full, stage.position, blamed)


def _stage(scenario: Scenario, judge: Judge, traffic: Traffic, stage: Stage, so_far: _Progress) -> Decision:
    count = _requests_a_look(stage, scenario.requests_per_hour, at_intervals=judge.at_intervals)
    begun, exposed_before = so_far.position, so_far.exposed
    limit = scenario.candidate_limit
    while so_far.exposed - exposed_before < stage.deadline and (limit is None or so_far.exposed < limit):
        seen = traffic.look(stage, so_far.position, count, begun)
        so_far.position += count
        so_far.exposed += seen.exposed
        decision = judge.look(seen)
        if decision is not Decision.CONTINUE:
            return decision
    return Decision.CONTINUE


def _requests_a_look(stage: Stage, requests_per_hour: float, *, at_intervals: bool) -> int:
    """Requests, of both arms, from one look to the next."""
    if at_intervals:
        return max(1, round(interval_hours(stage) * requests_per_hour))
    return round(_JUDGED_A_LOOK / (MIRRORED if stage.full else stage.share))
