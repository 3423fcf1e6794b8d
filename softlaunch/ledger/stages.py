"""Stages in the ledger: when they ran, the evidence so far, and the verdicts that mattered."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf, isfinite
from typing import Any

from sqlmodel import Session, col, select

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import defined, definition
from softlaunch.core.verdict import Estimate, Interval, Met, Outcome, Per, Prediction, Role, Verdict
from softlaunch.policy.release import Stage
from softlaunch.policy.stage_limits import Deadlines
from softlaunch.store.tables import StageRow, VerdictRow

_NUMBERS = frozenset({"harm", "margin", "candidate_count", "stable_count", "candidate_value", "stable_value"})


class StageState(StrEnum):
    """How a stage stands: it waits, runs, has passed, was ended early by a person, or ended its release."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    ENDED_EARLY = "ended_early"
    CONCLUDED = "concluded"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class StageRecord:
    """How a stage stands; `evidence` is the JSON state of whatever judges it.

    Of the time since `entered_at`, `skipped_seconds` don't count: nobody looked then, or the clock was set.
    """

    position: int
    state: StageState
    entered_at: datetime | None
    deadline_at: datetime | None
    ended_at: datetime | None
    reason: str
    evidence: Mapping[str, Any]
    looked_at: datetime | None = None
    skipped_seconds: float = 0.0
    deadline_requests: int | None = None
    deadline_units: int | None = None

    @property
    def deadlines(self) -> Deadlines:
        """When the stage has stayed undecided for long enough."""
        return Deadlines(self.deadline_at, self.deadline_requests, self.deadline_units)


def units_in(evidence: Mapping[str, Any]) -> ByArm[int]:
    """Units that a stage has met, by its evidence; none where copies are compared."""
    candidate, stable = evidence.get("panel", {}).get("split", (0, 0))
    return ByArm(int(candidate), int(stable))


def read_stages(session: Session, release_id: str) -> tuple[StageRecord, ...]:
    """Every stage of a release, in the order of its plan."""
    rows = session.exec(select(StageRow).where(StageRow.release_id == release_id).order_by(col(StageRow.position)))
    return tuple(_record(row) for row in rows)


def _record(row: StageRow) -> StageRecord:
    return StageRecord(
        position=row.position,
        state=StageState(row.state),
        entered_at=row.entered_at,
        deadline_at=row.deadline_at,
        ended_at=row.ended_at,
        reason=row.reason,
        evidence=dict(row.evidence),
        looked_at=row.looked_at,
        skipped_seconds=row.skipped_seconds,
        deadline_requests=row.deadline_requests,
        deadline_units=row.deadline_units,
    )


def begin_stage(session: Session, release_id: str, stage: Stage, now: datetime) -> None:
    """Note that a stage is in force from now on."""
    row = session.get_one(StageRow, (release_id, stage.position))
    row.state = StageState.RUNNING
    row.entered_at = row.looked_at = now
    _set_deadlines(row, Deadlines.begin(stage, now))
    session.add(row)


def note_look(
    session: Session, release_id: str, position: int, longest: float, now: datetime, *, frozen: bool = False
) -> StageRecord:
    """Note that a stage is looked at now; returns it.

    Of the time since the last look no more than `longest` seconds count, and none where the clock was set back: the
    deadline moves by what is skipped, so that a stage gets the time that its plan gives it whatever happens to its
    drivers or clocks. In a freeze (`frozen`) it moves by all of it, while what is watched counts for the rest.
    """
    row = session.get_one(StageRow, (release_id, position))
    if row.looked_at is not None:
        passed = (now - row.looked_at).total_seconds()
        skipped = passed - min(max(passed, 0.0), longest)
        row.skipped_seconds += skipped
        if row.deadline_at is not None:
            row.deadline_at += timedelta(seconds=passed if frozen else skipped)
    row.looked_at = now
    session.add(row)
    return _record(row)


def end_stage(session: Session, release_id: str, position: int, state: StageState, reason: str, now: datetime) -> None:
    """Note how a stage ended."""
    row = session.get_one(StageRow, (release_id, position))
    row.state = state
    row.reason = reason
    row.ended_at = now
    session.add(row)


def extend_stage(session: Session, release_id: str, position: int, deadlines: Deadlines) -> None:
    """Move a stage's deadlines."""
    row = session.get_one(StageRow, (release_id, position))
    _set_deadlines(row, deadlines)
    session.add(row)


def put_off_deadlines(session: Session, release_id: str, position: int, requests: int, units: int) -> None:
    """Move a stage's deadlines in numbers by what came in a freeze."""
    row = session.get_one(StageRow, (release_id, position))
    if row.deadline_requests is not None:
        row.deadline_requests += requests
    if row.deadline_units is not None:
        row.deadline_units += units
    session.add(row)


