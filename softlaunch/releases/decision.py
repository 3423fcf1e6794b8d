"""What a release does next, decided from a snapshot of what is known. Pure: the clock comes with the snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, assert_never

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.incident_kinds import BREAKER
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.ledger.outcomes import Counts
from softlaunch.policy.evals import OnInconclusive
from softlaunch.policy.freeze_windows import Frozen
from softlaunch.policy.release import Release, Stage, StageKind, State
from softlaunch.policy.stage_limits import Deadlines, lacking_numbers
from softlaunch.policy.stages import AtDeadline
from softlaunch.releases.early import Seen, against_advancing


@dataclass(frozen=True, slots=True)
class RouterTrouble:
    """Why the split of a stage isn't in force everywhere, for people.

    `is_lasting` says that somebody must look: it won't pass by itself.
    """

    reason: str
    is_lasting: bool = True
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What was observed of a stage. `evidence` replaces what the stage had; `has_data` is false when nothing was seen.

    `requests` are the compared ones in this stage so far, `exposed` those that users saw, `by_fallback` the candidate's
    that one of its fallback models answered. `seen_until` (epoch seconds)
    is the moment up to which all is known, `stable_lately` what became of what stable was asked in the minute before
    that, by outcome. `router` is why the split isn't in force, where an Envoy routes.
    """

    verdicts: tuple[Verdict, ...] | None
    evidence: Mapping[str, Any]
    progress: str
    requests: ByArm[int] = NONE_COUNTED
    exposed: int = 0
    by_fallback: int = 0
    has_data: bool = True
    seen_until: float | None = None
    stable_lately: Counts = field(default_factory=dict)
    router: RouterTrouble | None = None


def no_data(held: Mapping[str, Any], reason: str, router: RouterTrouble | None = None) -> Observation:
    """An observation without data: it has no verdict, and the gateways get no beat."""
    return Observation(
        verdicts=(),
        evidence=held,
        progress=reason,
        requests=compared(held),
        exposed=held.get("exposed", 0),
        by_fallback=held.get("by_fallback", 0),
        has_data=False,
        seen_until=held.get("until"),
        router=router,
    )


def compared(evidence: Mapping[str, Any]) -> ByArm[int]:
    """How many requests the evidence of a stage compares."""
    candidate, stable = evidence.get("requests", (0, 0))
    return ByArm(int(candidate), int(stable))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision rests on.

    Of the time since `entered_at`, `skipped_seconds` don't count: nobody watched, or a clock was set. `verdicts` is
    None while there is nothing to judge yet (an eval under way); `trip` tells why a gateway stopped the candidate by
    itself; `approvals` says how those of this stage stand. `requests` and `units` are those that it has had, and
    `by_fallback` counts the candidate's requests that one of its fallback models answered. `frozen` is the freeze
    that holds the release: no deadline comes in it. `early` says who decided to go on before the stage has passed, and
    why; empty where nobody did.
    """

    release: Release
    now: datetime
    entered_at: datetime | None = None
    deadline_at: datetime | None = None
    deadline_requests: int | None = None
    deadline_units: int | None = None
    skipped_seconds: float = 0.0
    verdicts: tuple[Verdict, ...] | None = None
    progress: str = ""
    requests: ByArm[int] = NONE_COUNTED
    by_fallback: int = 0
    units: ByArm[int] = NONE_COUNTED
    trip: str | None = None
    approvals: dict[ApprovalKind, ApprovalState] | None = None
    frozen: Frozen | None = None
    early: str = ""

    @property
    def watched_seconds(self) -> float:
        """How long the stage has been watched, in seconds."""
        if self.entered_at is None:
            return 0.0
        return (self.now - self.entered_at).total_seconds() - self.skipped_seconds

    @property
    def deadlines(self) -> Deadlines:
        """When the stage has stayed undecided for long enough."""
        return Deadlines(self.deadline_at, self.deadline_requests, self.deadline_units)

    def approval(self, kind: ApprovalKind) -> ApprovalState | None:
        """How an approval of this stage stands; None when it wasn't asked for."""
        return (self.approvals or {}).get(kind)


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay in the stage, for this reason; `frozen` is until when in words, where a freeze window is all that holds."""

    reason: str
    frozen: str = ""


@dataclass(frozen=True, slots=True)
class Enter:
    """Begin a stage; `is_early` where a person decided so before the one in force has passed."""

    stage: Stage
    reason: str
    is_early: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a person for an approval and stay in the stage meanwhile."""

    kind: ApprovalKind
    text: str


