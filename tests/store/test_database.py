"""Opening the ledger, and what its two kinds of session promise."""

import socket
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlmodel import Session, col, select

from softlaunch.store.database import Database
from softlaunch.store.tables import AliasRow, AppRow, NoticeRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _app(name: str, recorded_at: datetime = NOON) -> AppRow:
    return AppRow(name=name, policy={"stages": [1, 5]}, policy_path="p.yaml", salt="0" * 32, recorded_at=recorded_at)


def test_begin_commits_when_the_block_ends(database: Database) -> None:
    """What was written in a block that ended is there for others."""
    with database.begin() as session:
        session.add(_app("support-bot"))
    with database.read() as session:
        found = session.get_one(AppRow, "support-bot")
    assert found.policy == {"stages": [1, 5]}


def test_begin_rolls_back_when_the_block_raises(database: Database) -> None:
    """A block that raised has written nothing."""

    def break_off() -> None:
        with database.begin() as session:
            session.add(_app("support-bot"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with database.read() as session:
        assert session.get(AppRow, "support-bot") is None


@pytest.mark.parametrize(
    "zone", [pytest.param(UTC, id="UTC"), pytest.param(timezone(timedelta(hours=5, minutes=30)), id="India")]
)
def test_times_come_back_as_aware_utc(database: Database, zone: timezone) -> None:
    """A time read back is the same instant, in UTC, on every database."""
    with database.begin() as session:
        session.add(_app("support-bot", NOON.astimezone(zone)))
    with database.read() as session:
        found = session.get_one(AppRow, "support-bot").recorded_at
    assert (found, found.utcoffset()) == (NOON, timedelta(0))


def test_naive_times_are_refused(database: Database) -> None:
    """A time without a zone is a mistake that shows at once."""
    with pytest.raises(StatementError, match="has no time zone"), database.begin() as session:
        session.add(_app("support-bot", NOON.replace(tzinfo=None)))


def test_foreign_keys_are_enforced(database: Database) -> None:
    """An alias can't point at a variant that isn't recorded."""
    with database.begin() as session:
        session.add(_app("support-bot"))
    with pytest.raises(IntegrityError), database.begin() as session:
        session.add(AliasRow(app="support-bot", alias="production", variant_digest="f" * 64, moved_at=NOON))


def test_rows_are_numbered_by_the_database(database: Database) -> None:
    """Big integer keys number themselves on both databases."""
    with database.begin() as session:
        session.add_all(NoticeRow(app="support-bot", text=word, written_at=NOON) for word in ("one", "two"))
    with database.read() as session:
        assert session.exec(select(NoticeRow.id).order_by(col(NoticeRow.id))).all() == [1, 2]


def test_writers_queue_and_lose_no_update(database: Database) -> None:
    """Read-then-write blocks of several threads run one after the other on SQLite, and by row lock on PostgreSQL."""
    with database.begin() as session:
        session.add(_app("support-bot"))

    def count_up(times: int) -> None:
        for _ in range(times):
            with database.begin() as session:
                row = session.exec(select(AppRow).with_for_update()).one()
                row.policy = {"count": row.policy.get("count", 0) + 1}

    threads = [threading.Thread(target=count_up, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.get_one(AppRow, "support-bot").policy == {"count": 40}


def test_a_reader_is_not_stopped_by_a_writer(database: Database) -> None:
    """While a transaction writes, others read what was committed before."""
    with database.begin() as session:
        session.add(_app("one"))
    with database.begin() as writing:
        writing.add(_app("two"))
        writing.flush()
        with database.read() as reading:
            assert _names(reading) == ["one"]
    with database.read() as reading:
        assert _names(reading) == ["one", "two"]


def test_sqlite_runs_in_wal_mode(tmp_path: Path) -> None:
    """On SQLite readers and the writer don't block each other; PostgreSQL needs no such switch."""
    database = Database(f"sqlite:///{tmp_path / 'made' / 'on' / 'demand' / 'ledger.db'}")
    with database.read() as session:
        assert session.connection().execute(text("PRAGMA journal_mode")).scalar() == "wal"
    database.close()


@pytest.mark.long
def test_a_silent_database_host_is_given_up_on() -> None:
    """A host that takes connections and answers nothing, as one behind a broken firewall, holds nobody for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql+psycopg://somebody@127.0.0.1:{silent.getsockname()[1]}/ledger")
        with pytest.raises(OperationalError, match="timeout"), database.read() as session:
            session.execute(text("SELECT 1"))
        database.close()


def _names(session: Session) -> list[str]:
    return sorted(session.exec(select(AppRow.name)))
