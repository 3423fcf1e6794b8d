"""Whether the ledger is still the one that was opened, and what is wrong with it, in words.

SQLite goes on with the file that it has open, whatever becomes of its name: a ledger that was replaced, moved or
removed would be read and written by nobody else, and a candidate whose driver does so would never be rolled back.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.exc import DatabaseError, DBAPIError, SQLAlchemyError

from softlaunch.core.errors import SoftlaunchError

_RESTORE = "stop everything that runs on it and put a backup in place (docs/operations/upkeep.md, Back up and restore)"
_STEPS_BETWEEN_LOOKS = 10_000


class LedgerChangedError(SoftlaunchError, SQLAlchemyError):
    """The ledger isn't the one that this process opened, or can't be trusted; whoever watches or serves holds."""


class LedgerFile:
    """The files of a SQLite ledger, as this process found them when it opened them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, tuple[int, int]] = {}

    def note_opened(self) -> None:
        """Remember the file; only the first call counts."""
        self._note("")

    def note_used(self) -> None:
        """Remember the files beside it, which stay the same as long as this process has a connection that read."""
        self._note("-wal", "-shm")

    def forget_used(self) -> None:
        """The last connection is closed: the files beside it may go now."""
        for beside in ("-wal", "-shm"):
            self._found.pop(beside, None)

    def check(self) -> None:
        """Raise LedgerChangedError when a file is gone or another one by now. Costs microseconds."""
        for beside, identity in list(self._found.items()):
            now = _identity(f"{self._path}{beside}")
            if now == identity:
                continue
            what = "is gone" if now is None else "was replaced by another one"
            raise LedgerChangedError(
                f"{self._path}{beside} {what} since this process opened it, so that what it reads and writes is no "
                "longer the ledger; restart it once the right file is in place"
            )

    def _note(self, *files: str) -> None:
        for beside in files:
            if beside not in self._found and (identity := _identity(f"{self._path}{beside}")) is not None:
                self._found[beside] = identity


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def find_damage(path: Path | None, seconds: float) -> str | None:
    """What SQLite's own check of its pages finds wrong, in words; None where nothing is, or not within so long.

    A connection of its own reads every page from the disk: another one may know it from before it was damaged.
    """
    if path is None:
        return None
    end = time.monotonic() + seconds
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:  # interrupted, locked: nothing is known
        return None
    except sqlite3.DatabaseError as error:
        found = str(error)
    return None if found == "ok" else f"the ledger is damaged ({' '.join(found.split())}); {_RESTORE}"


_WORDS = (
    (("malformed", "not a database", "corrupt"), "the ledger is damaged ({said}); " + _RESTORE),
    (("readonly", "read-only"), "the ledger can't be written ({said}); check who may write its file and its folder"),
    (("disk is full", "no space"), "the disk of the ledger is full ({said}); make room on it"),
    (("unable to open",), "the ledger can't be opened ({said}); check that its folder is there and can be read"),
    (("disk i/o",), "the disk of the ledger fails ({said}); check the machine's own log"),
)


def describe_fault(error: BaseException) -> str:
    """What a fault of the ledger means and what to do, without a value of any statement."""
    if isinstance(error, LedgerChangedError):
        return str(error)
    cause = error.orig if isinstance(error, DBAPIError) else error
    plain = isinstance(error, DatabaseError) and type(error).__name__ in {"OperationalError", "DatabaseError"}
    said = (str(cause).strip().splitlines() or [""])[0] if plain else ""
    for signs, words in _WORDS:
        if any(sign in said.lower() for sign in signs):
            return words.format(said=said)
    return f"the ledger can't be reached ({error.__class__.__name__}{f': {said}' if said else ''})"
