"""The texts of copies beside those that users got, and what judges said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from softlaunch.gates.telemetry import Scope
from softlaunch.metrics import Score
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.tables import CopyJudgementRow, RequestRow, TextRow

_COPIES = (Arm.SHADOW, Arm.CONTROL)
_PARTS = 10_000  # of a unit's pseudonym, to sample by


@dataclass(frozen=True, slots=True)
class CopiedAnswer:
    """The answer to a copy and the one that the user got, to the same request.

    `arm` is shadow or control; `first` says whether its unit had no copy of this arm in this stage before.
    """

    request_id: str
    arm: Arm
    unit: int
    question: str
    answer: str
    shown: str
    first: bool = True


@dataclass(frozen=True, slots=True)
class CopyJudgement:
    """What judges said of a copy's answer: 1 where it is better than the user's, None where nothing can be read."""

    id: int
    arm: Arm
    unit: int
    value: float | None


def answers_between(session: Session, scope: Scope, after: float, until: float) -> list[CopiedAnswer]:
    """Copies of a stage that began in a window and whose texts are kept, in the order in which they began."""
    copy, earlier = aliased(RequestRow), aliased(RequestRow)
    known = and_(
        col(earlier.release_id) == scope.release_id,
        col(earlier.stage) == scope.stage.position,
        col(earlier.unit) == col(copy.unit),
        col(earlier.started_at) >= scope.began,
        col(earlier.started_at) < after,
        col(earlier.arm) == col(copy.arm),
    )
    first = select(col(earlier.id)).where(known).limit(1).scalar_subquery().is_(None).label("first")
    query = _copied(scope, copy, after, first).where(col(copy.started_at) < until)
    return [_answer(row, first=bool(row.first)) for row in session.execute(query)]


def unjudged_answers(
    session: Session, scope: Scope, since: float, sample_percent: float, most: int
) -> list[CopiedAnswer]:
    """Answers to copies since then that judges may be asked about, the oldest first: of each unit and arm one.

    The sample is of units, by their pseudonyms.
    """
    copy, said = aliased(RequestRow), aliased(CopyJudgementRow)
    judged = and_(
        col(said.release_id) == scope.release_id,
        col(said.stage) == scope.stage.position,
        col(said.arm) == col(copy.arm),
        col(said.unit) == col(copy.unit),
    )
    query = (
        _copied(scope, copy, since)
        .where(func.abs(col(copy.unit) % _PARTS) < sample_percent * _PARTS / 100)
        .where(~exists(select(col(said.id)).where(judged)))
        .limit(most)
    )
    found = (_answer(row) for row in session.execute(query))
    return list({(one.arm, one.unit): one for one in found if one.answer or one.shown}.values())


def _copied(scope: Scope, copy: type[RequestRow], after: float, *more: Any) -> Select[Any]:
    copied, shown = aliased(TextRow), aliased(TextRow)
    columns: tuple[Any, ...] = (
        col(copy.request_id),
        col(copy.arm),
        col(copy.unit),
        col(shown.question),
        col(copied.answer),
        col(shown.answer).label("shown"),
    )
    return (
        select(*columns, *more)
        .select_from(copy)
        .join(copied, and_(col(copied.request_id) == col(copy.request_id), col(copied.arm) == col(copy.arm)))
        .join(shown, and_(col(shown.request_id) == col(copy.request_id), col(shown.arm) == Arm.STABLE))
        .where(
            col(copy.app) == scope.app,
            col(copy.release_id) == scope.release_id,
            col(copy.stage) == scope.stage.position,
            col(copy.started_at) >= after,
            col(copy.arm).in_(_COPIES),
        )
        .order_by(col(copy.started_at), col(copy.id))
    )


def _answer(row: Row[Any], *, first: bool = True) -> CopiedAnswer:
    return CopiedAnswer(row.request_id, Arm(row.arm), row.unit, row.question, row.answer, row.shown, first)


def add_copy_judgements(
    database: Database, scope: Scope, judged: Sequence[tuple[CopiedAnswer, Score]], now: float
) -> None:
    """Write what judges said, in one transaction; what is there already stays as it is.

    A reason is kept only where nothing can be read: others quote texts, which have a retention of their own.
    """
    if not judged:
        return
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    rows = [
        {
            "request_id": answer.request_id,
            "arm": answer.arm.value,
            "app": scope.app,
            "release_id": scope.release_id,
            "stage": scope.stage.position,
            "unit": answer.unit,
            "value": score.value,
            "reason": "" if score.value is not None else score.reason.replace("\0", "�"),  # PostgreSQL takes no NUL
            "calls": score.spent.calls,
            "cost_usd": score.spent.cost_usd,
            "judged_at": now,
        }
        for answer, score in judged
    ]
    with database.begin() as session:
        session.connection().execute(insert(CopyJudgementRow).on_conflict_do_nothing(), rows)


def copy_judgements_after(session: Session, scope: Scope, judged: int) -> list[CopyJudgement]:
    """Judgements of a stage that came after one, in the order in which they were written."""
    row = CopyJudgementRow
    found = select(col(row.id), col(row.arm), col(row.unit), col(row.value)).where(
        col(row.release_id) == scope.release_id, col(row.stage) == scope.stage.position, col(row.id) > judged
    )
    return [
        CopyJudgement(one.id, Arm(one.arm), one.unit, one.value) for one in session.execute(found.order_by(col(row.id)))
    ]


def spent_on_copies(session: Session, scope: Scope) -> tuple[int, float]:
    """Calls of judges in a stage, and what the priced ones of them have cost in USD."""
    row = CopyJudgementRow
    spent = select(func.coalesce(func.sum(row.calls), 0), func.coalesce(func.sum(row.cost_usd), 0.0)).where(
        col(row.release_id) == scope.release_id, col(row.stage) == scope.stage.position
    )
    calls, usd = session.execute(spent).one()
    return int(calls), float(usd)
