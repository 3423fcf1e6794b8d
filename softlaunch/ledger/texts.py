"""Deleting the texts of requests for good: judged ones with their judgement, all others when their time is over.

A deletion leaves nothing behind in a SQLite ledger: what is freed is overwritten (`secure_delete`), and the log beside
the file, which still has what was there, is emptied as soon as nobody reads in it.
"""

from collections.abc import Sequence

from sqlalchemy import delete, select, tuple_
from sqlmodel import Session, col

from softlaunch.ledger.request_log import TextRecord
from softlaunch.store.database import Database
from softlaunch.store.tables import TextRow

_AT_ONCE = 500


def delete_judged(session: Session, keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Delete texts that are there until they are judged, by request and arm, with the judgement; returns whose.

    Belongs into the transaction that records the last judgement, or that none will be. Texts that are kept for other
    readers stay.
    """
    deleted: list[tuple[str, str]] = []
    for start in range(0, len(keys), _AT_ONCE):
        named = tuple_(col(TextRow.request_id), col(TextRow.arm)).in_(keys[start : start + _AT_ONCE])
        gone = delete(TextRow).where(named, col(TextRow.until_judged))
        found = session.connection().execute(gone.returning(col(TextRow.request_id), col(TextRow.arm)))
        deleted += found.tuples().all()
    return deleted


def delete_expired(database: Database, now: float) -> int:
    """Delete texts whose time is over (epoch seconds), page by page; they aren't archived. Returns how many."""
    total = 0
    while True:
        with database.read() as session:
            due = select(col(TextRow.request_id), col(TextRow.arm)).where(col(TextRow.expires_at) <= now)
            keys = session.execute(due.limit(_AT_ONCE)).tuples().all()
        if not keys:
            return total
        with database.begin() as session:
            named = tuple_(col(TextRow.request_id), col(TextRow.arm)).in_(keys)
            total += session.connection().execute(delete(TextRow).where(named)).rowcount


class TextSweep:
    """Deletes what is due, once in `every` seconds at most, and empties SQLite's log of it.

    Whoever deletes what was judged may die before the log is emptied: it is emptied here too, with the first look and
    for as long as such texts come and go.
    """

    def __init__(self, database: Database, every: float = 60.0) -> None:
        self._database = database
        self._every = every
        self._looked_at = float("-inf")
        self._remains = self._come_and_go = True

    def note_written(self, text: TextRecord) -> None:
        """A text was written, which others may delete."""
        self._come_and_go = self._come_and_go or text.until_judged

    def look(self, now: float) -> int:
        """How many texts were deleted (epoch seconds); does nothing soon after the last time."""
        if abs(now - self._looked_at) < self._every:
            return 0
        self._looked_at = now
        deleted = delete_expired(self._database, now)
        if deleted or self._remains or self._come_and_go:
            self._remains = not self._database.empty_log()
            self._come_and_go = self._come_and_go and self._has_some()
        return deleted

    def _has_some(self) -> bool:
        with self._database.read() as session:
            some = select(col(TextRow.app)).where(col(TextRow.until_judged)).limit(1)
            return session.execute(some).first() is not None
