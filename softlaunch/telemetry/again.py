"""Reading again what a stage saw already, for gates that were stored and must know whom they have heard."""

import math
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select
from sqlmodel import Session

from softlaunch.gates.observations import Window
from softlaunch.gates.telemetry import Scope
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, ScoreRow
from softlaunch.telemetry.batch import Batch
from softlaunch.telemetry.queries import arrival_times, request_times, shown_again
from softlaunch.telemetry.ratings import RATINGS_LAG, read_ratings_again

PIECE_ROWS = 100_000
"""At most so many requests, and ratings, are held in memory at once."""


def pieces(database: Database, scope: Scope, after: float, until: float, piece_rows: int) -> Iterator[Window]:
    """The stage's requests and ratings between two moments, cut into windows of at most so many of either."""
    while after < until:
        with database.read() as session:
            reached = _piece_end(session, scope, (after, until), piece_rows)
            window = _piece(session, scope, after, reached)
        yield window
        after = reached


def _piece(session: Session, scope: Scope, after: float, until: float) -> Window:
    rows = session.connection().execute(shown_again(scope, after, until)).all()
    said = read_ratings_again(session, scope, after, until)
    return Window(
        scope.stage.candidate_share,
        requests=Batch.of(rows).events(),
        ratings={ratings.metric: ratings.events for ratings in said},
        until=until,
    )


def _piece_end(session: Session, scope: Scope, window: tuple[float, float], piece_rows: int) -> float:
    """The latest moment of a window that has no more than a piece's rows of any kind between its beginning and it.

    What happened at the very same moment stays together.
    """
    after, until = window
    ends = [_one_too_many(session, request_times(scope, after, until), piece_rows)]
    for table in (FeedbackRow, ScoreRow):
        arrivals = arrival_times(table, scope.app, (after - RATINGS_LAG, until - RATINGS_LAG))
        ends.append(_one_too_many(session, arrivals, piece_rows) + RATINGS_LAG)
    return max(min(*ends, until), math.nextafter(after, math.inf))


def _one_too_many(session: Session, times: Select[Any], piece_rows: int) -> float:
    """The moment of the row with which there are too many; infinite where there aren't."""
    found = session.execute(times.offset(piece_rows).limit(1)).scalar()
    return math.inf if found is None else float(found)
