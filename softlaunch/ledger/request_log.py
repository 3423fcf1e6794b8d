"""Writing the request log: rows of many requests in one transaction, with the watermark up to which it is complete."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import func, insert, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, SQLModel, col, select

from softlaunch.ledger.gateways import GATEWAY, Problem
from softlaunch.ledger.losses import Cause, take_back
from softlaunch.store.copying import can_copy, copy_rows
from softlaunch.store.database import Database
from softlaunch.store.tables import (
    BreakerTripRow,
    DropRow,
    FeedbackRow,
    GatewayRow,
    PinRow,
    RequestRow,
    ScoreRow,
    TextRow,
)


class RequestRecord(NamedTuple):
    """One row of `requests`; the fields are its columns, see RequestRow."""

    request_id: str
    gateway_id: str
    app: str
    release_id: str | None
    stage: int
    route_revision: int
    weight_percent: float
    arm: str
    mirrored: bool
    variant_digest: str
    unit: int
    started_at: float
    status: int
    outcome: str
    latency_ms: float
    first_token_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    resolved_model: str | None
    fingerprint: str | None
    streamed: bool
    fell_back: bool
    excused: bool = False
    finish_reason: str | None = None
    attempts: int = 1
    cached_tokens: int | None = None
    named_unit: int | None = None
    request_size: int | None = None
    api: str | None = None
    answered_by: str | None = None
    answer_size: int | None = None
    checks: int | None = None


class TextRecord(NamedTuple):
    """One row of `texts`, see TextRow; `expires_at` in epoch seconds."""

    request_id: str
    arm: str
    app: str
    question: str
    answer: str
    expires_at: float
    context: str | None = None
    until_judged: bool = False

    @property
    def size(self) -> int:
        """How many characters it holds."""
        return len(self.question) + len(self.answer) + len(self.context or "")


class FeedbackRecord(NamedTuple):
    """One row of `feedback`; satisfaction in [0, 1], `kind` is thumbs or stars."""

    request_id: str
    app: str
    satisfaction: float
    kind: str
    received_at: float


class ScoreRecord(NamedTuple):
    """One row of `scores`; value in [0, 1]."""

    request_id: str
    app: str
    metric: str
    value: float
    source: str
    received_at: float


class BreakerTripRecord(NamedTuple):
    """One row of `breaker_trips`."""

    gateway_id: str
    app: str
    release_id: str | None
    route_revision: int
    reason: str
    tripped_at: float


class PinRecord(NamedTuple):
    """One row of `pins`; `expires_at` in epoch seconds."""

    app: str
    unit: int
    variant_digest: str
    release_id: str | None
    stage: int
    expires_at: float


Record = RequestRecord | TextRecord | FeedbackRecord | ScoreRecord | BreakerTripRecord | PinRecord

_TABLES: Mapping[type[Record], type[SQLModel]] = {
    RequestRecord: RequestRow,
    TextRecord: TextRow,
    FeedbackRecord: FeedbackRow,
    ScoreRecord: ScoreRow,
    BreakerTripRecord: BreakerTripRow,
    PinRecord: PinRow,
}
HEARD_SECONDS = 5.0
"""A gateway that was silent for longer is not waited for by those who read the log."""
_HEARD_ONCE = frozenset({"feedback", "scores"})  # another gateway may have taken the same rating at the same moment
CONTENT_ERRORS = (DataError, IntegrityError, OverflowError)
"""What a database raises for values that it can't hold; sqlite3 raises the last one bare."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A gateway's sign of life: complete up to `complete_until` (epoch seconds), `revisions` of the routes it saw.

    `counts` says for each app how many requests it has begun, how many of them the log accounts for with this batch,
    and how many it lately began a second. `silent_since` is set where nothing could be written for a while.
    `stopped_at` makes it the last one. `batch` is the number of the batch that it comes with, from 1; one that is tried
    again has the same number and the same rows. `problems` are those of an Envoy, by app.
    """

    gateway_id: str
    address: str
    started_at: float
    heard_at: float
    complete_until: float
    revisions: Mapping[str, int] = field(default_factory=dict)
    stopped_at: float | None = None
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    silent_since: float | None = None
    kind: str = GATEWAY
    batch: int | None = None
    problems: Mapping[str, Problem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch, in request rows by app.

    `refused` are those that the database refused for their content; they are counted in `drops`, so that one bad value
    can't hold up the log. `lost` were written before and aren't there any more: a standby took over that hadn't got
    them. They are counted in `drops` too.
    """

    refused: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)


class BatchWrittenError(Exception):
    """A batch is in the ledger already: it was committed, and the connection broke before that was heard."""


def write_batch(
    database: Database, records: Sequence[Record], drops: Mapping[str, int], heartbeat: Heartbeat
) -> Written:
    """Write records, counts of dropped rows by app, and the heartbeat in one transaction, all or nothing.

    A numbered batch that the ledger has already is not written again. Raises SQLAlchemy's errors when the database
    can't be written.
    """
    try:
        try:
            with database.begin() as session:
                insert_records(session, records)
                return Written(lost=close_batch(session, records, drops, heartbeat))
        except CONTENT_ERRORS:
            return _write_singly(database, records, drops, heartbeat)
    except BatchWrittenError:
        return Written()


