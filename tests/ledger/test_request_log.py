"""The request log's writing: batches, drops, watermark, and values that a database refuses."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlmodel import select

from softlaunch.ledger.request_log import (
    BreakerTripRecord,
    FeedbackRecord,
    Heartbeat,
    Record,
    RequestRecord,
    ScoreRecord,
    TextRecord,
    Written,
    close_batch,
    insert_records,
    write_batch,
)
from softlaunch.store.copying import copy_rows
from softlaunch.store.database import Database
from softlaunch.store.tables import BreakerTripRow, FeedbackRow, GatewayRow, RequestRow, ScoreRow, TextRow

BEAT = Heartbeat("gw-1", "http://127.0.0.1:1", 90.0, 100.0, 99.0, {"bot": 3})


def request(request_id: str = "bot-1", **fields: Any) -> RequestRecord:
    """A row with these columns."""
    values: dict[str, Any] = {
        "request_id": request_id,
        "gateway_id": "gw-1",
        "app": "bot",
        "release_id": None,
        "stage": 0,
        "route_revision": 1,
        "weight_percent": 0.0,
        "arm": "stable",
        "mirrored": False,
        "variant_digest": "d",
        "unit": -(2**63),
        "started_at": 98.5,
        "status": 200,
        "outcome": "answered",
        "latency_ms": 12.5,
        "first_token_ms": None,
        "input_tokens": 1,
        "output_tokens": 2,
        "cost_usd": 0.1,
        "resolved_model": "m",
        "fingerprint": None,
        "streamed": False,
        "fell_back": False,
    }
    return RequestRecord(**{**values, **fields})


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with database.read() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def heard(database: Database) -> list[tuple[Any, ...]]:
    """The heartbeats in the ledger."""
    with database.read() as session:
        return [(row.id, row.heard_at, row.complete_until, row.revisions) for row in session.exec(select(GatewayRow))]


@pytest.mark.parametrize(
    ("record", "table"),
    [
        (RequestRecord, RequestRow),
        (TextRecord, TextRow),
        (FeedbackRecord, FeedbackRow),
        (ScoreRecord, ScoreRow),
        (BreakerTripRecord, BreakerTripRow),
    ],
)
def test_records_have_the_columns_of_their_tables(record: type[Record], table: type) -> None:
    """A column added to a table can't be forgotten by what writes it."""
    assert set(record._fields) == set(table.model_fields) - {"id"}  # type: ignore[attr-defined]  # a table


def test_a_batch_is_written_with_its_watermark(database: Database) -> None:
    """Rows of every kind, the count of drops and the heartbeat are one transaction."""
    records: list[Record] = [
        request(),
        TextRecord("bot-1", "stable", "bot", "question", "answer", 500.0),
        FeedbackRecord("bot-1", "bot", 0.75, "stars", 99.0),
        ScoreRecord("bot-1", "bot", "quality", 0.5, "judge", 99.0),
        BreakerTripRecord("gw-1", "bot", "bot-1", 3, "why", 99.0),
    ]
    assert write_batch(database, records, {"bot": 4, "quiet": 0}, BEAT) == Written()
    assert rows(database, "select request_id, unit, latency_ms from requests") == [("bot-1", -(2**63), 12.5)]
    assert rows(database, "select app, count, gateway_id from drops") == [("bot", 4, "gw-1")]
    assert heard(database) == [("gw-1", 100.0, 99.0, {"bot": 3})]
    for table in ("texts", "feedback", "scores", "breaker_trips"):
        assert rows(database, f"select count(*) from {table}") == [(1,)]


def test_a_later_heartbeat_replaces_the_earlier(database: Database) -> None:
    """A gateway has one row, however often it is heard."""
    write_batch(database, [], {}, BEAT)
    write_batch(database, [], {}, Heartbeat("gw-1", "x", 90.0, 101.0, 100.5, {"bot": 4}))
    assert heard(database) == [("gw-1", 101.0, 100.5, {"bot": 4})]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([request("bot-bad", output_tokens=2**70)], id="a number too large for the database"),
        pytest.param([request("bot-bad", variant_digest=None)], id="a value that may not be null"),
    ],
)
def test_one_bad_value_does_not_hold_up_the_log(database: Database, bad: Sequence[RequestRecord]) -> None:
    """The row that the database refuses is counted as dropped, the others are written."""
    written = write_batch(database, [request("bot-a"), *bad, request("bot-b")], {"bot": 1}, BEAT)
    assert written.refused == {"bot": 1}
    assert rows(database, "select request_id from requests") == [("bot-a",), ("bot-b",)]
    assert rows(database, "select app, count from drops") == [("bot", 2)]


