"""Putting back what a cleanup deleted."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.request_outcome import OF_ERRORS, RequestOutcome
from softlaunch.integrations.archives.interface import Archive
from softlaunch.retention.archive_objects import check, find
from softlaunch.retention.rollup import add_to_days
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.rows import Rows, insert_rows, load
from softlaunch.store.tables import ArchivedRow, ArchiveObjectRow, FeedbackRow, RequestRow

_RATED_ONCE = {"feedback": ("request_id", "kind"), "scores": ("request_id", "metric", "source")}


def restore(
    database: Database, open_archive: Callable[[str], Archive], kind: Kind, key: str, now: datetime
) -> ArchivedRow:
    """Put an archived item back exactly as it was; returns the record of its deletion.

    Raises NotFoundError where nothing of this key was archived, ThawingError where the archive needs hours to hand it
    out, ArchiveError where its copy is damaged, and ConflictError where it is in the ledger.
    """
    with database.read() as session:
        archived = find_archived(session, kind, key)
        stored = session.get_one(ArchiveObjectRow, archived.bundle)
    content = open_archive(stored.archive).get(stored.key)
    check(stored.key, content, stored.sha256)
    rows = brought_up_to_date(load(find(content, archived.digest)))
    try:
        with database.begin() as session:
            insert_rows(session, _heard_once(rows))
            if kind is Kind.REQUESTS:
                _take_from_days(session, rows)
            session.get_one(ArchivedRow, archived.id).restored_at = now
    except IntegrityError as error:
        raise ConflictError(f"{key} is in the ledger already; nothing was changed") from error
    return archived


def brought_up_to_date(rows: Rows) -> Rows:
    """Requests that were archived when the log had a column `error` in place of the outcome."""
    for row in rows.get(str(RequestRow.__tablename__), ()):
        if "error" in row:
            error = row.pop("error")
            row["outcome"] = OF_ERRORS[error]
            row["excused"] = row["outcome"] is RequestOutcome.REQUEST_AT_FAULT and not row["fell_back"]
    return rows


def _heard_once(rows: Rows) -> Rows:
    """Archives of before may hold several ratings of one request and kind; the first stays, as in the ledger."""
    return {
        name: list({tuple(row[column] for column in _RATED_ONCE[name]): row for row in reversed(found)}.values())[::-1]
        if name in _RATED_ONCE
        else found
        for name, found in rows.items()
    }


def _take_from_days(session: Session, rows: Rows) -> None:
    """Rows that are back would be counted twice when they are archived again."""
    requests = [RequestRow.model_validate(row) for row in rows[str(RequestRow.__tablename__)]]
    ratings = [FeedbackRow.model_validate(row) for row in rows[str(FeedbackRow.__tablename__)]]
    add_to_days(session, requests, ratings, sign=-1)


def find_archived(session: Session, kind: Kind, key: str) -> ArchivedRow:
    """The newest record of an item's deletion. Raises NotFoundError, naming what was archived of that kind."""
    query = select(ArchivedRow).where(ArchivedRow.kind == kind).order_by(col(ArchivedRow.id).desc())
    row = session.exec(query.where(ArchivedRow.key == key).limit(1)).one_or_none()
    if row is None:
        known = ", ".join(one.key for one in session.exec(query.limit(10)))
        raise NotFoundError(f"no {kind} {key!r} was archived; the newest that were: {known or 'none'}")
    return row


def list_archived(session: Session, kind: Kind | None, limit: int) -> list[ArchivedRow]:
    """What was archived, newest first."""
    query = select(ArchivedRow).order_by(col(ArchivedRow.id).desc()).limit(limit)
    return list(session.exec(query if kind is None else query.where(ArchivedRow.kind == kind)))
