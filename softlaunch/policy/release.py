"""The release as a state machine: its states, its plan of stages, and what may follow what. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from softlaunch.core.arms import ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import Variant
from softlaunch.core.verdict import Outcome
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Arm
from softlaunch.policy.stages import AtDeadline, StagePolicy


class State(StrEnum):
    """Where a release is in its life."""

    PENDING = "pending"
    EVALUATING = "evaluating"
    SHADOWING = "shadowing"
    CANARY = "canary"
    TESTING = "testing"
    WATCHING = "watching"
    CONCLUDED = "concluded"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def live(self) -> bool:
        """Whether the release still holds its app's lock."""
        return self in _LIVE

    @property
    def exposes_users(self) -> bool:
        """Whether a candidate in this state may answer users."""
        return self in {State.CANARY, State.TESTING}


_LIVE = frozenset({State.PENDING, State.EVALUATING, State.SHADOWING, State.CANARY, State.TESTING, State.WATCHING})
_LEGAL = {
    State.PENDING: frozenset(
        {
            State.EVALUATING,
            State.SHADOWING,
            State.CANARY,
            State.TESTING,
            State.WATCHING,
            State.ROLLED_BACK,  # a person may roll back what was promoted before the watching after it begins
            State.ABORTED,
        }
    ),
    State.EVALUATING: frozenset({State.SHADOWING, State.CANARY, State.REJECTED, State.ABORTED}),
    State.SHADOWING: frozenset({State.CANARY, State.REJECTED, State.ABORTED}),
    State.CANARY: frozenset({State.CANARY, State.PROMOTED, State.ROLLED_BACK, State.ABORTED}),
    State.TESTING: frozenset({State.CONCLUDED, State.ROLLED_BACK, State.ABORTED}),
    State.WATCHING: frozenset({State.WATCHING, State.CONCLUDED, State.ROLLED_BACK, State.ABORTED}),
    State.CONCLUDED: frozenset[State](),
    State.PROMOTED: frozenset({State.ROLLED_BACK}),  # a person may roll back what was promoted
    State.REJECTED: frozenset[State](),
    State.ROLLED_BACK: frozenset[State](),
    State.ABORTED: frozenset[State](),
}


class IllegalTransitionError(SoftlaunchError):
    """A release was asked to go where its state doesn't lead."""


def check_transition(current: State, following: State) -> None:
    """Raise IllegalTransitionError unless `following` may come after `current`."""
    if following not in _LEGAL[current]:
        allowed = ", ".join(sorted(_LEGAL[current])) or "nothing: it is over"
        raise IllegalTransitionError(f"a release that is {current} can't become {following}; possible: {allowed}")


class Kind(StrEnum):
    """What is driven: a release, an A/B test, which has the app's traffic to itself like a release, or a topline."""

    RELEASE = "release"
    AB_TEST = "ab_test"
    TOPLINE = "topline"


class StageKind(StrEnum):
    """What a stage does."""

    EVAL = "eval"
    PROBE = "probe"
    SHADOW = "shadow"
    CANARY = "canary"
    AB_TEST = "ab_test"
    TOPLINE = "topline"


