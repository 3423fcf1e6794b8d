"""A release as people read it: its stages, verdicts and pending approvals, and who was exposed to the candidate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.ledger.approvals import Approval, read_approvals
from softlaunch.ledger.exposure import Exposure, read_exposure
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.losses import Lost, read_lost
from softlaunch.ledger.outcomes import StageOutcomes, read_outcomes
from softlaunch.ledger.releases import to_release
from softlaunch.ledger.stages import (
    StageRecord,
    StageState,
    figures,
    has_verdicts_of,
    read_stages,
    read_verdicts,
    units_in,
)
from softlaunch.live.progress import EVIDENCE as LIVE
from softlaunch.policy.freeze_windows import Frozen
from softlaunch.policy.release import Kind, Release, Stage, StageKind
from softlaunch.policy.stage_limits import Limit, in_smaller_arm, limits
from softlaunch.releases.decision import compared
from softlaunch.releases.early import Seen, decided_early, may_advance_early
from softlaunch.releases.freezing import lifted_freezes, read_frozen
from softlaunch.shadow.state import state_in
from softlaunch.store.tables import IncidentRow, ReleaseRow, TransitionRow

UNFROZEN = "unfrozen"
"""What the history calls a release whose freeze was lifted; it stays in the state that it was in."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls of an eval are done, of how many."""

    done: int
    planned: int


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage with how it stands; `verdicts` are live while it runs, final afterwards."""

    stage: Stage
    record: StageRecord
    verdicts: tuple[Verdict, ...]

    @property
    def requests(self) -> ByArm[int]:
        """Compared requests; none in an eval."""
        return compared(self.record.evidence)

    @property
    def calls(self) -> Calls:
        """The calls of an eval; none in any other stage."""
        return Calls(self.record.evidence.get("done", 0), self.record.evidence.get("planned", 0))

    @property
    def units(self) -> ByArm[int]:
        """Units; none where copies are compared."""
        return units_in(self.record.evidence)

    @property
    def seen(self) -> Seen:
        """What speaks for or against going on early, as its last look left it."""
        return Seen(self.verdicts, self.requests, self.units, self.record.evidence.get("by_fallback", 0))

    @property
    def limits(self) -> list[Limit]:
        """What a stage under way needs at least and how long it may stay undecided, as its last look left it."""
        entered, looked = self.record.entered_at, self.record.looked_at
        if self.record.state is not StageState.RUNNING or self.stage.kind not in {StageKind.SHADOW, StageKind.CANARY}:
            return []
        if entered is None or looked is None:
            return []
        begun = entered + timedelta(seconds=self.record.skipped_seconds)
        seconds = (looked - begun).total_seconds()
        return limits(self.stage, self.record.deadlines, begun, seconds, self.requests, self.units)

    def share_done(self, now: datetime) -> float:
        """How much of what the stage waits for is there, in [0, 1]; 1 once it is over.

        Calls of an eval; elsewhere the mean of its time, its requests, its units where it waits for any, and the
        required gates that pass.
        """
        entered, ended = self.record.entered_at, self.record.ended_at
        if entered is None or ended is not None:
            return 0.0 if entered is None else 1.0
        if self.stage.kind is StageKind.EVAL:
            return min(1.0, self.calls.done / self.calls.planned) if self.calls.planned else 0.0
        required = [one.outcome is Outcome.PASS for one in self.verdicts if one.role is Role.REQUIRED]
        shares = [
            (now - entered).total_seconds() / max(self.stage.minimum_time, 1.0),
            self.requests.candidate / max(self.stage.minimum_requests, 1),
            sum(required) / max(len(required), 1),
        ]
        if self.stage.minimum_units:
            shares.append(in_smaller_arm(self.units) / self.stage.minimum_units)
        return sum(min(1.0, max(0.0, share)) for share in shares) / len(shares)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a release's history."""

    happened_at: datetime
    to_state: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """Everything that a status page, a watching terminal or a report shows."""

    release: Release
    stages: tuple[StageView, ...]
    approvals: tuple[Approval, ...]
    exposure: Exposure
    history: tuple[Step, ...]
    outcomes: StageOutcomes = field(default_factory=StageOutcomes)
    """What became of the requests of the stage in force, or of the last one."""
    lost: Lost = field(default_factory=Lost)
    frozen: Frozen | None = None
    """The freeze that a live release is in."""
    early: str = ""
    """Who decided that the stage in force ends early, and why, where that isn't carried out yet."""
    troubles: tuple[str, ...] = ()
    """What open incidents of a live release say."""

    @property
    def unfrozen(self) -> tuple[Step, ...]:
        """By whom freezes were lifted for it, and why."""
        return tuple(step for step in self.history if step.to_state == UNFROZEN)

    @property
    def frozen_words(self) -> str:
        """What a freeze means for a live release, as a sentence; empty outside of one."""
        if self.frozen is None:
            return ""
        said = f"{self.frozen.words[0].upper()}{self.frozen.words[1:]}"
        return (
            f"{said}: it is still watched, but no traffic stage starts and nothing is promoted. Rollbacks are always "
            "possible."
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """What has to be counted over all requests of a release: who was exposed, and what became of its stage's."""

    exposure: Exposure
    outcomes: StageOutcomes


def count_requests(session: Session, release: Release) -> Counted:
    """The counts of a release; it takes as long as there are requests."""
    logged = Logged.of(release)
    outcomes = read_outcomes(session, release.app, logged, release.stage)
    return Counted(read_exposure(session, logged, promoted=release.kind is Kind.TOPLINE), outcomes)


def read_view(session: Session, row: ReleaseRow, now: datetime, counted: Counted | None = None) -> ReleaseView:
    """The view of a release; `counted` where somebody has counted its requests already."""
    release = to_release(session, row)
    counted = counted or count_requests(session, release)
    records, asked = read_stages(session, release.id), read_approvals(session, release.id, release.position, now)
    return ReleaseView(
        release=release,
        stages=tuple(
            _stage_view(session, release, stage, record) for stage, record in zip(release.stages, records, strict=True)
        ),
        approvals=tuple(one for one in asked.values() if one.state is ApprovalState.PENDING),
        exposure=counted.exposure,
        history=_history(session, release.id),
        outcomes=counted.outcomes,
        lost=read_lost(session, release.app, release.opened_at.timestamp(), (release.ended_at or now).timestamp()),
        frozen=read_frozen(session, release, now) if release.state.live else None,
        early=decided_early(asked.get(ApprovalKind.ADVANCE)) if release.state.live else "",
        troubles=_troubles(session, release.id) if release.state.live else (),
    )


def _troubles(session: Session, release_id: str) -> tuple[str, ...]:
    held = select(IncidentRow.summary).where(
        IncidentRow.release_id == release_id, col(IncidentRow.resolved_at).is_(None)
    )
    return tuple(session.exec(held.order_by(col(IncidentRow.id))))


def read_stage_view(session: Session, release: Release) -> StageView:
    """The view of the stage in force."""
    return _stage_view(session, release, release.stage, read_stages(session, release.id)[release.position])


def _stage_view(session: Session, release: Release, stage: Stage, record: StageRecord) -> StageView:
    """Verdicts are final where the gates had the last word; a stage that a person ended stays as it was last seen."""
    panel = record.evidence.get("panel")
    if panel is not None and (record.state is StageState.RUNNING or _ended_by_people(session, release, record, panel)):
        from softlaunch.gates.gate_set import GateSet  # here: a release that nobody is on is shown without numpy

        return StageView(stage, record, GateSet.load(release.policy, stage, panel).verdicts())
    return StageView(stage, record, tuple(read_verdicts(session, release.id, stage.position).values()))


def _ended_by_people(session: Session, release: Release, record: StageRecord, panel: Mapping[str, Any]) -> bool:
    """Whether no gate had the last word. Panels from before it was kept what users met are left as they are."""
    if record.state in {StageState.PASSED, StageState.ENDED_EARLY} or record.ended_at is None or "plain" not in panel:
        return False
    return not has_verdicts_of(session, release.id, record.position, record.ended_at)


def _history(session: Session, release_id: str) -> tuple[Step, ...]:
    rows = session.exec(
        select(TransitionRow).where(TransitionRow.release_id == release_id).order_by(col(TransitionRow.revision))
    )
    moved = [Step(row.happened_at, row.to_state, row.reason, row.actor) for row in rows]
    steps = [
        Step(row.said_at, UNFROZEN, row.reason, f"{row.name} ({row.origin})")
        for row in lifted_freezes(session, release_id)
    ]
    return tuple(sorted([*moved, *steps], key=lambda step: step.happened_at))


def deciding_verdicts(view: ReleaseView) -> tuple[Verdict, ...]:
    """What stopped a release that ended by its gates: the failed ones of its last stage; none where nothing failed."""
    last = view.stages[view.release.position]
    return tuple(
        verdict for verdict in last.verdicts if verdict.outcome is Outcome.FAIL and verdict.role is not Role.MUTED
    )


def to_json(view: ReleaseView) -> Mapping[str, Any]:
    """The view as JSON values: what `--json` prints."""
    release, exposure = view.release, view.exposure
    return {
        "id": release.id,
        "app": release.app,
        "state": release.state,
        "outcome": release.outcome,
        "reason": release.reason,
        "stable": {"digest": release.stable.digest, "label": release.stable.label},
        "candidate": {"digest": release.candidate.digest, "label": release.candidate.label},
        "stage": release.stage.name,
        "opened_at": release.opened_at,
        "opened_by": release.opened_by,
        "emergency": release.emergency or None,
        "frozen": _frozen_json(view),
        "may_advance_early": may_advance_early(release),
        "ended_at": release.ended_at,
        "driver": release.driver_holder or None,
        "exposure": {
            "units": exposure.units,
            "all_units": exposure.all_units,
            "requests": exposure.requests,
            "all_requests": exposure.all_requests,
            "lost_requests": view.lost.count,
            "lost_requests_estimated": view.lost.estimated,
        },
        "outcomes": _outcomes_json(view),
        "troubles": list(view.troubles),
        "questions": _questions_json(view),
        "stages": [
            {**_stage_json(stage), **({} if release.emergency else _limits_json(stage))} for stage in view.stages
        ],
        "history": [
            {"at": step.happened_at, "state": step.to_state, "reason": step.reason, "actor": step.actor}
            for step in view.history
        ],
    }


def _frozen_json(view: ReleaseView) -> Mapping[str, Any] | None:
    frozen, held = view.frozen, view.stages[view.release.position].record.reason
    if frozen is None:
        return None
    return {"until": frozen.until, "time_zone": frozen.time_zone, "reason": frozen.reason, "held": bool(held)}


def _questions_json(view: ReleaseView) -> list[dict[str, Any]]:
    return [
        {"question": one.kind, "text": one.text, "expires_at": one.expires_at, "state": one.state}
        for one in view.approvals
    ]


def _outcomes_json(view: ReleaseView) -> Mapping[str, Any]:
    """What became of each arm's requests in the stage in force, and how many were excused or a fallback's."""
    seen = view.outcomes
    return {
        "stage": view.release.stage.name,
        "candidate": {outcome.value: candidate for outcome, candidate, _ in seen.rows if candidate},
        "stable": {outcome.value: stable for outcome, _, stable in seen.rows if stable},
        "excused": {"candidate": seen.excused.candidate, "stable": seen.excused.stable},
        "by_fallback": {"candidate": seen.by_fallback.candidate, "stable": seen.by_fallback.stable},
    }


def _limits_json(view: StageView) -> Mapping[str, Any]:
    """What a stage under way needs, and how long it may stay undecided, by the policy's keys; nothing of others."""
    known = {one.key: {"met": one.met, "of": one.of} for one in view.limits}
    return {"limits": known} if known else {}


def _stage_json(view: StageView) -> Mapping[str, Any]:
    counted = (
        {"calls_done": view.calls.done, "calls_planned": view.calls.planned}
        if view.stage.kind is StageKind.EVAL
        else {"candidate_requests": view.requests.candidate, "stable_requests": view.requests.stable}
    )
    return {
        "name": view.stage.name,
        "kind": view.stage.kind,
        "weight_percent": view.stage.weight_percent,
        "only": None if view.stage.only is None else view.stage.only.model_dump(mode="json"),
        "state": view.record.state,
        "entered_at": view.record.entered_at,
        "ended_at": view.record.ended_at,
        "reason": view.record.reason,
        **counted,
        **({"copies": state_in(view.record.evidence).figures()} if view.stage.kind is StageKind.SHADOW else {}),
        **({"live": view.record.evidence[LIVE]} if LIVE in view.record.evidence else {}),
        "verdicts": [
            {
                "gate": verdict.gate,
                "outcome": verdict.outcome,
                "role": verdict.role,
                "reason": verdict.reason,
                **figures(verdict),
            }
            for verdict in view.verdicts
        ],
    }
