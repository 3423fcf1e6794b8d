"""Bringing a ledger's schema to the revision that this program was written for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault
from softlaunch.store.urls import parse_url

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "softlaunch_schema"
"""Our own name, because Prefect and MLflow keep theirs in `alembic_version` and may share the database."""

_URLS = "it is sqlite:///<absolute path> or postgresql://<user>:<password>@<host>/<database>"
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x50F7_1A0C  # the key of the advisory lock that processes starting at once queue for on PostgreSQL


class LedgerError(SoftlaunchError):
    """The ledger's database can't be used as it is."""


def revisions() -> tuple[str, ...]:
    """Revisions that this program knows, oldest first: the numbers in front of the file names."""
    return tuple(sorted(path.name.split("_", 1)[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py")))


def open_database(url: str) -> Database:
    """The ledger at this SQLAlchemy URL, with its schema up to date.

    An up-to-date ledger costs one query. Raises LedgerError when the URL is none, when the database can't be reached
    or written, or when a newer program made it.
    """
    parsed = _parse(url)
    try:
        database = Database(parsed.render_as_string(hide_password=False))
        upgrade(database)
    except (DBAPIError, OSError) as error:
        raise _unusable(parsed, error) from error
    return database


def _parse(url: str) -> URL:
    try:
        parsed = parse_url(url)
    except (ArgumentError, ValueError) as error:
        raise LedgerError(f"SOFTLAUNCH_DATABASE_URL is no database URL; {_URLS}") from error
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise LedgerError(f"SOFTLAUNCH_DATABASE_URL starts with {parsed.drivername}://; {_URLS}")
    return parsed


def upgrade(database: Database) -> None:
    """Bring the schema to the newest revision; any number of processes may do so at once."""
    with database.engine.connect() as connection:
        if _is_current(connection, database):
            return
    with _alone(database) as connection:
        if not _is_current(connection, database):
            _run_alembic(connection)


def _is_current(connection: Connection, database: Database) -> bool:
    known = revisions()
    found = _recorded(connection)
    if not found <= set(known):
        shown = database.url.render_as_string(hide_password=True)
        raise LedgerError(
            f"the ledger {shown} has schema revision {', '.join(sorted(found))}, and this program knows none after "
            f"{known[-1]}: a newer softlaunch has used it. Upgrade softlaunch here, or point SOFTLAUNCH_DATABASE_URL "
            "at another database"
        )
    return found == {known[-1]}


def _recorded(connection: Connection) -> set[str]:
    if not inspect(connection).has_table(VERSION_TABLE):
        return set()
    return set(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars())  # noqa: S608  (a constant)


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A connection in a transaction that no other migrating process shares."""
    with database.engine.execution_options(writes=True).connect() as connection:
        connection.detach()  # closed afterwards, because SQLite's foreign keys are off in it
        if database.is_sqlite:
            # Rebuilding a table drops it, which would delete the rows that refer to it.
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
            if database.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise LedgerError("the migration would leave rows that refer to nothing; nothing was changed")


def _run_alembic(connection: Connection) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> "Config":
    """Alembic's settings for work on this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config


def _unusable(url: URL, error: DBAPIError | OSError) -> LedgerError:
    shown = url.render_as_string(hide_password=True)
    words = describe_fault(error)
    if words.startswith("the ledger is damaged"):
        return LedgerError(f"can't use the ledger {shown}: {words}; or name one that was made by softlaunch")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, OperationalError | OSError):
        advice = "check that it runs, that the address is right, and that this user may write to it"
    else:
        advice = "check that it is a database made by softlaunch"
    said = str(cause).strip().splitlines()[0]
    return LedgerError(f"can't use the ledger {shown}: {said}; {advice} (SOFTLAUNCH_DATABASE_URL)")
