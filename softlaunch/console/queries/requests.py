"""Requests of the log: found among the newest, and one with everything that is known of it besides its texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.core.request_outcome import ARM_FAILURES, UNUSABLE
from softlaunch.ledger.logged import of_request
from softlaunch.store.tables import FeedbackRow, RequestRow, ScoreRow

LOOKED_THROUGH = 50_000
SHOWN = 50
FAILED = "failed"
"""In place of an outcome: any way in which an arm failed, or gave an answer that serves nobody."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search is for; what is left empty doesn't matter. `unit` is a user's pseudonym."""

    app: str = ""
    arm: str = ""
    outcome: str = ""
    unit: int | None = None
    slower_than_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A request's rows, one for each arm that was asked, and what was said of it later."""

    rows: Sequence[RequestRow]
    feedback: Sequence[FeedbackRow]
    scores: Sequence[ScoreRow]


def search(session: Session, wanted: Wanted) -> Sequence[RequestRow]:
    """The newest 50 of the log's newest 50,000 requests that are as wanted."""
    newest = session.exec(select(func.max(RequestRow.id))).one() or 0
    found = select(RequestRow).where(col(RequestRow.id) > newest - LOOKED_THROUGH)
    if wanted.app:
        found = found.where(RequestRow.app == wanted.app)
    if wanted.arm:
        found = found.where(RequestRow.arm == wanted.arm)
    if wanted.outcome == FAILED:
        found = found.where(col(RequestRow.outcome).in_(ARM_FAILURES | UNUSABLE))
    elif wanted.outcome:
        found = found.where(RequestRow.outcome == wanted.outcome)
    if wanted.unit is not None:
        found = found.where(RequestRow.unit == wanted.unit)
    if wanted.slower_than_ms is not None:
        found = found.where(RequestRow.latency_ms > wanted.slower_than_ms)
    return session.exec(found.order_by(col(RequestRow.id).desc()).limit(SHOWN)).all()


def read_request(session: Session, request_id: str) -> Known:
    """Everything of one request that isn't its texts; no rows where it isn't in the log."""
    rows = session.exec(select(RequestRow).where(of_request(request_id)).limit(20)).all()
    feedback = select(FeedbackRow).where(FeedbackRow.request_id == request_id).limit(50)
    scores = select(ScoreRow).where(ScoreRow.request_id == request_id).limit(50)
    return Known(sorted(rows, key=lambda row: row.id or 0), session.exec(feedback).all(), session.exec(scores).all())
