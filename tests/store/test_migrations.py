"""The ledger's schema: migrated from nothing, equal to the tables, whoever comes first."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

from softlaunch.store import migrate, tables
from softlaunch.store.database import Database
from softlaunch.store.days import is_partition
from softlaunch.store.migrate import VERSION_TABLE, LedgerError, alembic_config, open_database, revisions

FORK = """
import multiprocessing, sys
import alembic.command
from softlaunch.store.migrate import open_database

def start(barrier, url):
    barrier.wait()
    open_database(url).close()

def together(count, url):
    processes = multiprocessing.get_context("fork")
    barrier = processes.Barrier(count)
    started = [processes.Process(target=start, args=(barrier, url)) for _ in range(count)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return sum(process.exitcode != 0 for process in started)
"""
OPEN = "import sys; from softlaunch.store.migrate import open_database; open_database(sys.argv[1]).close()"


def test_migrated_schema_equals_the_tables(database: Database) -> None:
    """A migrated ledger has exactly the tables, columns, types, constraints and indexes that the code declares."""
    with database.engine.connect() as connection:
        seen = {"version_table": VERSION_TABLE, "compare_type": True, "include_name": _is_no_partition}
        context = MigrationContext.configure(connection, opts=seen)
        assert compare_metadata(context, SQLModel.metadata) == []


def _is_no_partition(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or name is None or not is_partition(name)


def test_every_table_is_declared_in_one_module() -> None:
    """What the comparison sees is the ledger's tables and nothing that another module slipped in."""
    declared = {row.__tablename__ for row in vars(tables).values() if hasattr(row, "__table__")}
    assert set(SQLModel.metadata.tables) == declared


def test_opening_an_empty_database_makes_every_table(empty_database_url: str) -> None:
    """The first start on an empty database needs no other step."""
    database = open_database(empty_database_url)
    made = {name for name in inspect(database.engine).get_table_names() if not is_partition(name)}
    assert made == {*SQLModel.metadata.tables, VERSION_TABLE}
    database.close()


@pytest.mark.long
def test_opening_again_does_not_load_alembic(database_url: str) -> None:
    """A command on an up-to-date ledger doesn't pay for the migration tool."""
    program = f"{OPEN}; assert not [name for name in sys.modules if name.startswith('alembic')]"
    subprocess.run([sys.executable, "-c", program, database_url], check=True, timeout=60)


@pytest.mark.long
def test_simultaneous_first_starts(empty_database_url: str) -> None:
    """Several processes that meet an empty database at the same moment all come up, and it is migrated once."""
    program = f"{FORK}\nsys.exit(together(6, sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, empty_database_url], check=True, timeout=60)
    database = open_database(empty_database_url)
    with database.read() as session:
        recorded = session.connection().execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()
    assert recorded == [revisions()[-1]]
    database.close()


def test_revisions_agree_with_alembic(database: Database) -> None:
    """The quick look at file names sees the same single chain that Alembic does."""
    with database.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
        assert [script.revision for script in scripts.walk_revisions()] == list(reversed(revisions()))


def test_a_newer_database_asks_for_an_upgrade(empty_database_url: str) -> None:
    """A ledger that a later program has migrated isn't touched; the message says what to do."""
    database = open_database(empty_database_url)
    with database.begin() as session:
        session.connection().execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    database.close()
    with pytest.raises(LedgerError, match=r"revision 9999.*Upgrade softlaunch"):
        open_database(empty_database_url)


def test_a_failed_migration_leaves_nothing(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a migration breaks midway the database is as empty as before, and the next start does it all."""

    def half(connection: Connection) -> None:
        apply(connection)
        raise OSError("no space left on device")

    apply = migrate._run_alembic
    monkeypatch.setattr(migrate, "_run_alembic", half)
    with pytest.raises(LedgerError, match="no space left on device"):
        open_database(empty_database_url)
    database = Database(empty_database_url)
    assert inspect(database.engine).get_table_names() == []
    database.close()
    monkeypatch.undo()
    open_database(empty_database_url).close()


@pytest.mark.postgres
def test_a_plain_postgresql_url_is_understood(make_postgres: Callable[[], str]) -> None:
    """The URL that a provider hands out works without naming a Python driver in it."""
    database = open_database(make_postgres().replace("postgresql+psycopg://", "postgresql://"))
    assert inspect(database.engine).has_table("releases")
    database.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param(
            "postgresql+psycopg://softlaunch:hunter2@127.0.0.1:1/ledger", "check that it runs", id="nobody listens"
        ),
        pytest.param("postgres at db1, user hunter2", "is no database URL", id="no URL"),
        pytest.param("mysql://root:hunter2@db1/ledger", "starts with mysql://; it is", id="another kind of database"),
        pytest.param("sqlite:////proc/no/ledger.db", "check that it runs", id="a folder that can't be made"),
        pytest.param("sqlite:///{folder}/notes.txt", "made by softlaunch", id="a file that is no database"),
    ],
)
def test_an_unusable_database_is_explained(url: str, said: str, tmp_path: Path) -> None:
    """A ledger that can't be opened is one sentence with the address and without its password."""
    (tmp_path / "notes.txt").write_text("this is text, not a database\n" * 50)
    with pytest.raises(LedgerError, match=said) as caught:
        open_database(url.format(folder=tmp_path))
    assert "hunter2" not in str(caught.value)
