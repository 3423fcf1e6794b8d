"""Deleting days of the request log on PostgreSQL: a day whose copies were all read back is dropped as one table.

Everything of a day happens in one transaction: its rows become sums, what was said of them goes, where the copies are
is recorded, and the table is dropped. Whatever is killed before it, the day is in the ledger as it was, and the next
cleanup repeats it; what the archive has of it by then is the same and is found there.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Numeric,
    String,
    and_,
    cast,
    delete,
    func,
    insert,
    literal_column,
    not_,
    select,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col

from softlaunch.core.request_outcome import ARM_FAILURES
from softlaunch.integrations.archives.interface import Archive
from softlaunch.retention.archive_objects import pack, store_object
from softlaunch.retention.cleanup import Cleaned, Order, archived_row, batches, object_row, read_rules
from softlaunch.retention.request_rows import RequestStore, settled
from softlaunch.retention.rollup import BUCKET_WIDTH, SHORTEST_MS, Key, day_of, sums_of
from softlaunch.retention.rules import Choice, Kind, choose, fingerprint
from softlaunch.store.database import Database
from softlaunch.store.days import DAY_SECONDS, Partition, alone, read_partitions
from softlaunch.store.tables import (
    ArchivedRow,
    ArchiveObjectRow,
    DailyRequestRow,
    FeedbackRow,
    LiveJudgementRow,
    RequestRow,
    ScoreRow,
)

_LOGGER = logging.getLogger(__name__)
_SAID = (FeedbackRow, ScoreRow, LiveJudgementRow)
_KEYS = (
    func.floor(col(RequestRow.started_at) / float(DAY_SECONDS)),
    *(col(RequestRow.app), col(RequestRow.variant_digest), col(RequestRow.arm), col(RequestRow.mirrored)),
)
_TRIES = 5
_LOCKED = "55P03"
_LATE_SECONDS = 2 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Copied:
    """A batch of stretches whose copies were read back: what is to be recorded of them, and their bytes."""

    bundle: ArchiveObjectRow
    rows: tuple[ArchivedRow, ...]

    def done(self) -> Cleaned:
        """What it comes to once they are deleted."""
        return Cleaned(len(self.rows), sum(row.bytes for row in self.rows), self.bundle.bytes)

    def record(self, session: Session) -> None:
        """Record where the copies are; the same entries may have been archived before."""
        if session.get(ArchiveObjectRow, self.bundle.key) is None:
            session.execute(insert(ArchiveObjectRow), [self.bundle.model_dump()])
        session.execute(insert(ArchivedRow), [row.model_dump(exclude={"id"}) for row in self.rows])


@dataclass(frozen=True, slots=True)
class DayCleanup:
    """Archives and drops whole days of one ledger, as they were ordered. `on_step` hears of each step before it."""

    database: Database
    archive: Archive
    order: Order
    now: datetime
    on_step: Callable[[str], None]
    store: RequestStore = field(default_factory=RequestStore)

    def clean(self) -> Cleaned:
        """Drop the days all of whose rows are due and were planned. Raises ArchiveError, then what is left is there."""
        done, as_of = Cleaned(), self.order.as_of.timestamp()
        with self.database.read() as session:
            days = [one for one in read_partitions(session) if one.end <= as_of]
        for day in days:
            due = self._due(day)
            if due or (due is not None and day.end <= as_of - _LATE_SECONDS):
                done.add(self._clean_day(day, due))
        return done

    def _due(self, day: Partition) -> list[Choice] | None:
        """A day's stretches where all of it is to go, none where it is empty; None where something of it stays."""
        with self.database.read() as session:
            rules = read_rules(session, Kind.REQUESTS)
            looked_at = select(col(RequestRow.id)).where(_of(day), not_(settled())).limit(1)
            if session.execute(looked_at).first() is not None:
                return None
        items = self.store.items_between(self.database, day.start, day.end)
        choices = list(choose(items, rules, self.order.as_of))
        planned = self.order.planned
        whole = all(one.deleted and fingerprint(Kind.REQUESTS, one.item.key) in planned for one in choices)
        return choices if whole else None

    def _clean_day(self, day: Partition, due: Sequence[Choice]) -> Cleaned:
        with self.database.read() as session:
            before = _print_of(session, day)
        copied = [copy for batch in batches(due) if (copy := self._copy(batch)) is not None]
        self.on_step("delete")
        for left in reversed(range(_TRIES)):
            try:
                return self._drop(day, before, copied)
            except OperationalError as error:
                if left == 0 or getattr(error.orig, "sqlstate", None) != _LOCKED:
                    raise
                _LOGGER.info("%s is in use, and is dropped a little later", day.name)
        raise AssertionError("the last try has returned or raised")

    def _copy(self, batch: Sequence[Choice]) -> Copied | None:
        """Put a batch into the archive, and read it back."""
        self.on_step("read")
        with self.database.read() as session:
            entries = self.store.entries(session, [choice.item.key for choice in batch])
        if not entries:
            return None
        packed = pack(Kind.REQUESTS, (entry.line for entry in entries))
        store_object(self.archive, packed, self.on_step)
        reasons = {choice.item.key: choice.reason for choice in batch}
        told = (Kind.REQUESTS, reasons, packed, self.order.actor, self.now)
        rows = tuple(archived_row(entry, *told) for entry in entries)
        return Copied(object_row(self.archive, packed, self.now), rows)

    def _drop(self, day: Partition, before: tuple[str, ...], copied: Sequence[Copied]) -> Cleaned:
        """Drop a day that is what it was before it was copied; else it stays until the next cleanup."""
        done = Cleaned()
        with self.database.begin() as session:
            connection = session.connection()
            alone(connection)
            connection.execute(text(f"LOCK TABLE {day.name} IN SHARE ROW EXCLUSIVE MODE"))
            if _print_of(session, day) != before:
                return Cleaned(kept=sum(len(batch.rows) for batch in copied))
            _add_sums(session, day)
            for table in _SAID:
                session.execute(delete(table).where(_said_of(table, day)), execution_options=_UNSYNCHRONIZED)
            for batch in copied:
                batch.record(session)
                done.add(batch.done())
            session.flush()
            self.on_step("record")
            connection.execute(text(f"DROP TABLE {day.name}"))
        self.on_step("done")
        return done


