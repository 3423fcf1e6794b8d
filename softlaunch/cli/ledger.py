"""The ledger, as the command line opens it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy.exc import DatabaseError, OperationalError

from softlaunch.cli.output import errors
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import HOME, Settings
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault
from softlaunch.store.migrate import open_database


class LedgerUnreachableError(SoftlaunchError):
    """The ledger's database did not answer."""


class TwoLedgersError(SoftlaunchError):
    """A second ledger was about to be made beside the one that an app is in."""


def show_ledger(settings: Settings) -> str:
    """Where the ledger is, for people: its file, or its address without the password."""
    if settings.database_url is None:
        return str(settings.home / "ledger.db")
    from softlaunch.store.urls import parse_url

    return parse_url(settings.ledger_url).render_as_string(hide_password=True)


def check_one_ledger(folder: Path) -> None:
    """Raise TwoLedgersError where a ledger would be made here though an app's folder, or one above it, has one."""
    settings = Settings()
    if settings.database_url is not None or "SOFTLAUNCH_HOME" in os.environ or settings.home.exists():
        return
    path = folder.resolve()
    for above in (path, *path.parents):
        if above == Path.cwd():
            return
        if (above / HOME).is_dir():
            raise TwoLedgersError(
                f"{above / HOME} holds a ledger, and here a second one would be made; work in {above}, move it here "
                f"(mv {above / HOME} .), or name the one that you want: export SOFTLAUNCH_HOME={above / HOME}"
            )


@cache
def _say_where(home: Path) -> None:
    """Say once that the ledger is one of a folder above this one, where nobody named it."""
    text = f"The ledger is that of {home.parent} (SOFTLAUNCH_HOME names another)."
    errors.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def ledger() -> Iterator[Database]:
    """The ledger of this installation; an unreachable one is an error that says where it was looked for."""
    settings = Settings()
    if settings.database_url is None and settings.home.is_absolute() and "SOFTLAUNCH_HOME" not in os.environ:
        _say_where(settings.home)
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
