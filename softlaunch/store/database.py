"""Opening the ledger: SQLite in WAL mode by default, PostgreSQL by URL, migrated before first use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from softlaunch.core.private_files import make_private, private_folder, tighten
from softlaunch.store.faults import without_values
from softlaunch.store.ledger_file import LedgerFile
from softlaunch.store.urls import parse_url

_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 15_000}  # seconds, and milliseconds
"""A host that answers nothing must not hold a driver for the minutes that TCP would wait. The URL may say otherwise."""

_BUSY_MS, _EMPTYING_MS = 15_000, 250


class Database:
    """A ledger; one per process, shared by its threads.

    `begin()` gives a session in a transaction that commits when the block ends and rolls back when it raises. On
    SQLite such a transaction takes the write lock at once, so that compare-and-set never meets a stale snapshot;
    `read()` doesn't. Both raise LedgerChangedError once a SQLite file isn't the one any more that was opened.
    """

    def __init__(self, url: str) -> None:
        """Open, without connecting; the folder of a SQLite file is made, for its owner alone."""
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.path = _file_of(self.url) if self.is_sqlite else None
        if self.path is not None:
            private_folder(self.path.parent)
        self.engine = self._engine()
        self._file = None if self.path is None else _watched(self.engine, LedgerFile(self.path))

    def _engine(self) -> Engine:
        if not self.is_sqlite:
            patience = {name: value for name, value in _PATIENCE.items() if name not in self.url.query}
            sizes = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 10}
            engine = create_engine(self.url, hide_parameters=True, connect_args=patience, **sizes)
            event.listen(engine, "handle_error", without_values)
            event.listen(engine, "connect", _prepare_postgres)
            return engine
        engine = create_engine(self.url, hide_parameters=True, connect_args={"timeout": 15})
        event.listen(engine, "do_connect", self._keep_private)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(
            engine,
            "begin",
            lambda connection: connection.exec_driver_sql(
                "BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN"
            ),
        )
        return engine

    def _keep_private(self, *_: object) -> None:
        """The ledger may hold texts of users. SQLite gives its log and index, -wal and -shm, the file's own mode."""
        name = self.url.database or ""
        if name and name != ":memory:" and not name.startswith("file:"):
            make_private(Path(name))
            for ending in ("-wal", "-shm"):
                tighten(Path(name + ending))

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session that writes."""
        self.check()
        with self.engine.execution_options(writes=True).connect() as connection, Session(connection) as session:
            with session.begin():
                yield session
            connection.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads one consistent state."""
        self.check()
        with Session(self.engine) as session:
            yield session

    def check(self) -> None:
        """Raise LedgerChangedError when the file that was opened isn't the ledger any more."""
        if self._file is not None:
            self._file.check()

    def empty_log(self) -> bool:
        """Empty the log beside a SQLite file, which still has what was deleted; false while somebody reads in it.

        Writers are held up for a quarter of a second at most. PostgreSQL's is its own business: true.
        """
        if not self.is_sqlite:
            return True
        self.check()
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={_EMPTYING_MS}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            found = cursor.fetchone()
            cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
            return found is not None and not found[0]
        finally:
            connection.close()

    def close(self) -> None:
        """Return every connection."""
        self.engine.dispose()


def _file_of(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a ledger in memory, or one that is named as a URI."""
    named = url.database
    return Path(named) if named and named != ":memory:" and not named.startswith("file:") else None


def _watched(engine: Engine, file: LedgerFile) -> LedgerFile:
    """The file, with the engine's connections telling it when it is opened, in use, and no longer in use."""
    held = 0

    def opened(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
        nonlocal held
        held += 1
        file.note_opened()

    def used(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
        if connection is not None:
            file.note_used()

    def closed(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
        nonlocal held
        held -= 1
        if not held:
            file.forget_used()

    event.listen(engine, "connect", opened)
    event.listen(engine, "checkin", used)
    event.listen(engine, "close", closed)
    event.listen(engine, "detach", closed)
    return file


def _prepare_postgres(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
    """Compile no query: over a log in days that takes a third of a second, and what is asked takes milliseconds."""
    cursor = connection.cursor()
    cursor.execute("SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit'")
    cursor.close()
    connection.commit()


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
    connection.isolation_level = None  # SQLAlchemy's BEGIN above is the only one
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MS}",
        "secure_delete=ON",  # what is deleted is overwritten: it may be what users wrote
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
