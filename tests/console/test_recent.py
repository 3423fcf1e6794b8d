"""The last day of every app, counted as it comes in."""

from softlaunch.console.recent import RecentTraffic
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow
from tests.support.builders import APP, NOON, record_app, request_row

NOW = NOON.timestamp()


def _log(database: Database, first: int, count: int, hours_ago: float, **columns: object) -> None:
    with database.begin() as session:
        for number in range(first, first + count):
            at = NOW - 3600 * hours_ago
            session.add(request_row(request_id=f"r-{number}", started_at=at, release_id=None, **columns))


def test_each_request_is_counted_once_however_often_somebody_looks(database: Database) -> None:
    """What is new is added to the hour in which it began."""
    record_app(database)
    _log(database, 0, 3, 2.5)
    recent = RecentTraffic()
    for _ in range(3):
        with database.read() as session:
            recent.look(session, NOW)
    _log(database, 3, 1, 0.1, status=503, outcome="provider_failed")
    with database.read() as session:
        recent.look(session, NOW)
    day = recent.day(APP, NOW)
    assert (day.requests, day.error_share) == (4, 0.25)
    assert [share for share in day.errors_by_hour if share is not None] == [0.0, 1.0]


def test_what_is_older_than_a_day_and_copies_do_not_count(database: Database) -> None:
    """Only what users were shown in the last 24 hours."""
    record_app(database)
    _log(database, 0, 2, 25)
    _log(database, 2, 2, 1, arm="shadow", mirrored=True)
    recent = RecentTraffic()
    with database.read() as session:
        recent.look(session, NOW)
    assert recent.day(APP, NOW).error_share is None
    assert recent.day("another", NOW).requests == 0


def test_a_day_passes(database: Database) -> None:
    """What was counted leaves when its hour is over a day old."""
    record_app(database)
    _log(database, 0, 2, 1)
    recent = RecentTraffic()
    for now in (NOW, NOW + 86_400):
        with database.read() as session:
            recent.look(session, now)
    assert recent.day(APP, NOW + 86_400).requests == 0


def test_ratings_are_means_by_hour(database: Database) -> None:
    """Of those that came in the last day."""
    record_app(database)
    with database.begin() as session:
        for number, satisfaction in enumerate((1.0, 0.5)):
            said = {"request_id": f"r-{number}", "app": APP, "kind": "stars", "satisfaction": satisfaction}
            session.add(FeedbackRow.model_validate({**said, "received_at": NOW - 60}))
    recent = RecentTraffic()
    with database.read() as session:
        recent.look(session, NOW)
    assert recent.day(APP, NOW).satisfaction == 0.75
