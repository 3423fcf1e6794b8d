"""One release under one judge."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.gates.judges import Decision, Judge
from benchmarks.gates.model import MIRRORED, Scenario, Stage, interval_seconds
from benchmarks.gates.traffic import Look, Traffic

_SHORTEST_LOOK = 2.0


class End(StrEnum):
    """How a release ended."""

    ROLLED_BACK = "rolled back"
    PROMOTED = "promoted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Result:
    """How one release went, in candidate requests that users saw.

    `harmed` counts those from the beginning of the harm, `harmed_units` their units and `harmed_seconds` the time from
    then to the end; None where the release was over before the harm began. Fine candidates are counted from the first
    stage on. `before_full` is what it took until the 100 % stage began, None where it never did. `blamed` is the gate
    that rolled back, `stage` the position of the last stage and `seconds` how long the release took.
    """

    end: End
    exposed: int
    harmed: int | None
    before_full: int | None
    stage: int
    blamed: str | None
    harmed_units: int | None = None
    harmed_seconds: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Progress:
    now: float = 0.0
    exposed: int = 0
    harm_began: float | None = None
    harmed: int = 0
    harmed_units: set[int] = field(default_factory=set)
    before_full: int | None = None

    def add(self, seen: Look, end: float) -> None:
        """Count the requests of a look that lasted to `end`."""
        self.now = end
        self.exposed += seen.exposed
        if self.harm_began is not None and end > self.harm_began:
            late = seen.at >= self.harm_began
            self.harmed += int(late.sum())
            self.harmed_units.update(seen.units[late].tolist())

    def result(self, end: End, stage: Stage, blamed: str | None) -> Result:
        """How the release went if it ends now."""
        began = self.harm_began
        is_harmed = began is not None and self.now > began
        return Result(
            end,
            self.exposed,
            self.harmed if is_harmed else None,
            self.before_full,
            stage.position,
            blamed,
            len(self.harmed_units) if is_harmed else None,
            self.now - began if began is not None and is_harmed else None,
            self.now,
        )


def release(scenario: Scenario, judge: Judge, traffic: Traffic) -> Result:
    """Walk a candidate through all stages, until the judge decides or the time is up."""
    so_far = _Progress()
    for stage in scenario.stages:
        if so_far.harm_began is None and stage.share >= scenario.effect.from_share:
            so_far.harm_began = so_far.now + scenario.effect.from_seconds
        if stage.full:
            so_far.before_full = so_far.exposed
        decision = _stage(scenario, judge, traffic, stage, so_far)
        if decision is not Decision.PASS:
            end = End.ROLLED_BACK if decision is Decision.ROLLBACK else End.UNDECIDED
            return so_far.result(end, stage, judge.blamed if end is End.ROLLED_BACK else None)
    return so_far.result(End.PROMOTED, scenario.stages[-1], None)


def _stage(scenario: Scenario, judge: Judge, traffic: Traffic, stage: Stage, so_far: _Progress) -> Decision:
    """Look until the judge decides. Who passes a stage that lasts longer goes on; at intervals, it begins afresh."""
    begun, exposed_before = so_far.now, so_far.exposed
    seen_by, ends = traffic.stage(stage, begun), look_ends(scenario, stage, begun, so_far.harm_began, judge)
    units: set[int] = set()
    limit, afresh = scenario.candidate_limit or math.inf, False
    while so_far.exposed < limit and not stage.is_over(so_far.exposed - exposed_before, len(units), so_far.now - begun):
        end = next(ends)
        seen = seen_by.until(end)
        so_far.add(seen, end)
        if stage.deadline_units is not None:
            units.update(seen.units.tolist())
        decision = judge.look(seen.beginning() if afresh else seen)
        afresh = decision is Decision.PASS and judge.at_intervals
        is_held = so_far.now - begun < stage.minimum_seconds
        if decision is Decision.ROLLBACK or (decision is Decision.PASS and not is_held):
            return decision
    return Decision.CONTINUE


def look_ends(
    scenario: Scenario, stage: Stage, begun: float, harm_began: float | None, judge: Judge
) -> Iterator[float]:
    """When a judge looks in a stage that began so many seconds after the release.

    At its intervals; or when the candidate has had enough requests, and from the beginning of the harm on every
    `look_seconds` where the scenario has them.
    """
    step, finer = interval_seconds(scenario, stage), None
    if not judge.at_intervals:
        compared = scenario.rate * (MIRRORED if stage.full else stage.share)
        step, finer = max(_SHORTEST_LOOK, scenario.look_candidates / compared), scenario.look_seconds
    change = math.inf if finer is None or harm_began is None else max(begun, harm_began)
    for number in itertools.count(1):
        end = begun + number * step
        if end >= change:
            break
        yield end
    if change > begun:
        yield change
    for number in itertools.count(1):
        yield change + number * (finer or step)