def test_nothing_is_written_when_the_database_cannot(database: Database) -> None:
    """A database in trouble is the caller's to know: nothing is half written, nothing is dropped quietly."""
    with database.begin() as session:
        session.execute(text("alter table drops rename to elsewhere"))
    with pytest.raises(DBAPIError):
        write_batch(database, [request()], {"bot": 1}, BEAT)
    assert rows(database, "select count(*) from requests") == [(0,)]
    assert rows(database, "select count(*) from gateways") == [(0,)]


def test_rows_that_come_after_others_were_read_count_as_late(database: Database) -> None:
    """A gateway that couldn't write while another could: its rows are in the log, and missing from the evidence."""
    write_batch(database, [], {}, Heartbeat("gw-2", "http://127.0.0.1:2", 90.0, 107.5, 107.0, {"bot": 3}))
    rows = [request("bot-1", started_at=101.0), request("bot-2", started_at=106.9), request("bot-3", started_at=107.1)]
    late = Heartbeat("gw-1", "http://127.0.0.1:1", 90.0, 108.0, 107.8, {"bot": 3}, silent_since=100.0)
    write_batch(database, rows, {}, late)
    write_batch(database, [request("bot-4", started_at=106.0)], {"bot": 4}, replace(late, silent_since=None))
    with database.read() as session:
        drops = session.execute(text("select cause, count, gateway_id from drops order by id")).all()
    assert [tuple(drop) for drop in drops] == [("late", 2, "gw-1"), ("", 4, "gw-1")]


def test_a_gateway_alone_is_never_late(database: Database) -> None:
    """Nobody has read on without it."""
    write_batch(database, [], {}, BEAT)
    late = Heartbeat("gw-1", "http://127.0.0.1:1", 90.0, 120.0, 119.0, {"bot": 3}, silent_since=100.0)
    write_batch(database, [request("bot-1", started_at=101.0)], {}, late)
    with database.read() as session:
        assert session.execute(text("select count(*) from drops")).scalar_one() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_a_copy_that_breaks_off_writes_nothing(database: Database) -> None:
    """Of rows that are sent in one stream, none is there when the last one fails; then each is tried by itself."""
    rows_of_batch = [request(f"bot-{number}") for number in range(2000)]
    broken = BreakerTripRecord("gw-1", "bot", "bot-1", 3, "why\0not", 99.0)
    with pytest.raises(DataError) as caught, database.begin() as session:
        insert_records(session, [*rows_of_batch, broken])
    assert "why" not in str(caught.value)
    assert rows(database, "select count(*) from requests") == [(0,)]
    assert write_batch(database, [*rows_of_batch[:20], broken], {}, BEAT) == Written({"bot": 0})
    assert rows(database, "select count(*) from requests") == [(20,)]
    assert rows(database, "select count(*) from breaker_trips") == [(0,)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_a_connection_that_dies_within_a_copy_writes_nothing(database: Database) -> None:
    """The error is the database's, the batch can be written again, and is there once."""

    def cut_off(pid: int) -> Iterator[tuple[Any, ...]]:
        yield request("bot-1")
        with database.begin() as other:
            other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        for number in range(100_000):
            yield request(f"bot-{number}")

    def copy() -> None:
        with database.begin() as session:
            own = session.execute(text("select pg_backend_pid()")).scalar_one()
            copy_rows(session.connection(), "requests", RequestRecord._fields, cut_off(own))

    with pytest.raises(OperationalError):
        copy()
    numbered = replace(BEAT, batch=1, counts={"bot": {"begun": 1, "logged": 1, "per_second": 0.0}})
    for _ in range(2):
        assert write_batch(database, [request("bot-1")], {}, numbered) == Written()
    assert rows(database, "select request_id from requests") == [("bot-1",)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_a_commit_that_is_still_under_way_is_awaited(database: Database) -> None:
    """A batch is tried again while the server still commits it: the second try waits, and finds it there."""
    numbered = replace(BEAT, batch=1)
    write_batch(database, [], {}, numbered)
    second = replace(BEAT, batch=2)
    with database.begin() as session:
        insert_records(session, [request("bot-1")])
        close_batch(session, [request("bot-1")], {}, second)
        session.flush()
        again = threading.Thread(target=write_batch, args=(database, [request("bot-1")], {}, second))
        again.start()
        again.join(0.5)
        assert again.is_alive()
    again.join(10)
    assert rows(database, "select request_id from requests") == [("bot-1",)]
