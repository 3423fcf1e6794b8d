"""The ledger, as the command line opens it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError, OperationalError

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault
from softlaunch.store.migrate import open_database


class LedgerUnreachableError(SoftlaunchError):
    """The ledger's database did not answer."""


@contextmanager
def ledger() -> Iterator[Database]:
    """The ledger of this installation; an unreachable one is an error that says where it was looked for."""
    settings = Settings()
    database = open_database(settings.ledger_url)
    try:
        yield database
    except OperationalError as error:
        where = database.url.render_as_string(hide_password=True)
        raise LedgerUnreachableError(
            f"the ledger at {where} can't be used: {error.orig}; see SOFTLAUNCH_HOME and SOFTLAUNCH_DATABASE_URL"
        ) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a mistake of ours in what was asked
            raise
        where = database.url.render_as_string(hide_password=True)
        raise LedgerUnreachableError(f"the ledger at {where} can't be used: {describe_fault(error)}") from error
    finally:
        database.close()
