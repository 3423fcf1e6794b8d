"""A ledger that isn't the one any more that was opened is noticed, and what is wrong with it is said plainly."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.guard import Guard
from softlaunch.ledger.losses import LossWatch
from softlaunch.ledger.routes import read_ledger_id
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import LedgerChangedError, describe_fault, find_damage
from softlaunch.store.migrate import open_database


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    """A ledger on SQLite that has been read and written."""
    opened = open_database(f"sqlite:///{tmp_path / 'home' / 'ledger.db'}")
    with opened.begin() as session:
        session.execute(text("create table filler (words text)"))
        session.execute(text("insert into filler select hex(randomblob(2000)) from softlaunch_schema"))
    yield opened
    opened.close()


def replace_file(path: Path) -> None:
    """A restore under running processes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(path.with_name("copy.db")),))
    path.with_name("copy.db").rename(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(replace_file, "ledger.db was replaced by another one", id="replaced"),
        pytest.param(Path.unlink, "ledger.db is gone", id="removed"),
        pytest.param(lambda path: path.with_name("ledger.db-wal").unlink(), "ledger.db-wal is gone", id="no log"),
        pytest.param(lambda path: path.with_name("ledger.db-shm").unlink(), "ledger.db-shm is gone", id="no index"),
        pytest.param(lambda path: path.parent.rename(path.parent.with_name("away")), "ledger.db is gone", id="moved"),
    ],
)
def test_a_ledger_that_is_another_one_is_neither_read_nor_written(
    ledger: Database, change: Callable[[Path], object], said: str
) -> None:
    """SQLite itself would go on with the file that it has open."""
    assert ledger.path is not None
    change(ledger.path)
    for session in (ledger.read, ledger.begin):
        with pytest.raises(LedgerChangedError, match=f"{said} since this process opened it"), session():
            pass


def test_both_kinds_of_handlers_know_the_error() -> None:
    """Those that try on at a fault of the database, and those that show people an error."""
    assert issubclass(LedgerChangedError, SoftlaunchError)
    assert issubclass(LedgerChangedError, SQLAlchemyError)


def test_a_ledger_that_is_back_in_its_place_is_used_again(ledger: Database) -> None:
    """Nothing has changed but the folder's name, for a while."""
    assert ledger.path is not None
    home = ledger.path.parent
    home.rename(home.with_name("away"))
    with pytest.raises(LedgerChangedError):
        ledger.check()
    home.with_name("away").rename(home)
    with ledger.read() as session:
        assert session.execute(text("select 1")).scalar_one() == 1


def test_other_processes_and_closing_change_nothing(ledger: Database) -> None:
    """The files beside the ledger go with the last connection, and come again."""
    assert ledger.path is not None
    other = Database(ledger.url.render_as_string())
    with other.begin() as session:
        session.execute(text("delete from filler"))
    other.close()
    ledger.check()
    ledger.close()
    assert not ledger.path.with_name("ledger.db-wal").exists()
    with ledger.begin() as session:
        session.execute(text("delete from filler"))
    ledger.check()


def test_a_damaged_page_is_found(ledger: Database) -> None:
    """SQLite's own check finds what no statement may meet for days; while it is there nobody looks at traffic."""
    assert ledger.path is not None
    assert find_damage(ledger.path, 5.0) is None
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ticks = [0.0]
    guard = Guard(ledger, LossWatch(ledger, None), lambda: ticks[0])
    guard.look(0.0)
    whole = ledger.path.read_bytes()
    with ledger.path.open("r+b") as file:
        for page in range(3, len(whole) // 4096, 2):
            file.seek(4096 * page)
            file.write(b"\xff" * 4096)
    ticks[0] = 20.0
    with pytest.raises(LedgerChangedError, match=r"the ledger is damaged .*put a backup in place"):
        guard.look(20.0)
    with pytest.raises(LedgerChangedError):
        guard.look(21.0)


def test_copies_carry_the_name_of_their_ledger_and_others_do_not(ledger: Database, tmp_path: Path) -> None:
    """So that a restored ledger is told from another one."""
    assert ledger.path is not None
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(ledger.path, tmp_path / "copy.db")
    copy, other = (open_database(f"sqlite:///{tmp_path / name}") for name in ("copy.db", "other.db"))
    assert read_ledger_id(copy) == read_ledger_id(ledger) != read_ledger_id(other)
    copy.close()
    other.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("database disk image is malformed", "the ledger is damaged"),
        ("file is not a database", "the ledger is damaged"),
        ("attempt to write a readonly database", "who may write its file"),
        ("database or disk is full", "make room"),
        ("unable to open database file", "check that its folder is there"),
        ("disk I/O error", "check the machine's own log"),
        ("database is locked", r"can't be reached \(OperationalError: database is locked\)"),
    ],
)
def test_a_fault_is_said_in_words(said: str, words: str) -> None:
    """What it means and what to do, and no value of the statement."""
    error = OperationalError("INSERT INTO texts VALUES (?)", ("a user's secret",), sqlite3.OperationalError(said))
    assert re.search(words, describe_fault(error))
    assert "secret" not in describe_fault(error)