@dataclass(frozen=True, slots=True)
class Extend:
    """Move the stage's deadlines."""

    deadlines: Deadlines
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """End the release; `needs_people` says that figures couldn't decide.

    Where a gate decided, `gate` names it and `verdict` is its verdict; a breaker has none.
    """

    state: State
    outcome: Outcome
    reason: str
    gate: str | None = None
    verdict: Verdict | None = None
    needs_people: bool = False


Action = Hold | Enter | Ask | Extend | End


def decide(snapshot: Snapshot) -> Action:
    """The next action of a live release: harm first, then evidence, then people, then time."""
    release = snapshot.release
    if release.state is State.PENDING:
        return Enter(release.stages[0], "the release was opened")
    if snapshot.trip is not None:
        reason = f"a gateway's breaker tripped: {snapshot.trip}"
        return replace(_stop(snapshot, Outcome.FAIL, reason), gate=BREAKER)
    failed = _first(snapshot, Outcome.FAIL)
    if failed is not None:
        return _stop(snapshot, Outcome.FAIL, f"{failed.name}: {failed.reason}", failed)
    if release.stage.kind is StageKind.EVAL:
        return _after_eval(snapshot)
    lacking = _lacking(snapshot)
    if lacking is None:
        return _onwards(snapshot)
    return _early(snapshot, lacking) if snapshot.early else _when_undecided(snapshot, lacking)


def _stop(snapshot: Snapshot, outcome: Outcome, reason: str, failing: Verdict | None = None) -> End:
    """End without promoting: a candidate that users were exposed to is rolled back, any other is rejected."""
    state = State.ROLLED_BACK if snapshot.release.state.exposes_users else State.REJECTED
    return End(state, outcome, reason, None if failing is None else failing.gate, failing)


def _first(snapshot: Snapshot, outcome: Outcome) -> Verdict | None:
    counted = (verdict for verdict in snapshot.verdicts or () if verdict.role is not Role.MUTED)
    return next((verdict for verdict in counted if verdict.outcome is outcome), None)


def _required(snapshot: Snapshot) -> list[Verdict]:
    return [verdict for verdict in snapshot.verdicts or () if verdict.role is Role.REQUIRED]


def _after_eval(snapshot: Snapshot) -> Action:
    if snapshot.verdicts is None:
        return Hold(snapshot.progress)
    required = _required(snapshot)
    unsure = _first(snapshot, Outcome.ERROR) or next((v for v in required if v.outcome is not Outcome.PASS), None)
    if required and unsure is None:
        return _onwards(snapshot)
    outcome = unsure.outcome if unsure else Outcome.ERROR
    reason = f"{unsure.name}: {unsure.reason}" if unsure else "the eval judged nothing that is required"
    rejects = snapshot.release.policy.eval.on_inconclusive is OnInconclusive.REJECT
    if rejects and outcome is not Outcome.REVIEW:
        return End(State.REJECTED, outcome, reason)
    return _by_person(
        snapshot, ApprovalKind.REVIEW_EVAL, f"The regression eval is undecided. {reason}. Continue?", outcome
    )


def _lacking(snapshot: Snapshot) -> str | None:
    """What is missing before the stage in force can pass; None when nothing is."""
    stage = snapshot.release.stage
    required = _required(snapshot)
    if not required:
        seen = f" ({snapshot.progress})" if snapshot.progress else ""
        return f"no required gate has judged anything{seen}"
    broken = _first(snapshot, Outcome.ERROR)
    if broken is not None:
        return f"{broken.name} can't be judged: {broken.reason}"
    for verdict in required:
        if verdict.outcome is not Outcome.PASS:
            return f"{verdict.name}: {verdict.reason}"
    numbers = lacking_numbers(stage, snapshot.requests, snapshot.units, snapshot.by_fallback)
    if numbers is not None and not snapshot.release.emergency:
        return numbers
    stayed = snapshot.watched_seconds
    if stayed < stage.minimum_time:
        return f"all gates pass; {stage.minimum_time - stayed:.0f} s of the minimum time are left"
    return None


