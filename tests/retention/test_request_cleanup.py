"""Request rows: into daily sums, into the archive, and back."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from softlaunch.retention.cleanup import Order
from softlaunch.retention.request_days import DayCleanup
from softlaunch.retention.restore import brought_up_to_date
from softlaunch.retention.rollup import bucket_of
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.days import keep_days, read_partitions
from softlaunch.store.rows import dump
from softlaunch.store.tables import DailyRequestRow, FeedbackRow, LiveJudgementRow, RequestRow, ScoreRow
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, open_in, request_row
from tests.support.cleanup_scene import DAY, Registry, make_registry


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    """A registry with three requests 100 days ago, one of them rated, scored and judged, and one of yesterday."""
    made = make_registry(database, tmp_path / "archive")
    old = (NOON - 100 * DAY).timestamp()
    with database.begin() as session:
        outcomes = [(old, "answered"), (old + 60, "total_timeout"), (old + 86400, "answered")]
        for number, (started_at, outcome) in enumerate(outcomes):
            session.add(_request(f"r{number}", started_at, outcome=outcome))
        session.add(_request("young", (NOON - DAY).timestamp()))
        session.add(FeedbackRow(request_id="r0", app=APP, satisfaction=0.75, kind="stars", received_at=old))
        session.add(ScoreRow(request_id="r0", app=APP, metric="quality", value=0.5, source="judge", received_at=old))
        session.add(_judgement("r0", old))
    return made


def _judgement(request_id: str, started_at: float) -> LiveJudgementRow:
    return LiveJudgementRow(
        request_id=request_id,
        arm="stable",
        metric="quality",
        app=APP,
        unit=1,
        started_at=started_at,
        sample_percent=1.0,
        state="over",
        value=0.5,
    )


def _request(request_id: str, started_at: float, **fields: object) -> RequestRow:
    plain = {
        "latency_ms": 800.0,
        "cost_usd": 0.001,
        "variant_digest": STABLE.digest,
        "arm": "stable",
        "release_id": None,
        **fields,
    }
    return request_row(request_id=request_id, started_at=started_at, **plain)


def _rows(registry: Registry) -> bytes:
    with registry.database.read() as session:
        tables = (RequestRow, FeedbackRow, ScoreRow, LiveJudgementRow)
        return dump({one: session.exec(select(one).order_by(col(one.id))).all() for one in tables})


def _days(registry: Registry) -> list[tuple[int, int, int, float]]:
    with registry.database.read() as session:
        days = session.exec(select(DailyRequestRow).order_by(DailyRequestRow.day)).all()
        return [(one.requests, one.failed, one.rated, one.satisfaction) for one in days]


def test_old_requests_become_daily_sums(registry: Registry) -> None:
    """What is older than 90 days is summed up by day, archived, and comes back byte for byte; nothing counts twice."""
    before = _rows(registry)
    registry.clean()
    with registry.database.read() as session:
        assert [row.request_id for row in session.exec(select(RequestRow))] == ["young"]
        first = session.exec(select(DailyRequestRow).order_by(DailyRequestRow.day)).all()[0]
        assert (first.latencies, first.latency_ms) == ({bucket_of(800): 2}, 1600)
    assert _days(registry) == [(2, 1, 1, 0.75), (1, 0, 0, 0.0)]
    for kind, key in registry.archived():
        if kind is Kind.REQUESTS:
            registry.put_back(kind, key)
    assert _rows(registry) == before
    assert _days(registry) == [(0, 0, 0, 0.0), (0, 0, 0, 0.0)]
    registry.now += 91 * DAY
    registry.clean()
    assert _days(registry)[:2] == [(2, 1, 1, 0.75), (1, 0, 0, 0.0)]


def test_a_live_release_keeps_its_requests(registry: Registry) -> None:
    """The gates may still look at them, however old they are."""
    with registry.database.begin() as session:
        release_id = open_in(session)
        old = (NOON - 100 * DAY).timestamp()
        session.add(_request("live", old, release_id=release_id, arm="candidate", variant_digest=CANDIDATE.digest))
    registry.clean()
    with registry.database.read() as session:
        assert {row.request_id for row in session.exec(select(RequestRow))} == {"live", "young"}


def test_rows_archived_before_outcomes_were_kept_come_back_with_theirs() -> None:
    """An old archive's `error` becomes the outcome that such a row has now."""
    old: list[dict[str, Any]] = [{"error": None, "fell_back": False}, {"error": "http_4xx", "fell_back": False}]
    rows = brought_up_to_date({"requests": [*old, {"error": "timeout", "fell_back": True}]})["requests"]
    assert [(row["outcome"], row["excused"]) for row in rows] == [
        ("answered", False),
        ("request_at_fault", True),
        ("total_timeout", False),
    ]


def test_archives_of_before_may_hold_a_rating_twice(registry: Registry) -> None:
    """Of several ratings of one kind the first comes back, and the days' sums are right again."""
    old = (NOON - 100 * DAY).timestamp()
    with registry.database.begin() as session:
        session.execute(text("DROP INDEX ix_feedback_once"))
        session.add(FeedbackRow(request_id="r0", app=APP, satisfaction=0.25, kind="stars", received_at=old + 9))
    registry.clean()
    with registry.database.begin() as session:
        session.execute(text("CREATE UNIQUE INDEX ix_feedback_once ON feedback (request_id, kind)"))
    for kind, key in registry.archived():
        if kind is Kind.REQUESTS:
            registry.put_back(kind, key)
    with registry.database.read() as session:
        assert [one.satisfaction for one in session.exec(select(FeedbackRow))] == [0.75]
    assert _days(registry) == [(0, 0, 0, 0.0), (0, 0, 0, 0.0)]


