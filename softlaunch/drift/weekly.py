"""Ratings and scores of live traffic by week and unit."""

from collections import defaultdict
from typing import Any

from sqlalchemy import Integer, Select, cast, func, select
from sqlmodel import Session, col

from softlaunch.core.live_metrics import Metric
from softlaunch.drift.trend import WEEK, Week
from softlaunch.policy.route import Arm
from softlaunch.store.tables import FeedbackRow, RequestRow, ScoreRow

_SHOWN = (Arm.STABLE, Arm.CANDIDATE)


def read_weeks(session: Session, app: str, metric: Metric, since: float, until: float) -> list[Week]:
    """Each whole week's means by unit, oldest first; weeks are counted back from `until` (epoch seconds)."""
    query = _ratings(app, since, until) if metric is Metric.SATISFACTION else _scores(app, metric, since, until)
    weeks: dict[int, list[float]] = defaultdict(list)
    for row in session.execute(query):
        weeks[int(row.ago)].append(float(row.value))
    whole = int((until - since) // WEEK)
    return [Week(until - (ago + 1) * WEEK, tuple(weeks[ago])) for ago in sorted(weeks, reverse=True) if ago < whole]


def _by_week(value: Any, received_at: Any, until: float) -> Select[Any]:
    ago = cast(func.floor((until - received_at) / WEEK), Integer)
    return select(ago.label("ago"), func.avg(value).label("value")).group_by(ago, col(RequestRow.unit))


def _ratings(app: str, since: float, until: float) -> Select[Any]:
    rated = _by_week(col(FeedbackRow.satisfaction), col(FeedbackRow.received_at), until)
    joined = rated.join_from(FeedbackRow, RequestRow, col(RequestRow.request_id) == col(FeedbackRow.request_id))
    return joined.where(
        col(FeedbackRow.app) == app,
        col(FeedbackRow.received_at) > since,
        col(FeedbackRow.received_at) <= until,
        col(RequestRow.arm).in_(_SHOWN),
    )


def _scores(app: str, metric: Metric, since: float, until: float) -> Select[Any]:
    scored = _by_week(col(ScoreRow.value), col(ScoreRow.received_at), until)
    joined = scored.join_from(ScoreRow, RequestRow, col(RequestRow.request_id) == col(ScoreRow.request_id))
    return joined.where(
        col(ScoreRow.app) == app,
        col(ScoreRow.metric) == metric.value,
        col(ScoreRow.received_at) > since,
        col(ScoreRow.received_at) <= until,
        col(RequestRow.arm).in_(_SHOWN),
    )
