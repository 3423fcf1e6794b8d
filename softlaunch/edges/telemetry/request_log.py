"""The gateway's own request log as a source of metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from softlaunch.edges.telemetry.batch import Batch
from softlaunch.edges.telemetry.interface import Reading, Scope, TelemetryError
from softlaunch.edges.telemetry.queries import (
    COLUMNS,
    HISTORY_ROWS,
    complete_until,
    dropped,
    exposed,
    history_ratings,
    pairs,
    scores,
    split_rows,
)
from softlaunch.gates.observations import Observations, Window
from softlaunch.policy.model import Metric
from softlaunch.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.outcomes import stable_since
from softlaunch.store.tables import FeedbackRow, RequestRow, ScoreRow

_RATINGS_LAG = 2.0  # seconds that a rating may need from its arrival to the log
_LATELY_SECONDS = 60.0
_CLOCK_LAG = 5.0  # seconds that clocks of gateways may differ
_CANDIDATES = frozenset({Arm.CANDIDATE, Arm.SHADOW})
_JUDGED = {"quality": Metric.QUALITY, "hallucination": Metric.HALLUCINATION}

Rows = list[Row[Any]]


@dataclass(frozen=True, slots=True)
class RequestLogTelemetry:
    """Reads the `requests`, `feedback` and `scores` tables."""

    database: Database

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """Requests of a stage up to the moment to which every live gateway's log is complete."""
        try:
            with self.database.read() as session:
                complete = complete_until(session, now)
                if complete is None:
                    return Reading((), after, problem="no gateway has been heard for 5 s")
                if complete < after - _CLOCK_LAG:
                    late = f"a gateway's clock is {after - complete:.0f} s behind what was read already"
                    return Reading((), after, problem=f"{late}; waiting until it has caught up")
                until = max(after, complete)
                return _read(session, scope, after, until)
        except SQLAlchemyError as error:
            raise TelemetryError(f"the request log can't be read: {error.__class__.__name__}") from error

    def history(self, app: str, stable_digest: str, before: float) -> Window:
        """The last 3,000 requests that this stable variant answered."""
        try:
            with self.database.read() as session:
                shown = (
                    select(*COLUMNS)
                    .where(col(RequestRow.app) == app, col(RequestRow.arm) == Arm.STABLE)
                    .where(col(RequestRow.variant_digest) == stable_digest, col(RequestRow.started_at) < before)
                    .order_by(col(RequestRow.id).desc())
                    .limit(HISTORY_ROWS)
                )
                rows = list(session.execute(shown).all())
                ratings = list(session.execute(history_ratings(app, stable_digest, before)).all())
        except SQLAlchemyError as error:
            raise TelemetryError(f"the request log can't be read: {error.__class__.__name__}") from error
        return Window(0.5, {}, {**Batch.of(rows).observations(), Metric.SATISFACTION: _rated(ratings)})


def _read(session: Session, scope: Scope, after: float, until: float) -> Reading:
    shown_to_users = 0 < scope.stage.weight_percent < 100
    compared = split_rows(scope, after, until) if shown_to_users else pairs(scope, after, until)
    rows = session.connection().execute(compared).all()
    candidates = sum(row.arm in _CANDIDATES for row in rows)
    scored = _scored(session, scope, after, until) if shown_to_users else {}
    batches = Batch.of([row for row in rows if row.first]).windows(after)
    return Reading(
        windows=tuple(
            _window(scope, batch, {} if number else scored, split=shown_to_users)
            for number, batch in enumerate(batches)
        ),
        until=until,
        dropped=dropped(session, scope.app, after, until),
        requests=(candidates, len(rows) - candidates),
        exposed=exposed(session, scope, after, until),
        stable_lately=stable_since(session, scope.app, scope.release_id, scope.stage.position, until - _LATELY_SECONDS),
    )


def _window(scope: Scope, batch: Batch, scored: Mapping[tuple[Arm, Metric], Observations], *, split: bool) -> Window:
    """Both arms of a batch; ratings, which arrive by their own clock, go with the first."""
    candidate, stable = batch.arm(candidate=True), batch.arm(candidate=False)
    return Window(
        scope.stage.candidate_share,
        {**candidate.observations(), **_of_arm(scored, Arm.CANDIDATE)},
        {**stable.observations(), **_of_arm(scored, Arm.STABLE)},
        (len(np.unique(candidate.units)), len(np.unique(stable.units))) if split else None,
    )


def _of_arm(scored: Mapping[tuple[Arm, Metric], Observations], arm: Arm) -> dict[Metric, Observations]:
    return {metric: seen for (scored_arm, metric), seen in scored.items() if scored_arm is arm}


def _rated(rows: Rows) -> Observations:
    return Observations.of(
        np.array([row.unit for row in rows], dtype=np.int64), np.array([row.value for row in rows], dtype=np.float64)
    )


def _scored(session: Session, scope: Scope, after: float, until: float) -> dict[tuple[Arm, Metric], Observations]:
    """Ratings and scores of this stage's requests, by the time they arrived."""
    window = (after - _RATINGS_LAG, until - _RATINGS_LAG)
    found: dict[tuple[Arm, Metric], Rows] = {}
    for row in session.execute(scores(FeedbackRow, scope, window)):
        found.setdefault((Arm(row.arm), Metric.SATISFACTION), []).append(row)
    for row in session.execute(scores(ScoreRow, scope, window)):
        if row.metric in _JUDGED:
            found.setdefault((Arm(row.arm), _JUDGED[row.metric]), []).append(row)
    return {key: _rated(rows) for key, rows in found.items()}