_UNSYNCHRONIZED = {"synchronize_session": False}


def _of(day: Partition) -> ColumnElement[bool]:
    """The requests of a day; bounded, so that PostgreSQL opens its partition alone."""
    return and_(col(RequestRow.started_at) >= day.start, col(RequestRow.started_at) < day.end)


def _said_of(table: type[Any], day: Partition) -> ColumnElement[bool]:
    said: ColumnElement[bool] = col(table.request_id).in_(select(col(RequestRow.request_id)).where(_of(day)))
    return said


def _print_of(session: Session, day: Partition) -> tuple[str, ...]:
    """What differs when anything of a day has changed: rows of the log are never changed, so their numbers tell."""
    numbers = (func.min(RequestRow.id), func.max(RequestRow.id), func.sum(RequestRow.id), func.count())
    found = [str(session.execute(select(*numbers).where(_of(day))).one())]
    for table in _SAID:
        whole = func.hashtextextended(cast(literal_column(str(table.__tablename__)), String), 0)
        said = select(func.count(), func.sum(cast(whole, Numeric))).select_from(table).where(_said_of(table, day))
        found.append(str(session.execute(said).one()))
    return tuple(found)


def _add_sums(session: Session, day: Partition) -> None:
    """Add a day's rows to the sums of each variant and arm, as `add_to_days` does; PostgreSQL counts them."""
    row = RequestRow
    bucket = func.floor(func.ln(func.greatest(col(row.latency_ms), SHORTEST_MS)) / BUCKET_WIDTH)
    counted = (
        func.count(),
        func.count().filter(col(row.outcome).in_(ARM_FAILURES)),
        func.sum(row.latency_ms),
        func.coalesce(func.sum(row.input_tokens), 0),
        func.coalesce(func.sum(row.output_tokens), 0),
        func.count(col(row.cost_usd)),
        func.coalesce(func.sum(row.cost_usd), 0.0),
    )
    found = session.execute(select(*_KEYS, bucket, *counted).where(_of(day)).group_by(*_KEYS, bucket)).all()
    sums: dict[Key, DailyRequestRow] = {}
    for start, app, digest, arm, mirrored, latency, *figures in found:
        key = (day_of(start * DAY_SECONDS), app, digest, arm, mirrored)
        if key not in sums:
            sums[key] = sums_of(session, key)
        _add(sums[key], str(int(latency)), figures)
    rated = select(*_KEYS, func.count(), func.sum(FeedbackRow.satisfaction)).join_from(
        RequestRow, FeedbackRow, col(FeedbackRow.request_id) == col(row.request_id)
    )
    shown = rated.where(_of(day), col(row.mirrored).is_(False)).group_by(*_KEYS)
    for start, app, digest, arm, mirrored, ratings, satisfaction in session.execute(shown).tuples():
        one = sums[day_of(start * DAY_SECONDS), app, digest, arm, mirrored]
        one.rated += ratings
        one.satisfaction += satisfaction
    session.add_all(sums.values())
    session.flush()


def _add(into: DailyRequestRow, bucket: str, figures: Sequence[Any]) -> None:
    count, failed, latency_ms, input_tokens, output_tokens, priced, cost_usd = figures
    into.latencies = {**into.latencies, bucket: into.latencies.get(bucket, 0) + count}
    into.requests += count
    into.failed += failed
    into.latency_ms += latency_ms
    into.input_tokens += int(input_tokens)
    into.output_tokens += int(output_tokens)
    into.priced += priced
    into.cost_usd += cost_usd
