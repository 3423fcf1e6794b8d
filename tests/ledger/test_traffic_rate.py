"""An app's recent traffic, as the request log tells it."""

import pytest

from softlaunch.core.split import unit_hash
from softlaunch.ledger.traffic_rate import read_scores, read_traffic_rate
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, ScoreRow
from tests.support.builders import APP, NOON, STABLE, record_app, request_row

NOW = NOON.timestamp() + 3600


def fill(database: Database, count: int = 401, users: int = 100, first: float = NOON.timestamp()) -> None:
    """So many requests, ten seconds apart, users taking turns."""
    record_app(database)
    with database.begin() as session:
        for number in range(count):
            session.add(
                request_row(request_id=f"r{number}", unit=number % users, started_at=first + 5 * number, stage=0)
            )


def test_rate_and_users_are_those_of_the_log(database: Database) -> None:
    """Requests a second, and distinct users among the first so many requests."""
    fill(database)
    with database.read() as session:
        rate = read_traffic_rate(session, APP, NOW)
    assert rate is not None
    assert (rate.requests, rate.seconds) == (401, 2000)
    assert rate.users == (
        (1, 1),
        (2, 2),
        (4, 4),
        (8, 8),
        (16, 16),
        (32, 32),
        (64, 64),
        (128, 100),
        (256, 100),
        (401, 100),
    )


def test_copies_and_other_apps_are_nobody_s_requests(database: Database) -> None:
    """Only what users asked counts."""
    fill(database, count=10)
    with database.begin() as session:
        session.add(request_row(request_id="copy", arm="shadow", mirrored=True))
        session.add(request_row(request_id="other", app="other"))
    with database.read() as session:
        rate = read_traffic_rate(session, APP, NOW)
    assert rate is not None
    assert rate.requests == 10


def test_what_is_older_than_a_week_is_no_traffic(database: Database) -> None:
    """An app that nobody asks any more has none."""
    fill(database, count=10, first=NOON.timestamp() - 8 * 86400)
    with database.read() as session:
        assert read_traffic_rate(session, APP, NOW) is None


def test_ratings_and_scores_have_a_share(database: Database) -> None:
    """Of the same requests; the scores of stable's answers come with their units."""
    fill(database, count=40)
    with database.begin() as session:
        for number in range(10):
            at = NOON.timestamp() + 300
            session.add(FeedbackRow(request_id=f"r{number}", app=APP, satisfaction=1.0, kind="thumbs", received_at=at))
        session.add(
            ScoreRow(
                request_id="r3", app=APP, metric="quality", value=0.7, source="judge", received_at=NOON.timestamp()
            )
        )
    with database.read() as session:
        rate = read_traffic_rate(session, APP, NOW)
        assert read_scores(session, APP, STABLE.digest, "quality") == [(3, 0.7)]
        assert read_scores(session, APP, "another", "quality") == []
    assert rate is not None
    assert rate.shares == {"satisfaction": pytest.approx(0.25), "quality": pytest.approx(0.025)}


def test_requests_that_named_nobody_are_known(database: Database) -> None:
    """Their unit is made of their own id, by the app's salt."""
    fill(database, count=30)
    with database.begin() as session:
        for number in range(70):
            named = f"{APP}-{number}"
            at = NOON.timestamp() + 1000 + number
            session.add(request_row(request_id=named, unit=unit_hash(named, "salt"), started_at=at))
    with database.read() as session:
        rate = read_traffic_rate(session, APP, NOW)
    assert rate is not None
    assert rate.unnamed == pytest.approx(0.7)
