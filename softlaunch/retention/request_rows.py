"""Request rows as a cleanup sees them: a stretch of an app's log on one day is an item, with its ratings and scores."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlmodel import Session, col

from softlaunch.retention.kinds import Entry, ItemStore, with_past
from softlaunch.retention.rollup import add_to_days, day_of
from softlaunch.retention.rules import Item, Kind
from softlaunch.store.database import Database
from softlaunch.store.days import DAY_SECONDS, read_partitions
from softlaunch.store.rows import dump
from softlaunch.store.tables import FeedbackRow, LiveJudgementRow, ReleaseRow, RequestRow, ScoreRow

_PAGE = 2000
_ROW_BYTES = 500  # about what one takes in JSON
_GROUPS = (
    (col(RequestRow.id) - 1) // _PAGE,
    col(RequestRow.app),
    func.floor(col(RequestRow.started_at) / float(DAY_SECONDS)),
)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows of one app and day, from the first id to the last."""

    app: str
    day: str
    first: int
    last: int

    @classmethod
    def parse(cls, key: str) -> "_Stretch":
        app, day, ids = key.rsplit("/", 2)
        first, _, last = ids.partition("-")
        return cls(app, day, int(first), int(last))

    def __str__(self) -> str:
        return f"{self.app}/{self.day}/{self.first}-{self.last}"

    @property
    def begins(self) -> datetime:
        return datetime.fromisoformat(self.day).replace(tzinfo=UTC)

    @property
    def rows(self) -> ColumnElement[bool]:
        start = self.begins.timestamp()
        return (
            (col(RequestRow.id) >= self.first)
            & (col(RequestRow.id) <= self.last)
            & (col(RequestRow.app) == self.app)
            & (col(RequestRow.started_at) >= start)
            & (col(RequestRow.started_at) < start + 86400)
            & settled()
        )


class RequestStore(ItemStore):
    """The request log, without what a live release still looks at."""

    kind = Kind.REQUESTS

    def items(self, database: Database) -> Iterator[Item]:
        """Stretches in the order of the log, each within a page of ids: they stay what they are while others go."""
        return self._page_by_page(database) if database.is_sqlite else self._day_by_day(database)

    def items_between(self, database: Database, start: float, end: float) -> Iterator[Item]:
        """The same of what began in a time (epoch seconds), counted by PostgreSQL: no row of a long log is sent."""
        counted = select(*_GROUPS, func.min(RequestRow.id), func.max(RequestRow.id), func.count())
        within = counted.where(col(RequestRow.started_at) >= start, col(RequestRow.started_at) < end, settled())
        query = within.group_by(*_GROUPS).order_by(*_GROUPS).execution_options(yield_per=_PAGE)
        with database.read() as session:
            for rows in session.execute(query).tuples().partitions():
                items = [_item(app, int(day), (first, last), count) for _, app, day, first, last, count in rows]
                yield from with_past(session, self.kind, items)

    def _day_by_day(self, database: Database) -> Iterator[Item]:
        """The same of all days and what lies between them, each counted by itself: all at once is sorted on disk."""
        with database.read() as session:
            days = read_partitions(session)
        ends = {end for day in days for end in (day.start, day.end) if 0.0 < end < math.inf}
        for start, end in pairwise([0.0, *sorted(ends), math.inf]):
            yield from self.items_between(database, start, end)

    def _page_by_page(self, database: Database) -> Iterator[Item]:
        after = 0
        while True:
            columns = (col(RequestRow.id), col(RequestRow.app), col(RequestRow.started_at))
            with database.read() as session:
                query = select(*columns).where(col(RequestRow.id) > after, settled()).order_by(col(RequestRow.id))
                read = session.execute(query.limit(_PAGE)).tuples().all()
                page = [row for row in read if _page(row[0]) == _page(read[0][0])]
                items = with_past(session, self.kind, list(_stretches(page)))
            yield from items
            if not page:
                return
            after = page[-1][0]

    def entries(self, session: Session, keys: Sequence[str]) -> list[Entry]:
        """Each stretch with its rows, ratings, scores and live judgements."""
        found = []
        for key in keys:
            read = _read(session, key)
            if read[RequestRow]:
                line = dump(read)
                found.append(Entry(key, line, hashlib.sha256(line).hexdigest()))
        return found

    def delete(self, session: Session, keys: Sequence[str]) -> None:
        """Add the rows to their days' sums, then delete them."""
        for key in keys:
            read = _read(session, key)
            add_to_days(session, read[RequestRow], read[FeedbackRow])
            for table, gone in read.items():
                ids = [row.id for row in gone]
                session.connection().execute(delete(table).where(col(table.id).in_(ids)))


def _page(row_id: int) -> int:
    return (row_id - 1) // _PAGE


def _item(app: str, day: int, ids: tuple[int, int], count: int) -> Item:
    stretch = _Stretch(app, day_of(day * DAY_SECONDS), *ids)
    return Item(Kind.REQUESTS, str(stretch), app, stretch.begins + timedelta(days=1), count * _ROW_BYTES)


def _stretches(page: Sequence[tuple[Any, str, float]]) -> Iterator[Item]:
    ordered = sorted(page, key=lambda row: (row[1], day_of(row[2]), row[0]))
    for (app, day), rows in groupby(ordered, key=lambda row: (row[1], day_of(row[2]))):
        ids = [row[0] for row in rows]
        stretch = _Stretch(app, day, ids[0], ids[-1])
        yield Item(Kind.REQUESTS, str(stretch), app, stretch.begins + timedelta(days=1), len(ids) * _ROW_BYTES)


def settled() -> ColumnElement[bool]:
    """Rows of no release, or of one that is over."""
    live = select(col(ReleaseRow.id)).where(col(ReleaseRow.live_app).is_not(None))
    return or_(col(RequestRow.release_id).is_(None), col(RequestRow.release_id).not_in(live))


def _read(session: Session, key: str) -> dict[type[Any], list[Any]]:
    """The rows of a stretch and all that was said of them, by table; live judgements only where there are any."""
    found = select(RequestRow).where(_Stretch.parse(key).rows).order_by(col(RequestRow.id))
    rows = list(session.execute(found).scalars())
    ids = {row.request_id for row in rows}
    read: dict[type[Any], list[Any]] = {RequestRow: rows}
    for table in (FeedbackRow, ScoreRow, LiveJudgementRow):
        said = select(table).where(table.request_id.in_(ids)).order_by(table.id)  # type: ignore[attr-defined,arg-type]
        read[table] = list(session.execute(said).scalars())
    if not read[LiveJudgementRow]:
        del read[LiveJudgementRow]
    return read
