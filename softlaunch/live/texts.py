"""Texts that are there for judges alone: they go with the last judgement, in its transaction."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, exists, select, tuple_, update
from sqlmodel import Session, col

from softlaunch.ledger.texts import delete_judged
from softlaunch.live.states import JudgementState
from softlaunch.store.tables import LiveJudgementRow, RequestRow, TextRow

NO_DETAILS = "judges gave no value; what they said went with the text"
"""The reason of a judgement without a value whose text was there for judges alone."""
_AT_ONCE = 500
_DAY = 86_400.0
Answer = tuple[str, str]
"""The id of a request, and the arm that answered."""


def forget_judged(session: Session, answers: Collection[Answer]) -> None:
    """Delete the texts of answers of which no judgement is outstanding."""
    if not answers:
        return
    row = LiveJudgementRow
    of_them = tuple_(col(row.request_id), col(row.arm)).in_(list(answers))
    waiting = select(col(row.request_id), col(row.arm)).where(of_them, col(row.state) != JudgementState.OVER)
    still = set(session.execute(waiting).tuples())
    _forget(session, [one for one in answers if one not in still])


def forget_unwanted(session: Session, app: str, searched_until: float, kept_seconds: float) -> None:
    """Delete what nobody will judge: texts of requests that were searched, of which no judgement is outstanding.

    They weren't in the sample after all, were one answer of their unit too many, or were let go. What is older than
    texts are kept is let be: it goes by its own time.
    """
    row = LiveJudgementRow
    same = and_(col(row.request_id) == col(TextRow.request_id), col(row.arm) == col(TextRow.arm))
    outstanding = exists().where(same, col(row.state) != JudgementState.OVER)
    of_text = and_(col(RequestRow.request_id) == col(TextRow.request_id), col(RequestRow.arm) == col(TextRow.arm))
    unwanted = (
        select(col(TextRow.request_id), col(TextRow.arm))
        .join(RequestRow, of_text)
        .where(col(TextRow.app) == app, col(TextRow.until_judged), col(RequestRow.started_at) < searched_until)
        .where(col(RequestRow.started_at) >= searched_until - kept_seconds - _DAY)
        .where(~outstanding)
    )
    _forget(session, session.execute(unwanted).tuples().all())


def _forget(session: Session, answers: Sequence[Answer]) -> None:
    """Delete texts, and with them what judges said where they gave no value: that may quote a text."""
    row = LiveJudgementRow
    gone = delete_judged(session, answers)
    for start in range(0, len(gone), _AT_ONCE):
        of_them = tuple_(col(row.request_id), col(row.arm)).in_(gone[start : start + _AT_ONCE])
        session.execute(update(row).where(of_them, col(row.reason) != "").values(reason=NO_DETAILS))