@pytest.fixture
def in_days(registry: Registry) -> Registry:
    """The same registry with each of its days in a partition; on PostgreSQL alone there are any."""
    keep_days(registry.database, NOON.timestamp())
    return registry


def _days_there(registry: Registry) -> set[str]:
    with registry.database.read() as session:
        return {f"{datetime.fromtimestamp(one.start, UTC):%m-%d}" for one in read_partitions(session)}


ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
OLD = (NOON - 100 * DAY).timestamp()


@ON_POSTGRESQL
@pytest.mark.postgres
@pytest.mark.long
def test_whole_days_are_dropped(in_days: Registry) -> None:
    """Rows, sums and archive are what they are where rows are deleted, and all of it comes back byte for byte."""
    before = _rows(in_days)
    ahead = _days_there(in_days) - {"11-21", "11-22"}
    done = in_days.clean()
    assert done.kinds[Kind.REQUESTS].deleted == 2
    assert _days_there(in_days) == ahead
    assert _days(in_days) == [(2, 1, 1, 0.75), (1, 0, 0, 0.0)]
    with in_days.database.read() as session:
        first = session.exec(select(DailyRequestRow).order_by(DailyRequestRow.day)).all()[0]
        assert (first.latencies, first.latency_ms, first.priced) == ({bucket_of(800): 2}, 1600, 2)
        for table in (FeedbackRow, ScoreRow, LiveJudgementRow):
            assert session.exec(select(table)).all() == []
    for kind, key in in_days.archived():
        if kind is Kind.REQUESTS:
            in_days.put_back(kind, key)
    assert _rows(in_days) == before
    assert _days(in_days) == [(0, 0, 0, 0.0), (0, 0, 0, 0.0)]


@ON_POSTGRESQL
@pytest.mark.postgres
@pytest.mark.long
def test_a_day_that_a_live_release_looks_at_is_not_dropped(in_days: Registry) -> None:
    """Its other rows go one by one, as they would without days."""
    with in_days.database.begin() as session:
        release_id = open_in(session)
        live = _request("live", OLD, release_id=release_id, arm="candidate", variant_digest=CANDIDATE.digest)
        session.add(live)
    in_days.clean()
    assert "11-21" in _days_there(in_days)
    assert "11-22" not in _days_there(in_days)
    with in_days.database.read() as session:
        assert {row.request_id for row in session.exec(select(RequestRow))} == {"live", "young"}


@ON_POSTGRESQL
@pytest.mark.postgres
@pytest.mark.long
@pytest.mark.parametrize("late", ["request", "rating", "judgement"])
def test_a_day_that_changes_while_it_is_copied_stays(in_days: Registry, late: str) -> None:
    """What came after its copy was read isn't in the archive: nothing is deleted, and the next cleanup does it all."""
    database = in_days.database

    def meanwhile(step: str) -> None:
        if step != "read back" or changed:
            return
        changed.append(late)
        with database.begin() as session:
            if late == "request":
                session.add(_request("late", OLD + 1))
            elif late == "rating":
                session.add(FeedbackRow(request_id="r1", app=APP, satisfaction=1.0, kind="thumbs", received_at=OLD))
            else:
                session.exec(select(LiveJudgementRow)).one().value = 0.75

    changed: list[str] = []
    cleanup = in_days.cleanup(meanwhile)
    planned = cleanup.plan()
    part = next(one for one in planned.parts if one.kind is Kind.REQUESTS)
    order = Order(part.fingerprints, planned.as_of, "test")
    done = DayCleanup(database, cleanup.archive, order, in_days.now, meanwhile).clean()
    assert (done.deleted, done.kept) == (1, 1)
    assert "11-21" in _days_there(in_days)
    in_days.clean()
    assert "11-21" not in _days_there(in_days)


@ON_POSTGRESQL
@pytest.mark.postgres
@pytest.mark.long
@pytest.mark.parametrize("step", ["read", "archive", "read back", "settle", "delete", "record"])
def test_a_cleanup_of_days_that_breaks_off_loses_nothing(in_days: Registry, step: str) -> None:
    """Whatever was done by then, the ledger is as it was, and the next cleanup finishes."""
    before, there = _rows(in_days), _days_there(in_days)

    def break_off(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_days.cleanup(break_off).clean(in_days.plan())
    assert (_rows(in_days), _days_there(in_days), _days(in_days), in_days.archived()) == (before, there, [], [])
    in_days.clean()
    assert _days(in_days) == [(2, 1, 1, 0.75), (1, 0, 0, 0.0)]


@ON_POSTGRESQL
@pytest.mark.postgres
@pytest.mark.long
def test_a_day_in_use_is_dropped_a_little_later(in_days: Registry) -> None:
    """A reader that takes long isn't waited for so long that writers behind it stall; the drop is tried again."""
    reading = in_days.database.engine.connect()
    reading.execute(text("SELECT count(*) FROM requests"))
    letting_go = threading.Timer(3.0, reading.close)
    letting_go.start()
    in_days.clean()
    letting_go.join()
    assert "11-21" not in _days_there(in_days)