_STATES = {
    StageKind.EVAL: State.EVALUATING,
    StageKind.PROBE: State.EVALUATING,
    StageKind.SHADOW: State.SHADOWING,
    StageKind.CANARY: State.CANARY,
    StageKind.AB_TEST: State.TESTING,
    StageKind.TOPLINE: State.WATCHING,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a release's plan. Times in seconds; `shadow_percent` and `control_percent` are copies nobody sees.

    Minimum numbers are the smaller arm's. Deadlines in numbers are the candidate's, and the first of all counts.
    `only` is whom it is limited to, None for everybody.
    """

    position: int
    kind: StageKind
    name: str
    weight_percent: float = 0.0
    shadow_percent: float = 0.0
    control_percent: float = 0.0
    minimum_time: float = 0.0
    minimum_requests: int = 1
    minimum_units: int = 0
    deadline: float | None = None
    deadline_requests: int | None = None
    deadline_units: int | None = None
    at_deadline: AtDeadline = AtDeadline.ROLL_BACK
    approval: bool = False
    may_advance_early: bool = False
    margin_factor: float = 1.0
    only: OnlyPolicy | None = None

    @property
    def state(self) -> State:
        """The release's state while this stage is in force."""
        return _STATES[self.kind]

    @property
    def candidate_share(self) -> float:
        """Probability in (0, 1) that an observation that is compared is the candidate's; copies come in pairs."""
        return self.weight_percent / 100 if self.is_split else 0.5

    @property
    def arms(self) -> ByArm[Arm]:
        """By which arms the log knows the requests that are compared.

        After a promotion what was the candidate is the route's stable, and what it is compared with gets copies.
        """
        if self.kind is StageKind.TOPLINE:
            return ByArm(Arm.STABLE, Arm.SHADOW)
        if self.kind is StageKind.SHADOW:
            return ByArm(Arm.SHADOW, Arm.STABLE)
        return ByArm(Arm.CANDIDATE, Arm.CONTROL if self.weight_percent == 100 else Arm.STABLE)

    @property
    def is_split(self) -> bool:
        """Whether some users are shown the candidate and some stable, rather than copies being compared."""
        return 0 < self.weight_percent < 100


def plan(policy: Policy) -> tuple[Stage, ...]:
    """The stages of a release under a policy: eval, shadow unless left out, then the canary's weights."""
    evaluated = policy.eval.golden_set is not None
    stages = [Stage(0, StageKind.EVAL, "regression eval")] if evaluated else []
    if policy.shadow is not None:
        shadow = policy.shadow
        stages.append(
            Stage(
                position=len(stages),
                kind=StageKind.SHADOW,
                name="shadow",
                shadow_percent=shadow.sample_percent,
                control_percent=shadow.sample_percent * shadow.floor_percent / 100 if policy.texts.keeps_all else 0.0,
                minimum_time=shadow.minimum_time,
                minimum_requests=shadow.minimum_requests,
                deadline=shadow.deadline,
                deadline_requests=shadow.deadline_requests,
                at_deadline=shadow.at_deadline,
                may_advance_early=shadow.may_advance_early,
                margin_factor=shadow.margin_factor,
            )
        )
    stages += [_canary(policy, step, position) for position, step in enumerate(policy.stages, start=len(stages))]
    return tuple(stages)


def _canary(policy: Policy, step: StagePolicy, position: int) -> Stage:
    return Stage(
        position=position,
        kind=StageKind.CANARY,
        name=f"canary {step.weight_percent:g} %" + (f" of {step.only.words}" if step.only else ""),
        weight_percent=step.weight_percent,
        control_percent=policy.control_percent if step.weight_percent == 100 else 0.0,
        minimum_time=step.minimum_time,
        minimum_requests=step.minimum_requests,
        minimum_units=step.minimum_units or 0,
        deadline=step.deadline,
        deadline_requests=step.deadline_requests,
        deadline_units=step.deadline_units,
        at_deadline=step.at_deadline,
        approval=step.approval,
        may_advance_early=step.may_advance_early,
        margin_factor=step.widened,
        only=step.only,
    )


def trial_plan(policy: Policy) -> tuple[Stage, ...]:
    """The only stage of an A/B test under a policy: a fixed split until its planned end."""
    test = policy.ab
    return (
        Stage(
            position=0,
            kind=StageKind.AB_TEST,
            name="A/B test",
            weight_percent=test.split_percent,
            minimum_time=test.minimum_time,
            deadline=test.minimum_time,
            at_deadline=AtDeadline.EXTEND,
        ),
    )


def topline_plan(policy: Policy) -> tuple[Stage, ...]:
    """The rounds after a promotion, a stage each: in each a user counts once, and evidence begins afresh."""
    topline = policy.topline
    if topline is None:
        return ()
    return tuple(
        Stage(
            position=position,
            kind=StageKind.TOPLINE,
            name=f"topline {position + 1} of {topline.rounds}",
            shadow_percent=topline.control_percent,
            minimum_time=topline.round_seconds,
            deadline=topline.round_seconds,
            at_deadline=AtDeadline.EXTEND,
        )
        for position in range(topline.rounds)
    )


_PROBE_DEADLINE, _EMERGENCY_DEADLINE = 120.0, 600.0


def asks_somebody_else(policy: Policy) -> bool:
    """Whether an emergency release needs a second person, by the policy's own word or as its stages do."""
    approvals = policy.emergency.approvals
    asks = policy.approval.two_people_from_percent is not None or any(stage.approval for stage in policy.stages)
    return approvals == 2 or (approvals is None and asks)


def emergency_plan(policy: Policy) -> tuple[Stage, ...]:
    """The stages of an emergency release: the candidate is asked, then takes over; nothing is copied to stable."""
    rules = policy.emergency
    probe = Stage(0, StageKind.PROBE, "emergency probe", minimum_requests=rules.probes, deadline=_PROBE_DEADLINE)
    steps = (
        Stage(
            position=position,
            kind=StageKind.CANARY,
            name=f"emergency {weight:g} %",
            weight_percent=weight,
            minimum_time=rules.minimum_time,
            minimum_requests=rules.minimum_answers,
            deadline=max(_EMERGENCY_DEADLINE, 2 * rules.minimum_time),
            at_deadline=AtDeadline.ASK,
            approval=position == 1 and asks_somebody_else(policy),
        )
        for position, weight in enumerate(rules.stages_percent, start=1)
    )
    return (probe, *steps)


def stages_of(kind: Kind, policy: Policy, *, emergency: bool = False) -> tuple[Stage, ...]:
    """The stages of a release, of a test, or of what follows a promotion."""
    match kind:
        case Kind.RELEASE:
            return emergency_plan(policy) if emergency else plan(policy)
        case Kind.AB_TEST:
            return trial_plan(policy)
        case Kind.TOPLINE:
            return topline_plan(policy)
        case _:
            assert_never(kind)


@dataclass(frozen=True, slots=True)
class Release:
    """A release as the ledger holds it: what was frozen when it was opened, and where it stands now.

    After a promotion `candidate` is what was promoted, and `stable` what served before it.
    """

    id: str
    app: str
    number: int
    state: State
    position: int
    stable: Variant
    candidate: Variant
    policy: Policy
    policy_path: str
    revision: int
    driver_token: int
    driver_holder: str
    driver_expires_at: datetime | None
    opened_at: datetime
    opened_by: str
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str = ""
    run_url: str = ""
    """Where the orchestrator shows the run that drives it; empty without one."""
    kind: Kind = Kind.RELEASE
    emergency: str = ""
    """Why nothing is compared with stable; empty for every other release."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The plan, derived from the frozen policy."""
        return stages_of(self.kind, self.policy, emergency=bool(self.emergency))

    @property
    def stage(self) -> Stage:
        """The stage in force, or the last one that was."""
        return self.stages[self.position]

    @property
    def next_stage(self) -> Stage | None:
        """The stage after the one in force."""
        return self.stages[self.position + 1] if self.position + 1 < len(self.stages) else None

    @property
    def fallback(self) -> Variant:
        """Who serves everybody when nobody watches: stable, and after a promotion what was promoted."""
        return self.candidate if self.kind is Kind.TOPLINE else self.stable

    @property
    def copied_to(self) -> Variant:
        """The other one: who gets the split's share, or copies."""
        return self.stable if self.kind is Kind.TOPLINE else self.candidate

    @property
    def title(self) -> str:
        """`support-bot: support@1.0.0 on steady -> support@1.1.0 on steady`, for run names and messages."""
        mark = " (emergency)" if self.emergency else " (topline)" if self.kind is Kind.TOPLINE else ""
        return f"{self.app}: {self.stable.label} -> {self.candidate.label}{mark}"
