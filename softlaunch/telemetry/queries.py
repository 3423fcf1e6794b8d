"""The queries of the request log: which requests a stage compares, and whose fault a failure was."""

from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, case, func, literal, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gates.telemetry import HISTORY_ROWS, Scope
from softlaunch.ledger.gateways import GATEWAY
from softlaunch.ledger.logged import NEWEST_FIRST
from softlaunch.ledger.reported import LIVE_JUDGES
from softlaunch.ledger.request_log import HEARD_SECONDS
from softlaunch.policy.release import Stage, StageKind
from softlaunch.policy.route import Arm
from softlaunch.store.tables import DropRow, FeedbackRow, GatewayRow, RequestRow, ScoreRow

_LOOKED_THROUGH = 10
_DAY = 86_400.0
_SHOWN = (Arm.STABLE, Arm.CANDIDATE)
_COPIES = frozenset({Arm.SHADOW, Arm.CONTROL})
# aliases are made once: of so wide a table that takes longer than some queries
_EARLIER = aliased(RequestRow)
_COPY, _USER = aliased(RequestRow), aliased(RequestRow)
_EARLIER_RATING, _EARLIER_SCORE = aliased(FeedbackRow), aliased(ScoreRow)

COLUMNS = (
    col(RequestRow.unit),
    col(RequestRow.outcome),
    col(RequestRow.latency_ms),
    col(RequestRow.cost_usd),
    col(RequestRow.started_at),
    col(RequestRow.arm),
    or_(col(RequestRow.outcome) == RequestOutcome.CLIENT_GONE, col(RequestRow.excused)).label("blameless"),
    col(RequestRow.request_size),
    col(RequestRow.streamed),
    col(RequestRow.checks),
)
"""What is read of a request. It is `blameless` when its failure is held against nobody: the client left, or the request
was at fault by both arms' judgement.
"""


def complete_until(session: Session, now: float, kind: str = GATEWAY) -> float | None:
    """The moment to which every gateway heard of lately has written its log; None where none was heard.

    One that was heard in the future died before the clock was set back. The same of receivers, by their `kind`.
    """
    lately = and_(
        col(GatewayRow.kind) == kind,
        col(GatewayRow.heard_at) > now - HEARD_SECONDS,
        col(GatewayRow.heard_at) < now + HEARD_SECONDS,
    )
    heard = select(func.min(GatewayRow.complete_until)).where(lately)
    complete: float | None = session.execute(heard).scalar_one()
    return complete


def split_rows(scope: Scope, after: float, until: float) -> Select[Any]:
    """Requests that users saw while the split was in force, in order, and whether their unit is `first` seen now.

    Copies are left to the stages that compare them. A gateway whose lease ran out serves stable at a weight of zero:
    what it logs meanwhile has no concurrent candidate.
    """
    return shown_again(scope, after, until).add_columns(_is_first(scope, after, col(RequestRow.unit), copies=False))


def shown_again(scope: Scope, after: float, until: float) -> Select[Any]:
    """The same requests, whoever made them."""
    return (
        _of_stage(select(*COLUMNS), scope, after, until)
        .where(col(RequestRow.arm).in_(_SHOWN), col(RequestRow.weight_percent) == scope.stage.weight_percent)
        .order_by(col(RequestRow.started_at), col(RequestRow.id))
    )


def request_times(scope: Scope, after: float, until: float) -> Select[Any]:
    """When a stage's requests began, in order."""
    began = _of_stage(select(col(RequestRow.started_at)), scope, after, until)
    return began.order_by(col(RequestRow.started_at))


def arrival_times(table: type[FeedbackRow | ScoreRow], app: str, arrived: tuple[float, float]) -> Select[Any]:
    """When an app's ratings or scores arrived, in order."""
    said = select(col(table.received_at)).where(col(table.app) == app)
    within = said.where(col(table.received_at) >= arrived[0], col(table.received_at) < arrived[1])
    return within.order_by(col(table.received_at))


def _of_stage(query: Select[Any], scope: Scope, after: float, until: float) -> Select[Any]:
    return query.where(
        col(RequestRow.app) == scope.app,
        col(RequestRow.release_id) == scope.release_id,
        col(RequestRow.stage) == scope.stage.position,
        col(RequestRow.started_at) >= after,
        col(RequestRow.started_at) < until,
    )


def _is_first(scope: Scope, after: float, unit: SQLColumnExpression[int], *, copies: bool) -> ColumnElement[bool]:
    """Whether a unit was not compared in this stage before: users resemble themselves, so each is evidence once.

    Nothing is compared that began before the stage; saying so spares PostgreSQL the days before it.
    """
    earlier = _EARLIER
    known = and_(
        col(earlier.release_id) == scope.release_id,
        col(earlier.stage) == scope.stage.position,
        col(earlier.unit) == unit,
        col(earlier.started_at) >= scope.began,
        col(earlier.started_at) < after,
        col(earlier.mirrored).is_(copies),
    )
    if not copies:
        known = and_(known, col(earlier.weight_percent) == scope.stage.weight_percent)
    return _none_of(select(col(earlier.id)).where(known)).label("first")