def _onwards(snapshot: Snapshot) -> Action:
    following = snapshot.release.next_stage
    if following is None:
        return End(State.PROMOTED, Outcome.PASS, "every stage passed")
    if following.approval and snapshot.approval(ApprovalKind.ENTER_STAGE) is not ApprovalState.APPROVED:
        text = f"{_two_people(snapshot.release)}{snapshot.release.stage.name} passed. Start {following.name}?"
        return _by_person(snapshot, ApprovalKind.ENTER_STAGE, text, Outcome.INCONCLUSIVE)
    return Enter(following, f"{snapshot.release.stage.name} passed")


def _early(snapshot: Snapshot, lacking: str) -> Action:
    """What a person's decision to go on early leads to, while nothing speaks against it."""
    release, following = snapshot.release, snapshot.release.next_stage
    speaks = against_advancing(
        release, Seen(snapshot.verdicts or (), snapshot.requests, snapshot.units, snapshot.by_fallback)
    )
    if following is None or speaks is not None:
        action = _when_undecided(snapshot, lacking)
        return Hold(f"{snapshot.early}, but {speaks}") if isinstance(action, Hold) else action
    if following.approval and snapshot.approval(ApprovalKind.ENTER_STAGE) is not ApprovalState.APPROVED:
        text = f"{snapshot.early}, though {release.stage.name} hasn't passed: {lacking}. Start {following.name}?"
        return _by_person(snapshot, ApprovalKind.ENTER_STAGE, text, Outcome.INCONCLUSIVE)
    return Enter(following, f"{snapshot.early}; {release.stage.name} hasn't passed: {lacking}", is_early=True)


def _two_people(release: Release) -> str:
    """What an emergency release says before it asks: who must answer is another person than its starter."""
    if not release.emergency:
        return ""
    return f"Emergency release by {release.opened_by}, the policy requires two people: {release.emergency}. "


def _when_undecided(snapshot: Snapshot, lacking: str) -> Action:
    stage = snapshot.release.stage
    had = snapshot.now, snapshot.requests.candidate, snapshot.units.candidate
    reached = snapshot.deadlines.reached(*had)
    if reached is None or (snapshot.frozen is not None and snapshot.approval(ApprovalKind.DEADLINE) is None):
        return Hold(lacking)
    match stage.at_deadline:
        case AtDeadline.EXTEND:
            later = Deadlines.begin(stage, *had)
            return Extend(later, f"still undecided at the deadline{reached} ({lacking}); extended to {later}")
        case AtDeadline.ROLL_BACK:
            return _stop(snapshot, Outcome.INCONCLUSIVE, f"undecided at the deadline{reached}: {lacking}")
        case AtDeadline.ASK:
            text = f"{stage.name} is undecided at its deadline{reached}. {lacking}. Continue anyway?"
            return _by_person(snapshot, ApprovalKind.DEADLINE, text, Outcome.INCONCLUSIVE)
        case _:
            assert_never(stage.at_deadline)


def _by_person(snapshot: Snapshot, kind: ApprovalKind, text: str, outcome: Outcome) -> Action:
    """What a person's decision leads to. Only an explicit approval moves on; silence ends like a rejection."""
    state = snapshot.approval(kind)
    match state:
        case None:
            return Ask(kind, text)
        case ApprovalState.PENDING:
            return Hold(f"waits for a person: {text}")
        case ApprovalState.APPROVED:
            following = snapshot.release.next_stage
            if following is None:
                return End(State.PROMOTED, Outcome.PASS, "a person decided to continue")
            return Enter(following, "a person decided to continue")
        case ApprovalState.REJECTED:
            return _stop(snapshot, outcome, f"a person refused: {text}")
        case ApprovalState.EXPIRED | ApprovalState.WITHDRAWN:
            return _stop(snapshot, outcome, f"nobody answered in time: {text}")
        case _:
            assert_never(state)
