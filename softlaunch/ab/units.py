"""What the request log knows of a test's units: each one's mean of every metric, during the test and before it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Select, SQLColumnExpression, and_, func, select
from sqlmodel import Session, col

from softlaunch.ab.samples import Arms, Sample
from softlaunch.core.live_metrics import SCORED, Metric
from softlaunch.core.request_outcome import GIVEN
from softlaunch.policy.route import Arm
from softlaunch.store.tables import FeedbackRow, RequestRow, ScoreRow

_SHOWN = (Arm.STABLE, Arm.CANDIDATE)
_SIDES = {Arm.STABLE: "a", Arm.CANDIDATE: "b"}


@dataclass(frozen=True, slots=True)
class TrialScope:
    """Which requests belong to a test: those of its split from `begun` until `until` (epoch seconds).

    A gateway whose lease ran out serves A alone at a weight of zero: what it logs meanwhile has no concurrent B. What
    units did since `history_from`, before the test, foretells them. `scored` are the metrics whose values come by name.
    """

    app: str
    release_id: str
    stage: int
    weight_percent: float
    begun: float
    until: float
    history_from: float
    scored: tuple[Metric, ...] = tuple(metric for metric in SCORED.values() if metric.entry.can_decide_ab)


def read_arms(session: Session, scope: TrialScope) -> Arms:
    """Everything measured of a test's units so far."""
    found: dict[str, dict[Metric, Sample]] = {"a": {}, "b": {}}
    queries: dict[Metric, Select[Any]] = {
        Metric.COST: _requests(scope, col(RequestRow.cost_usd)),
        Metric.LATENCY: _requests(scope, col(RequestRow.latency_ms)),
        Metric.SATISFACTION: _ratings(scope),
        **{metric: _scores(scope, metric.value) for metric in scope.scored},
    }
    for metric, query in queries.items():
        past = _past(session, scope, metric)
        for arm, rows in _by_arm(session.execute(query)).items():
            found[arm][metric] = _sample(rows, past)
    counted = select(col(RequestRow.arm), func.count(func.distinct(col(RequestRow.unit))))
    units = {
        _SIDES[Arm(arm)]: count for arm, count in session.execute(_in_test(counted, scope).group_by(RequestRow.arm))
    }
    return Arms(found["a"], found["b"], (units.get("a", 0), units.get("b", 0)))


def _in_test(query: Select[Any], scope: TrialScope) -> Select[Any]:
    return query.where(
        col(RequestRow.app) == scope.app,
        col(RequestRow.release_id) == scope.release_id,
        col(RequestRow.stage) == scope.stage,
        col(RequestRow.weight_percent) == scope.weight_percent,
        col(RequestRow.arm).in_(_SHOWN),
        col(RequestRow.started_at) >= scope.begun,
        col(RequestRow.started_at) < scope.until,
    )


def _means(value: SQLColumnExpression[Any]) -> Select[Any]:
    return select(col(RequestRow.unit), col(RequestRow.arm), func.avg(value).label("value")).group_by(
        col(RequestRow.unit), col(RequestRow.arm)
    )


def _requests(scope: TrialScope, value: SQLColumnExpression[Any]) -> Select[Any]:
    """Means over answered requests."""
    return _in_test(_means(value), scope).where(value.is_not(None), col(RequestRow.outcome).in_(GIVEN))


def _ratings(scope: TrialScope) -> Select[Any]:
    """Means over ratings of what the arm itself answered."""
    rated = _means(col(FeedbackRow.satisfaction)).join(
        FeedbackRow, col(FeedbackRow.request_id) == col(RequestRow.request_id)
    )
    return _in_test(rated, scope).where(
        col(RequestRow.fell_back).is_(False), col(FeedbackRow.received_at) < scope.until
    )


def _scores(scope: TrialScope, metric: str) -> Select[Any]:
    scored = _means(col(ScoreRow.value)).join(ScoreRow, col(ScoreRow.request_id) == col(RequestRow.request_id))
    return _in_test(scored, scope).where(
        col(RequestRow.fell_back).is_(False), col(ScoreRow.metric) == metric, col(ScoreRow.received_at) < scope.until
    )


def _past(session: Session, scope: TrialScope, metric: Metric) -> Mapping[int, float]:
    """Each of the test's units' mean of a score before the test, by unit."""
    if not metric.is_rated or scope.history_from >= scope.begun:
        return {}
    rated = metric is Metric.SATISFACTION
    table: type[FeedbackRow | ScoreRow] = FeedbackRow if rated else ScoreRow
    value = col(FeedbackRow.satisfaction) if rated else col(ScoreRow.value)
    met = _in_test(select(col(RequestRow.unit)), scope)
    before = and_(
        col(RequestRow.app) == scope.app,
        col(RequestRow.arm).in_(_SHOWN),
        col(RequestRow.started_at) >= scope.history_from,
        col(RequestRow.started_at) < scope.begun,
        col(RequestRow.unit).in_(met),
    )
    found = (
        select(col(RequestRow.unit), func.avg(value).label("value"))
        .join(table, col(table.request_id) == col(RequestRow.request_id))
        .where(before)
        .group_by(col(RequestRow.unit))
    )
    if not rated:
        found = found.where(col(ScoreRow.metric) == metric.value)
    return {row.unit: float(row.value) for row in session.execute(found)}


def _by_arm(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(_SIDES[Arm(row.arm)], []).append(row)
    return found


def _sample(rows: list[Any], past: Mapping[int, float]) -> Sample:
    return Sample.of(
        np.array([float(row.value) for row in rows]), np.array([past.get(row.unit, np.nan) for row in rows])
    )