def note_hold(session: Session, release_id: str, position: int, reason: str) -> bool:
    """Note why a stage that is in force, or the first one, is held although it could move on; empty where it isn't.

    Returns whether that has changed.
    """
    row = session.get_one(StageRow, (release_id, position))
    changed = row.reason != reason
    if changed:
        row.reason = reason
        session.add(row)
    return changed


def _set_deadlines(row: StageRow, deadlines: Deadlines) -> None:
    row.deadline_at = deadlines.at
    row.deadline_requests, row.deadline_units = deadlines.requests, deadlines.units


def keep_evidence(session: Session, release_id: str, position: int, evidence: Mapping[str, Any]) -> None:
    """Store what judges the stage, in place of what was stored before."""
    row = session.get_one(StageRow, (release_id, position))
    row.evidence = dict(evidence)
    session.add(row)


def record_verdicts(
    session: Session, release_id: str, position: int, verdicts: Sequence[Verdict], now: datetime, *, final: bool = False
) -> tuple[Verdict, ...]:
    """Keep the verdicts whose outcome differs from the last one kept, all of them where they end the stage.

    Returns those that were kept.
    """
    last = {gate: verdict.outcome for gate, verdict in read_verdicts(session, release_id, position).items()}
    kept = tuple(verdict for verdict in verdicts if final or last.get(verdict.gate) is not verdict.outcome)
    session.add_all(
        VerdictRow(
            release_id=release_id,
            position=position,
            gate=str(verdict.gate),
            role=verdict.role,
            outcome=verdict.outcome,
            reason=verdict.reason,
            figures=figures(verdict),
            decided_at=now,
        )
        for verdict in kept
    )
    return kept


def read_verdicts(session: Session, release_id: str, position: int) -> dict[str, Verdict]:
    """The last verdict kept of each gate of a stage, by gate."""
    rows = session.exec(
        select(VerdictRow)
        .where(VerdictRow.release_id == release_id, VerdictRow.position == position)
        .order_by(col(VerdictRow.id))
    )
    return {
        row.gate: verdict_of(row.figures, row.gate, Outcome(row.outcome), row.reason, Role(row.role)) for row in rows
    }


def has_verdicts_of(session: Session, release_id: str, position: int, moment: datetime) -> bool:
    """Whether verdicts of a stage were kept at this moment."""
    kept = select(VerdictRow.id).where(
        VerdictRow.release_id == release_id, VerdictRow.position == position, VerdictRow.decided_at == moment
    )
    return session.exec(kept.limit(1)).first() is not None


def figures(verdict: Verdict) -> dict[str, Any]:
    """A verdict's numbers as JSON values; an open end of its interval is null, and so is `met` where it isn't known."""
    numbers = asdict(verdict)
    arms = {"candidate": numbers.pop("candidate_met"), "stable": numbers.pop("stable_met")}
    met = {arm: held and {key: _finite(value) for key, value in held.items()} for arm, held in arms.items()}
    interval = verdict.interval
    numbers["interval"] = None if interval is None else [_finite(interval.lower), _finite(interval.upper)]
    named = {"gate", "outcome", "reason", "role"} | ({"prediction"} if verdict.prediction is None else set())
    shown = {key: _finite(value) for key, value in numbers.items() if key not in named}
    declared = definition(verdict.gate)
    return {**shown, "met": met if any(met.values()) else None, **({"declared": declared} if declared else {})}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def verdict_of(
    numbers: Mapping[str, Any], gate: str, outcome: Outcome, reason: str, role: Role = Role.REQUIRED
) -> Verdict:
    """The verdict whose numbers these `figures` are; those that were kept before `met` was known have none."""
    known = {key: value for key, value in numbers.items() if key in _NUMBERS}
    bounds, met, prediction = numbers.get("interval"), numbers.get("met") or {}, numbers.get("prediction")
    candidate, stable = (None if met.get(arm) is None else Met(**met[arm]) for arm in ("candidate", "stable"))
    return Verdict(
        defined(gate, numbers.get("declared")),
        outcome,
        reason,
        role,
        interval=_interval(bounds),
        candidate_met=candidate,
        stable_met=stable,
        per=Per(numbers.get("per", Per.REQUEST)),
        prediction=None if prediction is None else _prediction(prediction),
        **known,
    )


def _prediction(held: Mapping[str, Any]) -> Prediction:
    return Prediction(
        held["by"], held["ratings"], held["scored"], Estimate(**held["plain"]), Estimate(**held["powered"])
    )


def _interval(bounds: tuple[float | None, float | None] | None) -> Interval | None:
    if bounds is None:
        return None
    lower, upper = bounds
    return Interval(-inf if lower is None else lower, inf if upper is None else upper)
