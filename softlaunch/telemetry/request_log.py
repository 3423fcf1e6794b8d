"""The gateway's own request log as a source of metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.telemetry import HISTORY_ROWS, Reading, Scope, TelemetryError
from softlaunch.ledger.outcomes import stable_since
from softlaunch.store.database import Database
from softlaunch.telemetry.again import PIECE_ROWS, pieces
from softlaunch.telemetry.batch import Batch, window_edges
from softlaunch.telemetry.queries import (
    candidates_answers,
    complete_until,
    dropped,
    oldest_looked_through,
    pairs,
    split_rows,
    stable_before,
)
from softlaunch.telemetry.ratings import Ratings, read_history, read_ratings

_LATELY_SECONDS = 60.0
_CLOCK_LAG = 5.0  # seconds that clocks of gateways may differ


@dataclass(frozen=True, slots=True)
class RequestLogTelemetry:
    """Reads the `requests`, `feedback` and `scores` tables; what was read before, at most `piece_rows` at a time."""

    database: Database
    piece_rows: int = PIECE_ROWS

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """Requests of a stage up to the moment to which every live gateway's log is complete."""
        try:
            with self.database.read() as session:
                complete, problem = self.complete(session, scope, after, now)
                if problem:
                    return Reading((), after, problem=problem)
                return _read(session, scope, after, max(after, complete))
        except SQLAlchemyError as error:
            raise _unreadable(error) from error

    def complete(self, session: Session, scope: Scope, after: float, now: float) -> tuple[float, str]:  # noqa: ARG002
        """The moment up to which the log is complete, or why that isn't known."""
        complete = complete_until(session, now)
        if complete is None:
            return after, "no gateway has been heard for 5 s"
        if complete < after - _CLOCK_LAG:
            late = f"a gateway's clock is {after - complete:.0f} s behind what was read already"
            return after, f"{late}; waiting until it has caught up"
        return complete, ""

    def read_again(self, scope: Scope, after: float, until: float) -> Iterator[Window]:
        """Requests and ratings that were read before, in pieces; nothing where copies are compared."""
        if not scope.stage.is_split:
            return
        try:
            yield from pieces(self.database, scope, after, until, self.piece_rows)
        except SQLAlchemyError as error:
            raise _unreadable(error) from error

    def history(self, app: str, stable_digest: str, before: float, rows: int = HISTORY_ROWS) -> Window:
        """The last so many requests that this stable variant answered, and 3,000 ratings and scores.

        They are looked for among the app's newest requests, ten times as many.
        """
        try:
            with self.database.read() as session:
                since = session.execute(oldest_looked_through(app, before, rows)).scalar() or 0.0
                batch = Batch.of(session.execute(stable_before(app, stable_digest, (since, before), rows)).all())
                said = read_history(session, app, stable_digest, before)
        except SQLAlchemyError as error:
            raise _unreadable(error) from error
        rated = [ratings for ratings in said if ratings.metric is Metric.SATISFACTION]
        return Window(
            0.5,
            {},
            {**batch.observations(), **_firsts(rated, candidate=False)},
            requests=batch.events(),
            ratings={ratings.metric: ratings.events for ratings in said},
        )


def _unreadable(error: SQLAlchemyError) -> TelemetryError:
    return TelemetryError(f"the request log can't be read: {error.__class__.__name__}")


def _read(session: Session, scope: Scope, after: float, until: float) -> Reading:
    is_split = scope.stage.is_split
    compared = split_rows(scope, after, until) if is_split else pairs(scope, after, until)
    batch = Batch.of(session.connection().execute(compared).all())
    said = read_ratings(session, scope, after, until) if is_split else []
    candidates = int(np.count_nonzero(batch.of_candidate))
    exposed, by_fallback = candidates_answers(session, scope, after, until)
    return Reading(
        windows=tuple(windows_of(scope, batch, said, (after, until))),
        until=until,
        dropped=dropped(session, scope.app, after, until),
        requests=ByArm(candidates, len(batch) - candidates),
        exposed=exposed,
        by_fallback=by_fallback,
        stable_lately=stable_since(session, scope.app, scope.release_id, scope.stage.position, until - _LATELY_SECONDS),
    )


def windows_of(scope: Scope, batch: Batch, said: Sequence[Ratings], read: tuple[float, float]) -> Iterator[Window]:
    """What was read, in pieces of ten seconds. What units said first comes by a clock of its own: with the first piece.

    Copies have neither a split to check nor users who come back.
    """
    edges = window_edges(*read, batch.started_at, *(ratings.events.at for ratings in said))
    pieces = {ratings.metric: ratings.windows(edges) for ratings in said}
    for number, part in enumerate(batch.windows(edges)):
        candidate, stable = part.firsts(candidate=True), part.firsts(candidate=False)
        heard = () if number else said
        seen = Window(
            scope.stage.candidate_share,
            {**candidate.observations(), **_firsts(heard, candidate=True)},
            {**stable.observations(), **_firsts(heard, candidate=False)},
            until=float(edges[number + 1]),
        )
        yield (
            replace(
                seen,
                split=ByArm(len(np.unique(candidate.units)), len(np.unique(stable.units))),
                requests=part.events(),
                ratings={metric: events[number] for metric, events in pieces.items()},
            )
            if scope.stage.is_split
            else seen
        )


def _firsts(said: Sequence[Ratings], *, candidate: bool) -> dict[Metric, Observations]:
    return {ratings.metric: ratings.firsts(candidate=candidate) for ratings in said}