def _write_singly(
    database: Database, records: Sequence[Record], drops: Mapping[str, int], heartbeat: Heartbeat
) -> Written:
    refused: dict[str, int] = {}
    with database.begin() as session:
        for record in records:
            try:
                with session.begin_nested():
                    insert_records(session, [record], copied=False)
            except CONTENT_ERRORS:
                refused[record.app] = refused.get(record.app, 0) + isinstance(record, RequestRecord)
        counted = {app: drops.get(app, 0) + refused.get(app, 0) for app in {*drops, *refused}}
        return Written(refused, close_batch(session, records, counted, heartbeat))


def insert_records(session: Session, records: Sequence[Record], *, copied: bool = True) -> None:
    """Put records into their tables, within a transaction; by COPY where the database has it and it can be `copied`.

    What may be there already can't: COPY knows no conflict that it passes over.
    """
    connection = session.connection()
    mark = "?" if connection.dialect.positional else "%s"
    for kind, table in _TABLES.items():
        rows, name = [record for record in records if type(record) is kind], str(table.__tablename__)
        if rows and copied and name not in _HEARD_ONCE and can_copy(connection):
            copy_rows(connection, name, kind._fields, rows)
        elif rows:
            connection.exec_driver_sql(_statement(name, kind._fields, mark), rows)


@cache
def _statement(table: str, columns: tuple[str, ...], mark: str) -> str:
    """The driver's own insert: a record is its row already, and SQLAlchemy's handling costs as much as the writing."""
    twice = " ON CONFLICT DO NOTHING" if table in _HEARD_ONCE else ""
    values = ", ".join([mark] * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}){twice}"  # noqa: S608  (ours)


def close_batch(
    session: Session, records: Sequence[Record], drops: Mapping[str, int], heartbeat: Heartbeat
) -> dict[str, int]:
    """Count what was dropped, and keep the heartbeat, within the transaction of a batch; returns what was lost before.

    Raises BatchWrittenError where the batch is there already: a transaction that may still commit it is awaited.
    """
    columns = (col(GatewayRow.batches), col(GatewayRow.counts), col(GatewayRow.lost_at))
    found = session.execute(select(*columns).where(col(GatewayRow.id) == heartbeat.gateway_id).with_for_update())
    known = found.one_or_none()
    batches = known.batches if known is not None else 0
    if heartbeat.batch is not None and batches >= heartbeat.batch:
        raise BatchWrittenError
    lost: dict[str, int] = {}
    if heartbeat.batch is not None and batches < heartbeat.batch - 1:
        lost = _lost(known.counts if known is not None else None, records, drops, heartbeat)
    late = _late(session, records, heartbeat) if heartbeat.silent_since is not None else {}
    _count(session, heartbeat, {"": drops, Cause.LATE: late, Cause.REWOUND: lost})
    _keep_heartbeat(session, heartbeat, known=known is not None)
    if known is not None and known.lost_at is not None:
        take_back(session, heartbeat.gateway_id, heartbeat.counts, heartbeat.heard_at)
    return lost


def _lost(
    counts: Mapping[str, Any] | None, records: Sequence[Record], drops: Mapping[str, int], heartbeat: Heartbeat
) -> dict[str, int]:
    """What the gateway had accounted for before this batch, by app, beyond what the ledger knows of it."""
    now = Counter(record.app for record in records if isinstance(record, RequestRecord))
    now.update(drops)
    before = {app: int(told["logged"]) - now[app] for app, told in heartbeat.counts.items()}
    there = {app: int(told.get("logged", 0)) for app, told in (counts or {}).items()}
    return {app: count - there.get(app, 0) for app, count in before.items() if count > there.get(app, 0)}


def _count(session: Session, heartbeat: Heartbeat, missing: Mapping[str, Mapping[str, int]]) -> None:
    """Count what is missing, by cause and app."""
    counted = [
        {
            "gateway_id": heartbeat.gateway_id,
            "app": app,
            "count": count,
            "noted_at": heartbeat.heard_at,
            "cause": cause,
        }
        for cause, counts in missing.items()
        for app, count in counts.items()
        if count
    ]
    if counted:
        session.connection().execute(insert(DropRow), counted)


def _keep_heartbeat(session: Session, heartbeat: Heartbeat, *, known: bool) -> None:
    values: dict[str, Any] = {
        "heard_at": heartbeat.heard_at,
        "complete_until": heartbeat.complete_until,
        "revisions": dict(heartbeat.revisions),
        "stopped_at": heartbeat.stopped_at,
        "counts": {app: dict(counts) for app, counts in heartbeat.counts.items()},
        "problems": {app: asdict(one) for app, one in heartbeat.problems.items()} or None,
        **({} if heartbeat.batch is None else {"batches": heartbeat.batch}),
    }
    if known:
        gateways = SQLModel.metadata.tables["gateways"]
        session.connection().execute(update(gateways).where(gateways.c.id == heartbeat.gateway_id).values(**values))
    else:
        values |= {"address": heartbeat.address, "started_at": heartbeat.started_at, "kind": heartbeat.kind}
        session.add(GatewayRow(id=heartbeat.gateway_id, **values))


def _late(session: Session, records: Sequence[Record], heartbeat: Heartbeat) -> dict[str, int]:
    """Rows by app that gates have read on without, because others wrote while this gateway couldn't."""
    others = select(func.max(GatewayRow.complete_until)).where(
        GatewayRow.id != heartbeat.gateway_id,
        GatewayRow.kind == GATEWAY,
        col(GatewayRow.heard_at) > heartbeat.heard_at - HEARD_SECONDS,
    )
    passed: float | None = session.exec(others).one()
    late = (one for one in records if isinstance(one, RequestRecord) and passed is not None and one.started_at < passed)
    return dict(Counter(one.app for one in late))
