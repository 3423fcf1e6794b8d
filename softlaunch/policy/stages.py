"""The part of a policy that is about the stages of live traffic: the shadow, and the canary's steps."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.part import Part, Percent

_TOO_EARLY = "{:g} s comes before minimum_time, which is {:g} s"
_NO_UNITS = "at 100 % copies are compared, two of each request, and no units are counted; give it in requests"
_Number = Annotated[int, Field(ge=1, le=10**12)]


class AtDeadline(StrEnum):
    """What happens when a stage's deadline passes without a decision."""

    ASK = "ask"
    ROLL_BACK = "roll_back"
    EXTEND = "extend"


class StagePolicy(Part):
    """One step of the canary."""

    weight_percent: Percent
    """Share of units that the candidate serves."""
    only: OnlyPolicy | None = None
    """Limits the stage to some units: the weight is the share of these, and nobody else meets the candidate. Such
    stages come first.
    """
    minimum_time: Duration = 600.0
    """The stage lasts at least this long, however good the evidence is."""
    minimum_requests: Annotated[int, Field(ge=1)] = 100
    """Requests that each arm must have answered in this stage before it can pass, the candidate with its own model."""
    minimum_units: _Number | None = None
    """Units that each arm must have met in this stage before it can pass. Left out: any number."""
    deadline: Annotated[Duration, Field(gt=0)] = 86400.0
    """How long the stage may stay undecided."""
    deadline_requests: _Number | None = None
    """The deadline as a number of candidate requests; whichever deadline comes first counts."""
    deadline_units: _Number | None = None
    """The deadline as a number of candidate units: if units come back, 6,000 requests may be those of only 1,200 users.
    """
    at_deadline: AtDeadline = AtDeadline.ASK
    """What happens at the deadline: ask a person, roll back, or extend the stage by the same time, requests and units.
    """
    approval: bool = False
    """Whether a person must approve before this stage starts. Meanwhile the stage before it is still watched."""
    may_advance_early: bool = False
    """Whether approvers may start the next stage before this one has passed: before its minimum time, or while gates
    are undecided, but never against harm or without evidence.
    """
    margin_factor: Annotated[float, Field(ge=1)] | None = None
    """Factor by which margins are wider in this stage. Left out: 4 below 5 %, 2 below 50 %, otherwise 1."""

    @property
    def widened(self) -> float:
        """The factor by which this stage's margins are wider."""
        if self.margin_factor is not None:
            return self.margin_factor
        return 4.0 if self.weight_percent < 5 else 2.0 if self.weight_percent < 50 else 1.0

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        _check_deadlines(self)
        if self.deadline_units is not None and self.deadline_units < (self.minimum_units or 0):
            said = f"{self.deadline_units} comes before minimum_units, which is {self.minimum_units}"
            raise KeyedError(said, "deadline_units")
        if self.weight_percent == 100:
            for key in ("minimum_units", "deadline_units"):
                if getattr(self, key) is not None:
                    raise KeyedError(_NO_UNITS, key)
        return self


class ShadowJudgingPolicy(Part):
    """How much judges are asked about the answers to copies, if a gate is on preference; eval.judge names them.

    Judges receive the texts of live requests: if those must not leave your network, run a judge inside it.
    """

    sample_percent: Percent = 100.0
    """Share of the copies whose answers are judged, at most one per user."""
    budget_calls: Annotated[int, Field(ge=1)] = 400
    """How many calls judges may take in the stage, including retries. A pair takes two from each judge."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What the judges' calls may cost in the stage, in USD. Every judge's model then needs prices."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """How many pairs are judged at once."""


class ShadowPolicy(Part):
    """The shadow stage: copies of live requests go to the candidate, and nobody sees its answers."""

    sample_percent: Percent = 10.0
    """Share of requests that are copied."""
    floor_percent: Annotated[float, Field(ge=0, le=100)] = 20.0
    """Share of the copied requests that stable answers a second time, to measure how much its answers vary by
    themselves.

    If texts aren't kept there is nothing to compare, so stable isn't asked again.
    """
    judging: ShadowJudgingPolicy = ShadowJudgingPolicy()
    minimum_requests: Annotated[int, Field(ge=1)] = 100
    """Pairs of answers needed before the stage can pass."""
    minimum_time: Duration = 300.0
    """The stage lasts at least this long."""
    deadline: Annotated[Duration, Field(gt=0)] = 86400.0
    """How long the stage may stay undecided."""
    deadline_requests: _Number | None = None
    """The deadline as a number of pairs of answers; whichever deadline comes first counts."""
    at_deadline: AtDeadline = AtDeadline.ASK
    """What happens at the deadline: ask a person, reject the candidate, or extend the stage by the same time and pairs.
    """
    may_advance_early: bool = False
    """Whether approvers may start the canary before this stage has passed."""
    margin_factor: Annotated[float, Field(ge=1)] = 1.0
    """Factor by which margins are wider in this stage."""

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        _check_deadlines(self)
        return self


def _check_deadlines(stage: StagePolicy | ShadowPolicy) -> None:
    """Raise KeyedError where a stage's deadline comes before what it must at least have."""
    if stage.deadline < stage.minimum_time:
        raise KeyedError(_TOO_EARLY.format(stage.deadline, stage.minimum_time), "deadline")
    if stage.deadline_requests is not None and stage.deadline_requests < stage.minimum_requests:
        said = f"{stage.deadline_requests} comes before minimum_requests, which is {stage.minimum_requests}"
        raise KeyedError(said, "deadline_requests")


def check_order(stages: Sequence[StagePolicy]) -> None:
    """Raise KeyedError unless limited stages come first, weights grow in the others, and the last is for everybody."""
    opened = [place for place, stage in enumerate(stages) if stage.only is None]
    late = [place for place, stage in enumerate(stages) if stage.only is not None and opened and place > opened[0]]
    if late:
        said = "a stage for everybody comes before it; limited stages come first"
        raise KeyedError(said, "stages", late[0], "only")
    weights = [stages[place].weight_percent for place in opened]
    if sorted(set(weights)) != weights:
        raise KeyedError(f"weights must grow: {', '.join(f'{weight:g}' for weight in weights)}", "stages")
    if not weights or weights[-1] != 100:
        found = f"{weights[-1]:g}" if weights else "a limited stage"
        where = ("stages", len(stages) - 1, "weight_percent")
        raise KeyedError(f"expected 100 in the last stage, not {found}: a release ends with all users", *where)
    if stages[-1].may_advance_early:
        said = "no stage comes after the last one: a promotion waits for its evidence; leave this out"
        raise KeyedError(said, "stages", len(stages) - 1, "may_advance_early")


DEFAULT_STAGES = (
    StagePolicy(weight_percent=1),
    StagePolicy(weight_percent=5),
    StagePolicy(weight_percent=50),
    StagePolicy(weight_percent=100),
)
