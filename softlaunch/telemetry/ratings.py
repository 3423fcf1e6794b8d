"""What users and judges said of answers, and what apps report of them, in the order in which it counts."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sqlalchemy import Row, Select
from sqlmodel import Session

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import NO_EVENTS, Events, Flags, Floats, Observations
from softlaunch.gates.telemetry import Scope
from softlaunch.store.tables import FeedbackRow, ScoreRow
from softlaunch.telemetry.batch import CANDIDATES, cut
from softlaunch.telemetry.queries import history_ratings, ratings, said_again

RATINGS_LAG = 2.0
"""Seconds that a rating may need from its arrival to the log. It counts so much later, when no other can be missing."""

Rows = list[Row[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Ratings or scores of one metric. `first`, shape (n,), are those of units that hadn't been heard before."""

    metric: Metric
    events: Events = NO_EVENTS
    first: Flags = field(default_factory=lambda: np.empty(0, np.bool_))

    @classmethod
    def of(cls, metric: Metric, rows: Rows) -> Self:
        """From rows in the order of their arrival; rows that don't say whether they are first are."""
        events = Events(
            np.array([row.received_at for row in rows], dtype=np.float64) + RATINGS_LAG,
            np.array([row.unit for row in rows], dtype=np.int64),
            np.array([row.arm in CANDIDATES for row in rows], dtype=np.bool_),
            {metric: np.array([row.value for row in rows], dtype=np.float64)},
            answers=np.array([pseudonym(row.request_id) for row in rows], dtype=np.int64),
        )
        return cls(metric, events, np.array([getattr(row, "first", True) for row in rows], dtype=np.bool_))

    def firsts(self, *, candidate: bool) -> Observations:
        """The first ones of one side."""
        chosen = self.events.only(self.first & (self.events.candidate == candidate))
        return Observations.of(chosen.units, chosen.values.get(self.metric, np.empty(0)))

    def windows(self, edges: Floats) -> list[Events]:
        """All of them, cut where requests are cut."""
        return [self.events.only(places) for places in cut(self.events.at, edges)]


def pseudonym(name: str) -> int:
    """The first eight bytes of a name's hash, signed: of a unit of another database, or of an answer."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def read_ratings(session: Session, scope: Scope, after: float, until: float) -> list[Ratings]:
    """What counts from `after` to `until` of this stage's answers, metric by metric where there is anything."""
    return _read(session, ratings, scope, (after, until))


def read_ratings_again(session: Session, scope: Scope, after: float, until: float) -> list[Ratings]:
    """The same, without a word on who is first."""
    return _read(session, said_again, scope, (after, until))


def _read(
    session: Session, query: Callable[..., Select[Any]], scope: Scope, counted: tuple[float, float]
) -> list[Ratings]:
    arrived = (counted[0] - RATINGS_LAG, counted[1] - RATINGS_LAG)
    rated = session.execute(query(FeedbackRow, scope, arrived)).all()
    scored = session.execute(query(ScoreRow, scope, arrived)).all()
    return _by_metric(rated, scored)


def read_history(session: Session, app: str, stable_digest: str, before: float) -> list[Ratings]:
    """What was said lately of stable's answers."""
    rated = session.execute(history_ratings(FeedbackRow, app, stable_digest, before)).all()
    scored = session.execute(history_ratings(ScoreRow, app, stable_digest, before)).all()
    return _by_metric(sorted(rated, key=_arrival), sorted(scored, key=_arrival))


def _arrival(row: Row[Any]) -> float:
    return float(row.received_at)


def _by_metric(rated: Iterable[Row[Any]], scored: Iterable[Row[Any]]) -> list[Ratings]:
    found: dict[Metric, Rows] = {}
    for row in rated:
        found.setdefault(Metric.SATISFACTION, []).append(row)
    for row in scored:
        found.setdefault(Metric.reported(row.metric), []).append(row)
    return [Ratings.of(metric, rows) for metric, rows in found.items()]
