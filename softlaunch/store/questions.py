"""Questions to people about a release, and their answers; the first valid answer counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from softlaunch.decision import Answer, Question
from softlaunch.errors import SoftlaunchError
from softlaunch.store.releases import Actor
from softlaunch.store.tables import ApprovalRow, ReleaseRow


class NothingToDecideError(SoftlaunchError):
    """No open question waits for this answer."""


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits for a person."""

    release_id: str
    position: int
    question: Question
    text: str
    expires_at: datetime


def ask(session: Session, asked: OpenQuestion, now: datetime) -> bool:
    """Put a question; asking it again changes nothing. Returns whether it is new."""
    if _find(session, asked.release_id, asked.position, asked.question) is not None:
        return False
    session.add(
        ApprovalRow(
            release_id=asked.release_id,
            position=asked.position,
            question=asked.question,
            text=asked.text,
            state=Answer.PENDING,
            asked_at=now,
            expires_at=asked.expires_at,
        )
    )
    return True


def read_answers(session: Session, release_id: str, position: int, now: datetime) -> dict[Question, Answer]:
    """How the questions of a stage stand; a pending one past its time has expired."""
    rows = session.exec(
        select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.position == position)
    )
    return {Question(row.question): _standing(row, now) for row in rows}


def open_questions(session: Session, release_id: str, position: int, now: datetime) -> list[OpenQuestion]:
    """What waits for a person about a stage."""
    rows = session.exec(
        select(ApprovalRow).where(ApprovalRow.release_id == release_id, ApprovalRow.position == position)
    )
    return [_asked(row) for row in rows if _standing(row, now) is Answer.PENDING]


def answer(
    session: Session, app: str, verdict: Answer, actor: Actor, reason: str, now: datetime
) -> Sequence[OpenQuestion]:
    """Answer what is open for an app's live release; returns the questions answered.

    Raises NothingToDecideError when no question is open: it was never asked, is answered, or has expired.
    """
    pending = [
        row
        for row in session.exec(
            select(ApprovalRow)
            .join(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
            .where(ReleaseRow.live_app == app, ApprovalRow.position == ReleaseRow.stage)
        )
        if _standing(row, now) is Answer.PENDING
    ]
    answered = [row for row in pending if _decide(session, row, verdict, actor, reason, now)]
    if not answered:
        raise NothingToDecideError(f"no question about {app} is open; see 'softlaunch release status {app}'")
    return [_asked(row) for row in answered]


def _asked(row: ApprovalRow) -> OpenQuestion:
    return OpenQuestion(row.release_id, row.position, Question(row.question), row.text, row.expires_at)


def _find(session: Session, release_id: str, position: int, question: Question) -> ApprovalRow | None:
    return session.exec(
        select(ApprovalRow).where(
            ApprovalRow.release_id == release_id,
            ApprovalRow.position == position,
            ApprovalRow.question == question,
        )
    ).one_or_none()


def _standing(row: ApprovalRow, now: datetime) -> Answer:
    standing = Answer(row.state)
    return Answer.EXPIRED if standing is Answer.PENDING and now >= row.expires_at else standing


def _decide(session: Session, row: ApprovalRow, verdict: Answer, actor: Actor, reason: str, now: datetime) -> bool:
    decided = session.execute(
        update(ApprovalRow)
        .where(col(ApprovalRow.id) == row.id, col(ApprovalRow.state) == Answer.PENDING)
        .values(state=verdict, decided_at=now, decided_by=actor.name, decided_from=actor.origin, reason=reason)
        .returning(col(ApprovalRow.id))
    )
    return decided.scalar_one_or_none() is not None