def _none_of(earlier: Select[Any]) -> ColumnElement[bool]:
    """That there is no such row, looked up for each row by index.

    For NOT EXISTS PostgreSQL may read every row of a stage instead, and hold them in memory, look after look.
    """
    return earlier.limit(1).scalar_subquery().is_(None)


def pairs(scope: Scope, after: float, until: float) -> Select[Any]:
    """Copies that began in the window, and the users' requests that they are copies of, each by the side that it is of.

    After a promotion nobody was asked whose fault a refused request was: the copy says it.
    """
    copy, user = _COPY, _USER
    (copied, copies_are), (shown, users_are) = _copied(scope.stage)
    afterwards = scope.stage.kind is StageKind.TOPLINE
    paired = _paired(scope, (copied, shown), after, until)
    left = col(user.outcome) == RequestOutcome.CLIENT_GONE
    at_fault = RequestOutcome.REQUEST_AT_FAULT
    both_by_client = and_(col(user.outcome) == at_fault, col(copy.outcome) == at_fault)
    slower_than_patience = and_(left, col(copy.latency_ms) > col(user.latency_ms))

    def side(row: type[RequestRow], arm: Arm) -> Select[Any]:
        # both sides carry the copy's time, so that a pair is never torn apart by a window's edge, and the user's
        # patience, so that neither side is cut short where the other isn't
        return select(
            col(row.unit),
            case((left, RequestOutcome.CLIENT_GONE), else_=col(row.outcome)).label("outcome"),
            case((slower_than_patience, col(user.latency_ms)), else_=col(row.latency_ms)).label("latency_ms"),
            col(row.cost_usd),
            col(copy.started_at).label("started_at"),
            literal(arm).label("arm"),
            or_(left, both_by_client, *([] if afterwards else [col(row.excused)])).label("blameless"),
            col(row.request_size),
            col(row.streamed),
            col(row.checks),
            _is_first(scope, after, col(copy.unit), copies=True),
        ).where(paired)

    return select(side(copy, copies_are).union_all(side(user, users_are)).subquery())


def _paired(scope: Scope, arms: tuple[Arm, Arm], after: float, until: float) -> ColumnElement[bool]:
    """That a copy on one arm is of a user's request on another, and began in a window of a stage.

    What it is of began within the day before or after: saying so spares PostgreSQL all other days, for each copy.
    """
    copy, user, (copied, shown) = _COPY, _USER, arms
    return and_(
        col(copy.request_id) == col(user.request_id),
        col(copy.arm) == copied,
        col(user.arm) == shown,
        col(copy.app) == scope.app,
        col(copy.release_id) == scope.release_id,
        col(copy.stage) == scope.stage.position,
        col(copy.started_at) >= after,
        col(copy.started_at) < until,
        col(user.started_at) >= after - _DAY,
        col(user.started_at) < until + _DAY,
    )


def _copied(stage: Stage) -> tuple[tuple[Arm, Arm], tuple[Arm, Arm]]:
    """By which arm the log knows a stage's copies, and on which side they are; then the same of what they copy."""
    candidate, stable = (stage.arms.candidate, Arm.CANDIDATE), (stage.arms.stable, Arm.STABLE)
    return (candidate, stable) if stage.arms.candidate in _COPIES else (stable, candidate)


def oldest_looked_through(app: str, before: float, rows: int) -> Select[Any]:
    """When the oldest of an app's requests began in which stable's last ones are looked for; nothing with fewer.

    A variant that has only just become stable has few, and all before them is other variants'.
    """
    began = select(col(RequestRow.started_at)).where(col(RequestRow.app) == app, col(RequestRow.started_at) < before)
    return began.order_by(col(RequestRow.started_at).desc()).offset(_LOOKED_THROUGH * rows).limit(1)


def stable_before(app: str, stable_digest: str, began: tuple[float, float], rows: int) -> Select[Any]:
    """The last requests between two moments that a variant answered as stable."""
    since, before = began
    return (
        select(*COLUMNS)
        .where(col(RequestRow.app) == app, col(RequestRow.arm) == Arm.STABLE)
        .where(col(RequestRow.variant_digest) == stable_digest)
        .where(col(RequestRow.started_at) >= since, col(RequestRow.started_at) < before)
        .order_by(*NEWEST_FIRST)
        .limit(rows)
    )


def history_ratings(table: type[FeedbackRow | ScoreRow], app: str, stable_digest: str, before: float) -> Select[Any]:
    """Recent ratings or scores of stable's answers."""
    return (
        _what_was_said(table)
        .where(col(table.app) == app, col(table.received_at) < before)
        .where(col(RequestRow.variant_digest) == stable_digest, col(RequestRow.arm) == Arm.STABLE)
        .order_by(col(table.id).desc())
        .limit(HISTORY_ROWS)
    )


