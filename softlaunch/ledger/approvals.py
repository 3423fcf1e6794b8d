"""Questions to people about a release or a cleanup, how they stand, and everything that was said to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from softlaunch.core.approvals import Answer, Question
from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.notices import Event, tell
from softlaunch.store.tables import ApprovalRow, ReleaseRow, VoteRow


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits for a person; `id` is its number in the ledger, once it is there.

    About no release, `app` says whose policy rules, `subject` is the digest of what is asked about, and `asked_by` who
    began it.
    """

    release_id: str | None
    position: int
    question: Question
    text: str
    expires_at: datetime
    id: int = field(default=0, compare=False)
    app: str = ""
    subject: str = ""
    asked_by: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a question stands, for people: by whom it was answered, when and why."""

    asked: OpenQuestion
    answer: Answer
    by: str
    reason: str
    at: datetime | None


def ask(session: Session, asked: OpenQuestion, now: datetime) -> int | None:
    """Put a question; returns its number, or None when it was asked before about this stage of this release."""
    if asked.release_id is not None and _find(session, asked.release_id, asked.position, asked.question) is not None:
        return None
    row = ApprovalRow(
        release_id=asked.release_id,
        app=asked.app,
        position=asked.position,
        question=asked.question,
        subject=asked.subject,
        asked_by=asked.asked_by,
        text=asked.text,
        state=Answer.PENDING,
        asked_at=now,
        expires_at=asked.expires_at,
    )
    session.add(row)
    session.flush()
    return row.id


def read_answers(session: Session, release_id: str, position: int, now: datetime) -> dict[Question, Answer]:
    """How the questions of a stage stand; a pending one past its time has expired."""
    rows = session.exec(
        select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.position == position)
    )
    return {Question(row.question): standing(row, now) for row in rows}


def open_questions(session: Session, release_id: str, position: int, now: datetime) -> list[OpenQuestion]:
    """What waits for a person about a stage."""
    rows = session.exec(
        select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.position == position)
    )
    return [to_asked(row) for row in rows if standing(row, now) is Answer.PENDING]


def read_settled(session: Session, approval_id: int, now: datetime) -> Settled:
    """How one question stands; raises NotFoundError."""
    row = session.get(ApprovalRow, approval_id)
    if row is None:
        raise NotFoundError(f"no question {approval_id} is recorded; see 'softlaunch release status'")
    return Settled(to_asked(row), standing(row, now), row.decided_by, row.reason, row.decided_at)


def lock_questions(session: Session, app: str) -> list[ApprovalRow]:
    """The questions of the stage in force of an app's live release; others who answer wait until this is over."""
    return list(
        session.exec(
            select(ApprovalRow)
            .join(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
            .where(ReleaseRow.live_app == app, ApprovalRow.position == ReleaseRow.stage)
            .order_by(col(ApprovalRow.id))
            .with_for_update()
        )
    )


def find_question(session: Session, approval_id: int) -> ApprovalRow | None:
    """One question, whatever became of it; others who answer it wait until this is over."""
    return session.get(ApprovalRow, approval_id, with_for_update=True)


def last_question(session: Session, app: str) -> ApprovalRow | None:
    """The newest question that was ever asked about an app."""
    found = select(ApprovalRow).join(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
    return session.exec(found.where(ReleaseRow.app == app).order_by(col(ApprovalRow.id).desc()).limit(1)).one_or_none()


def newest_cleanup(session: Session) -> ApprovalRow | None:
    """The newest question about a cleanup of the registry, however it stands."""
    found = select(ApprovalRow).where(ApprovalRow.question == Question.CLEANUP)
    return session.exec(found.order_by(col(ApprovalRow.id).desc()).limit(1)).one_or_none()


def agreed(session: Session, approval_id: int) -> Sequence[str]:
    """Who approved so far, where more than one person must."""
    found = select(VoteRow.person).where(VoteRow.approval_id == approval_id, VoteRow.ruling == "noted")
    return list(session.exec(found.order_by(col(VoteRow.id))))


def close_questions(session: Session, app: str, release_id: str, why: str, now: datetime) -> None:
    """Withdraw what is still asked about a release, because it goes on or ends; what was due before has expired."""
    found = select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.state == Answer.PENDING)
    for row in session.exec(found.with_for_update()):
        close_question(session, row, app, why, now)


def close_question(session: Session, row: ApprovalRow, app: str, why: str, now: datetime) -> None:
    """Withdraw a question that is pending; one that was due before has expired."""
    expired = standing(row, now) is Answer.EXPIRED
    row.state = Answer.EXPIRED if expired else Answer.WITHDRAWN
    row.decided_at, row.reason = (row.expires_at, "nobody answered in time") if expired else (now, why)
    said = f"Nobody answered in time: {row.text}" if expired else f"The question is withdrawn: {row.text} ({why})"
    tell(session, app, row.release_id, said, now, Event.CLOSED, {"approval": row.id})


def to_asked(row: ApprovalRow) -> OpenQuestion:
    """The frozen value of a row."""
    kind = Question(row.question)
    about = (row.app, row.subject, row.asked_by)
    return OpenQuestion(row.release_id, row.position, kind, row.text, row.expires_at, row.id or 0, *about)


def standing(row: ApprovalRow, now: datetime) -> Answer:
    """How a question stands now; a pending one past its time has expired, whether that was written or not."""
    stands = Answer(row.state)
    return Answer.EXPIRED if stands is Answer.PENDING and now >= row.expires_at else stands


def _find(session: Session, release_id: str, position: int, question: Question) -> ApprovalRow | None:
    return session.exec(
        select(ApprovalRow).where(
            ApprovalRow.release_id == release_id,
            ApprovalRow.position == position,
            ApprovalRow.question == question,
        )
    ).one_or_none()
