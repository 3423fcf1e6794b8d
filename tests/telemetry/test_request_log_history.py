"""What stable did before a release, and what was read before, read again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Window
from softlaunch.policy.gating import Adjustment
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, ScoreRow
from softlaunch.telemetry.queries import ratings
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.telemetry.logged import (
    SCOPE,
    T,
    log,
    rating,
    read,
    request,
    score,
    told,
    values,
)


def test_history_is_what_stable_did_before(database: Database) -> None:
    """Of any release or none, of this variant alone, in the order in which it was logged."""
    log(
        database,
        request(1, started_at=T - 20, latency_ms=1.0, release_id=None, stage=0, weight_percent=0.0),
        request(2, started_at=T - 10, latency_ms=2.0),
        request(3, started_at=T + 1, latency_ms=3.0),
        request(4, "candidate", started_at=T - 10),
        request(5, started_at=T - 10, variant_digest=CANDIDATE.digest),
        request(6, started_at=T - 10, app="other"),
        rating(1, 0.75, T - 1),
        rating(2, 0.5, T + 1),
        score(2, "quality", 0.25, T - 3),
    )
    window = RequestLogTelemetry(database).history(APP, STABLE.digest, T)
    assert window.stable[Metric.LATENCY].values.tolist() == [1.0, 2.0]
    assert values(window.stable, Metric.SATISFACTION) == [0.75]
    assert window.candidate == {}


def test_history_tells_when_users_came_and_what_they_said(database: Database) -> None:
    """All of it is stable's, in order of time."""
    log(
        database,
        request(1, started_at=T - 10, latency_ms=2.0),
        request(2, started_at=T - 20, latency_ms=1.0, cost_usd=None),
        rating(1, 0.75, T - 1),
        rating(2, 0.5, T - 4),
        score(2, "quality", 0.25, T - 3),
        score(2, "politeness", 1.0, T - 3),
    )
    window = RequestLogTelemetry(database).history(APP, STABLE.digest, T)
    assert told(window.requests, Metric.LATENCY) == [(T - 20, 2, "stable", 1.0), (T - 10, 1, "stable", 2.0)]
    assert told(window.requests, Metric.COST) == [(T - 10, 1, "stable", 1e-5)]
    assert set(window.ratings) == {Metric.SATISFACTION, Metric.QUALITY, "politeness"}
    assert [unit for _, unit, _, _ in told(window.ratings[Metric.SATISFACTION], Metric.SATISFACTION)] == [2, 1]
    assert [value for *_, value in told(window.ratings[Metric.QUALITY], Metric.QUALITY)] == [0.25]


def test_events_tell_what_was_known_before_the_answer(database: Database) -> None:
    """A request's size, unknown where an older gateway served, and whether it was streamed: live, again and before."""
    log(
        database,
        request(1, started_at=T - 1, request_size=900, streamed=True),
        request(2, started_at=T + 1),
        request(3, "candidate", started_at=T + 2, request_size=0, streamed=True),
    )
    telemetry = RequestLogTelemetry(database)
    (live,), (again,) = read(database).windows, telemetry.read_again(SCOPE, T, T + 5)
    for window, size, streamed in (
        (live, [np.nan, 0.0], [0.0, 1.0]),
        (again, [np.nan, 0.0], [0.0, 1.0]),
        (telemetry.history(APP, STABLE.digest, T), [900.0], [1.0]),
    ):
        assert window.requests is not None
        np.testing.assert_equal(window.requests.covariates[Adjustment.REQUEST_SIZE], size)
        assert window.requests.covariates[Adjustment.STREAMED].tolist() == streamed


def test_of_a_long_history_the_newest_is_read(database: Database) -> None:
    """As many requests as are wanted."""
    log(database, *(request(number, started_at=T - 10 + number) for number in range(5)))
    window = RequestLogTelemetry(database).history(APP, STABLE.digest, T, 2)
    assert [unit for _, unit, _, _ in told(window.requests, Metric.LATENCY)] == [3, 4]


def everything(windows: Sequence[Window]) -> dict[Metric, list[tuple[float, int, str, float]]]:
    """What users did and what was said, in order, however it is cut."""
    return {
        metric: [
            one
            for window in windows
            for events in (window.requests, *window.ratings.values())
            if events is not None and metric in events.values
            for one in told(events, metric)
        ]
        for metric in (Metric.LATENCY, Metric.ERRORS, Metric.SATISFACTION, Metric.QUALITY)
    }


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_what_was_read_can_be_read_again_in_pieces(database: Database, most: int) -> None:
    """It is the same in the same order, whatever a piece may hold; what happened at one moment stays together."""
    moments = [0.0, 0.5, 0.5, 0.5, 0.5, 3.0, 11.0, 12.0, 30.0, 41.0]
    log(
        database,
        *(
            request(n, "candidate" if n % 3 else "stable", unit=n % 4, started_at=T + at)
            for n, at in enumerate(moments)
        ),
        request(20, weight_percent=0.0),
        request(21, stage=1),
        *(rating(n, 0.25 * (n % 5), T + 5 + n) for n in range(8)),
        *(score(n, "quality", 0.5, T + 9) for n in range(5)),
        complete_until=T + 40,
        heard_at=T + 40,
    )
    read_once = [window for part in (T, T + 40) for window in read(database, after=part, now=T + 40).windows]
    telemetry = RequestLogTelemetry(database, piece_rows=most)
    again = list(telemetry.read_again(SCOPE, T, T + 40))
    assert everything(again) == everything(read_once)
    assert [len(everything(again)[metric]) for metric in (Metric.LATENCY, Metric.SATISFACTION)] == [9, 8]
    assert all(window.candidate == {} for window in again)
    assert again[-1].until == T + 40
    pieces = [[at for at, *_ in told(window.requests, Metric.ERRORS)] for window in again]
    assert max(len(piece) for piece in pieces) <= max(most, 4)
    assert all(early.until <= min(late, default=np.inf) for early, late in zip(again, pieces[1:], strict=False))
    some = list(telemetry.read_again(SCOPE, T + 3, T + 12))
    assert [at - T for at, *_ in everything(some)[Metric.LATENCY]] == [3.0, 11.0]


@pytest.mark.parametrize("table", [FeedbackRow, ScoreRow])
def test_what_was_said_is_found_by_its_request(
    tmp_path: Path, migrated_file: Path, table: type[FeedbackRow | ScoreRow]
) -> None:
    """SQLite would rather go through all requests of the stage, for each rating."""
    path = tmp_path / "ledger.db"
    path.write_bytes(migrated_file.read_bytes())
    database = Database(f"sqlite:///{path}")
    query = ratings(table, SCOPE, (T, T + 1)).compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.read() as session:
        steps = [str(row[3]) for row in session.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    database.close()
    assert "SEARCH requests USING INDEX ix_requests_request_id (request_id=?)" in steps