def ratings(table: type[FeedbackRow | ScoreRow], scope: Scope, arrived: tuple[float, float]) -> Select[Any]:
    """What users or judges said of this stage's answers between two moments, in the order of its arrival.

    `first` is of units that hadn't been heard before.
    """
    return said_again(table, scope, arrived).add_columns(
        _none_of(_heard_before(table, scope, arrived[0])).label("first")
    )


def said_again(table: type[FeedbackRow | ScoreRow], scope: Scope, arrived: tuple[float, float]) -> Select[Any]:
    """The same, whoever said it."""
    # written so that no index of a stage's requests fits: SQLite would go through all of them for each rating
    release_id = func.coalesce(col(RequestRow.release_id), "")
    return _that_count(
        _what_was_said(table)
        .where(col(table.app) == scope.app, col(table.received_at) >= arrived[0], col(table.received_at) < arrived[1])
        .where(release_id == scope.release_id, col(RequestRow.stage) == scope.stage.position)
        .where(col(RequestRow.arm).in_(_SHOWN), col(RequestRow.fell_back).is_(False))
        .where(col(RequestRow.weight_percent) == scope.stage.weight_percent)
        .where(col(RequestRow.started_at) >= scope.began)
        .order_by(col(table.received_at), col(table.id)),
        table,
        scope,
    )


def _that_count(said: Select[Any], table: type[FeedbackRow | ScoreRow], scope: Scope) -> Select[Any]:
    return said if table is FeedbackRow or not scope.judged_live else said.where(_counts(ScoreRow, scope))


def _counts(score: type[ScoreRow], scope: Scope) -> ColumnElement[bool]:
    """Not by others of what live judges judge: those may have scored other units, by another scale."""
    return or_(col(score.source) == LIVE_JUDGES, col(score.metric).not_in(scope.judged_live))


def _what_was_said(table: type[FeedbackRow | ScoreRow]) -> Select[Any]:
    said: list[SQLColumnExpression[Any]] = (
        [col(FeedbackRow.satisfaction).label("value")]
        if table is FeedbackRow
        else [col(ScoreRow.value).label("value"), col(ScoreRow.metric).label("metric")]
    )
    return (
        select(col(RequestRow.unit), col(RequestRow.arm), col(table.received_at), col(table.request_id), *said)
        .select_from(table)
        .join(RequestRow, col(RequestRow.request_id) == col(table.request_id))
    )


def _heard_before(table: type[FeedbackRow | ScoreRow], scope: Scope, before: float) -> Select[Any]:
    """An earlier rating, or score of the same metric, by the same unit in this stage."""
    earlier = _EARLIER
    in_stage = and_(
        col(earlier.release_id) == scope.release_id,
        col(earlier.stage) == scope.stage.position,
        col(earlier.unit) == col(RequestRow.unit),
        col(earlier.weight_percent) == scope.stage.weight_percent,
        col(earlier.started_at) >= scope.began,
    )
    if table is FeedbackRow:
        rating = _EARLIER_RATING
        said = and_(col(rating.request_id) == col(earlier.request_id), col(rating.received_at) < before)
        return select(col(rating.id)).join(earlier, in_stage).where(said)
    score = _EARLIER_SCORE
    said = and_(col(score.request_id) == col(earlier.request_id), col(score.received_at) < before)
    heard = select(col(score.id)).join(earlier, in_stage).where(said, col(score.metric) == col(ScoreRow.metric))
    return heard.where(_counts(score, scope)) if scope.judged_live else heard


def dropped(session: Session, app: str, after: float, until: float) -> int:
    """Requests that gateways served but could not log, or not in time; less what came back after all."""
    lost = select(func.coalesce(func.sum(DropRow.count), 0)).where(
        col(DropRow.app) == app, col(DropRow.noted_at) >= after, col(DropRow.noted_at) < until
    )
    return int(session.execute(lost).scalar_one())


def candidates_answers(session: Session, scope: Scope, after: float, until: float) -> tuple[int, int]:
    """How many requests the candidate answered to users, and how many, copies too, one of its fallback models did."""
    afterwards = scope.stage.kind is StageKind.TOPLINE
    to_users = Arm.STABLE if afterwards else Arm.CANDIDATE
    shown = and_(col(RequestRow.arm) == to_users, col(RequestRow.fell_back).is_(False))
    counts = select(func.count(case((shown, 1))), func.count(col(RequestRow.answered_by)))
    of_candidate = col(RequestRow.arm).in_([to_users] if afterwards else [Arm.CANDIDATE, Arm.SHADOW])
    exposed, by_fallback = session.execute(_of_stage(counts, scope, after, until).where(of_candidate)).one()
    return int(exposed), int(by_fallback)
