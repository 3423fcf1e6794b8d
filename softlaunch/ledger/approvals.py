"""Approvals in the ledger: what a person is asked about a release or a cleanup, and how each approval stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.notices import Event, Message, notify
from softlaunch.store.tables import ApprovalRow, ReleaseRow, VoteRow


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person is asked, and how it stands; `id` is its number in the ledger, once it is there.

    Where it is about no release, `app` says whose policy rules, `subject_digest` identifies what is asked about, and
    `asked_by` names who began it. `decided_by`, `reason` and `decided_at` are empty while it is pending.
    """

    release_id: str | None
    position: int
    kind: ApprovalKind
    text: str
    expires_at: datetime
    id: int = field(default=0, compare=False)
    app: str = ""
    subject_digest: str = ""
    asked_by: str = ""
    state: ApprovalState = ApprovalState.PENDING
    decided_by: str = ""
    reason: str = ""
    decided_at: datetime | None = None


def request_approval(session: Session, approval: Approval, now: datetime) -> int | None:
    """Ask for an approval; returns its number, or None when this stage of this release has asked for it before."""
    if approval.release_id is not None:
        asked = select(ApprovalRow.id).where(
            ApprovalRow.release_id == approval.release_id,
            ApprovalRow.position == approval.position,
            ApprovalRow.question == approval.kind,
        )
        if session.exec(asked).one_or_none() is not None:
            return None
    row = ApprovalRow(
        release_id=approval.release_id,
        app=approval.app,
        position=approval.position,
        question=approval.kind,
        subject=approval.subject_digest,
        asked_by=approval.asked_by,
        text=approval.text,
        state=ApprovalState.PENDING,
        asked_at=now,
        expires_at=approval.expires_at,
    )
    session.add(row)
    session.flush()
    return row.id


def read_approvals(session: Session, release_id: str, position: int, now: datetime) -> dict[ApprovalKind, Approval]:
    """The approvals of a stage as they stand, at most one of a kind; a pending one past its time has expired."""
    return {approval.kind: approval for approval in _of_stage(session, release_id, position, now)}


def pending_approvals(session: Session, release_id: str, position: int, now: datetime) -> list[Approval]:
    """The approvals of a stage that wait for a person."""
    asked = _of_stage(session, release_id, position, now)
    return [approval for approval in asked if approval.state is ApprovalState.PENDING]


def _of_stage(session: Session, release_id: str, position: int, now: datetime) -> list[Approval]:
    rows = select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.position == position)
    return [to_approval(row, now) for row in session.exec(rows)]


def read_approval(session: Session, approval_id: int, now: datetime) -> Approval:
    """One approval as it stands; raises NotFoundError."""
    row = session.get(ApprovalRow, approval_id)
    if row is None:
        raise NotFoundError(f"no question {approval_id} is recorded; see 'softlaunch release status'")
    return to_approval(row, now)


def lock_approvals(session: Session, app: str) -> list[ApprovalRow]:
    """The approvals of the stage in force of an app's live release; others who decide wait until this is over."""
    return list(
        session.exec(
            select(ApprovalRow)
            .join(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
            .where(ReleaseRow.live_app == app, ApprovalRow.position == ReleaseRow.stage)
            .order_by(col(ApprovalRow.id))
            .with_for_update()
        )
    )


def lock_approval(session: Session, approval_id: int) -> ApprovalRow | None:
    """One approval, whatever became of it; others who decide about it wait until this is over."""
    return session.get(ApprovalRow, approval_id, with_for_update=True)


def last_approval(session: Session, app: str) -> ApprovalRow | None:
    """The newest approval that any release of an app has asked for."""
    found = select(ApprovalRow).join(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
    return session.exec(found.where(ReleaseRow.app == app).order_by(col(ApprovalRow.id).desc()).limit(1)).one_or_none()


def newest_cleanup_approval(session: Session) -> ApprovalRow | None:
    """The newest approval of a cleanup of the registry, however it stands."""
    found = select(ApprovalRow).where(ApprovalRow.question == ApprovalKind.CLEANUP)
    return session.exec(found.order_by(col(ApprovalRow.id).desc()).limit(1)).one_or_none()


def approved_by(session: Session, approval_id: int) -> Sequence[str]:
    """Who has approved so far, where more than one person must."""
    found = select(VoteRow.person).where(VoteRow.approval_id == approval_id, VoteRow.ruling == "noted")
    return list(session.exec(found.order_by(col(VoteRow.id))))


def withdraw_approvals(session: Session, app: str, release_id: str, why: str, now: datetime) -> None:
    """Withdraw what a release still asks for, because it goes on or ends; what was due before has expired."""
    found = select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.state == ApprovalState.PENDING)
    for row in session.exec(found.with_for_update()):
        withdraw_approval(session, row, app, why, now)


def withdraw_approval(session: Session, row: ApprovalRow, app: str, why: str, now: datetime) -> None:
    """Withdraw a pending approval; one that was due before has expired."""
    expired = state_of(row, now) is ApprovalState.EXPIRED
    row.state = ApprovalState.EXPIRED if expired else ApprovalState.WITHDRAWN
    row.decided_at, row.reason = (row.expires_at, "nobody answered in time") if expired else (now, why)
    text = f"Nobody answered in time: {row.text}" if expired else f"The question is withdrawn: {row.text} ({why})"
    notify(session, Message(app, row.release_id, text, Event.CLOSED, {"approval": row.id}), now)


def to_approval(row: ApprovalRow, now: datetime) -> Approval:
    """The frozen value of a row."""
    return Approval(
        release_id=row.release_id,
        position=row.position,
        kind=ApprovalKind(row.question),
        text=row.text,
        expires_at=row.expires_at,
        id=row.id or 0,
        app=row.app,
        subject_digest=row.subject,
        asked_by=row.asked_by,
        state=state_of(row, now),
        decided_by=row.decided_by,
        reason=row.reason,
        decided_at=row.decided_at,
    )


def state_of(row: ApprovalRow, now: datetime) -> ApprovalState:
    """How an approval stands now; a pending one past its time has expired, whether that was written or not."""
    state = ApprovalState(row.state)
    return ApprovalState.EXPIRED if state is ApprovalState.PENDING and now >= row.expires_at else state
