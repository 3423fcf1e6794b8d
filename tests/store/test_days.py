"""The request log in days on PostgreSQL: made ahead, nothing lost without one, ledgers of before go on."""

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from softlaunch.store.database import Database
from softlaunch.store.days import DAYS_AHEAD, OTHERS, DayKeeper, keep_days, read_partitions
from softlaunch.store.migrate import alembic_config, open_database
from tests.support.builders import request_row

pytestmark = [pytest.mark.postgres, pytest.mark.long]

NOON = 1_780_000_000.0 // 86400 * 86400 + 43200
DAY = 86400.0


@pytest.fixture
def ledger(make_postgres: Callable[[], str]) -> Iterator[Database]:
    """A migrated ledger on PostgreSQL without a day, and without a row."""
    database = open_database(make_postgres())
    yield database
    database.close()


def write(database: Database, *started: float) -> None:
    """Log requests that began at these moments."""
    with database.begin() as session:
        session.add_all(request_row(request_id=f"r{at:.0f}", started_at=at, release_id=None) for at in started)


def places(database: Database) -> dict[str, list[float]]:
    """Where each row is, by partition."""
    found: dict[str, list[float]] = {}
    with database.read() as session:
        rows = session.execute(text("SELECT tableoid::regclass::text, started_at FROM requests ORDER BY started_at"))
        for name, at in rows:
            found.setdefault(name, []).append(at)
    return found


def test_days_are_made_ahead_once(ledger: Database) -> None:
    """From yesterday to a week ahead, without a gap; the next look makes nothing, a day later it makes one."""
    made = keep_days(ledger, NOON)
    assert len(made) == DAYS_AHEAD + 2
    with ledger.read() as session:
        found = read_partitions(session)
    assert [one.name for one in found] == made
    assert found[0].start == NOON - 43200 - DAY
    assert all(one.end == later.start for one, later in pairwise(found))
    assert keep_days(ledger, NOON + 3600) == []
    assert len(keep_days(ledger, NOON + DAY)) == 1


def test_a_row_without_a_day_is_kept_and_moved(ledger: Database) -> None:
    """It is read like any other, and is in its day's partition as soon as that is made, with its number."""
    write(ledger, NOON, NOON - 100 * DAY)
    assert places(ledger) == {OTHERS: [NOON - 100 * DAY, NOON]}
    made = keep_days(ledger, NOON)
    assert {name: rows for name, rows in places(ledger).items() if rows} == {
        made[0]: [NOON - 100 * DAY],
        made[2]: [NOON],
    }
    with ledger.read() as session:
        assert session.execute(text("SELECT id FROM requests ORDER BY id")).scalars().all() == [1, 2]


def test_many_processes_make_each_day_once(ledger: Database) -> None:
    """Those that are late find nothing left to do."""
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(keep_days(ledger, NOON))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == DAYS_AHEAD + 2


def test_writers_and_readers_go_on_while_days_are_made(ledger: Database) -> None:
    """A transaction that has written, and one that reads, hold up nothing and aren't held up."""
    keep_days(ledger, NOON)
    with ledger.begin() as writing, ledger.read() as reading:
        writing.add(request_row(request_id="r", started_at=NOON, release_id=None))
        writing.flush()
        today = text("SELECT count(*) FROM requests WHERE started_at >= :since AND started_at < :until")
        assert reading.execute(today, {"since": NOON - 60, "until": NOON + 60}).scalar_one() == 0
        assert len(keep_days(ledger, NOON + 2 * DAY)) == 2


def test_a_lock_is_not_waited_for(ledger: Database) -> None:
    """Where somebody holds the rows that are to be moved, making their day gives up, and the next look does it."""
    write(ledger, NOON)
    keeper = DayKeeper(ledger, again_after=60)
    with ledger.read() as reading:
        reading.execute(text("SELECT count(*) FROM requests")).scalar_one()
        with pytest.raises(OperationalError, match="lock timeout"):
            keeper.look(NOON, 0.0)
    assert keeper.look(NOON, 59.0) == []
    assert keeper.look(NOON, 61.0)
    assert OTHERS not in places(ledger)


def test_the_table_of_before_becomes_one_partition(make_postgres: Callable[[], str]) -> None:
    """Rows of an earlier ledger stay, those of a clock that was ahead too; days follow, and it can be taken back."""
    old = Database(make_postgres())
    with old.engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0036")
    ahead = 4_000_000_000.0
    write(old, NOON - DAY, NOON - 40 * DAY, ahead)
    old.close()
    upgraded = open_database(old.url.render_as_string(hide_password=False))
    assert places(upgraded) == {"requests_before_days": [NOON - 40 * DAY, NOON - DAY], OTHERS: [ahead]}
    with upgraded.read() as session:
        tomorrow = read_partitions(session)[0].end
    made = keep_days(upgraded, tomorrow - 1)
    write(upgraded, tomorrow - 1, tomorrow + 1)
    found = places(upgraded)
    assert found["requests_before_days"][-1] == tomorrow - 1
    assert found[made[0]] == [tomorrow + 1]
    with upgraded.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0036")
    with Session(upgraded.engine) as session:
        kept = session.execute(text("SELECT started_at FROM requests ORDER BY id")).scalars().all()
        assert session.execute(text("SELECT relkind FROM pg_class WHERE relname = 'requests'")).scalar() == "r"
    assert kept == [NOON - DAY, NOON - 40 * DAY, ahead, tomorrow - 1, tomorrow + 1]
    upgraded.close()
