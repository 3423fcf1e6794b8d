"""Writing what a receiver took: each span once, with the moment up to which all that reached it is in the log."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col

from softlaunch.ledger.gateways import RECEIVER
from softlaunch.ledger.losses import Cause
from softlaunch.ledger.request_log import (
    Heartbeat,
    RequestRecord,
    ScoreRecord,
    close_batch,
    insert_records,
)
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, GatewayRow, ReceivedSpanRow

REMEMBERED_SECONDS = 86_400.0
"""How long a span is known to have been taken: no exporter sends one again for longer."""
_AT_ONCE = 500
_RESTARTED_WITHIN = 600.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A model call of an app that was told of: its row, and why it is no evidence where it isn't.

    Without a row `count` calls are told of at once, as missing.
    """

    key: str
    app: str
    row: RequestRecord | None
    missing: Cause | None = None
    count: int = 1


def write_received(
    database: Database, taken: Sequence[Taken], scores: Sequence[ScoreRecord], heartbeat: Heartbeat
) -> list[Taken]:
    """Write all of it in one transaction; returns what hadn't been taken before.

    Raises SQLAlchemy's errors when the database can't be written.
    """
    by_key = {one.key: one for one in taken}
    with database.begin() as session:
        claimed = _claim(session, sorted(by_key), heartbeat.heard_at)
        fresh = [one for key, one in by_key.items() if key in claimed]
        insert_records(session, [*(one.row for one in fresh if one.row is not None), *scores])
        _count_missing(session, fresh, heartbeat)
        close_batch(session, (), {}, heartbeat)
    return fresh


def forget_received(database: Database, now: float) -> None:
    """Forget spans that nobody sends again."""
    with database.begin() as session:
        session.execute(delete(ReceivedSpanRow).where(col(ReceivedSpanRow.received_at) < now - REMEMBERED_SECONDS))


def received_until(database: Database, now: float, but: str = "") -> float | None:
    """The latest moment that gates may have relied on by the word of a receiver lately, whether or not it still runs.

    Left out is the receiver with the id `but`.
    """
    promised = select(func.max(GatewayRow.complete_until)).where(
        col(GatewayRow.kind) == RECEIVER,
        col(GatewayRow.id) != but,
        col(GatewayRow.heard_at) > now - _RESTARTED_WITHIN,
        col(GatewayRow.complete_until) <= now,
    )
    with database.read() as session:
        found: float | None = session.execute(promised).scalar_one()
    return found


def _claim(session: Session, keys: Sequence[str], now: float) -> set[str]:
    """Which of these spans nobody has taken; they are taken now. In order, so that two receivers never wait crosswise.

    The database holds up a receiver that has the same span at the same moment until the other one has it for good.
    """
    connection = session.connection()
    table = SQLModel.metadata.tables["received_spans"]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    unknown = dialect.insert(table).on_conflict_do_nothing().returning(table.c.key)
    claimed: set[str] = set()
    for some in _pieces(keys):
        rows = [{"key": key, "received_at": now} for key in some]
        claimed.update(connection.execute(unknown.values(rows)).scalars())
    return claimed


def _pieces(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[first : first + _AT_ONCE] for first in range(0, len(keys), _AT_ONCE))


def _count_missing(session: Session, fresh: Sequence[Taken], heartbeat: Heartbeat) -> None:
    missing: Counter[tuple[str, Cause]] = Counter()
    for one in fresh:
        if one.missing is not None:
            missing[one.app, one.missing] += one.count
    rows = [
        {
            "gateway_id": heartbeat.gateway_id,
            "app": app,
            "count": count,
            "noted_at": heartbeat.heard_at,
            "cause": cause,
        }
        for (app, cause), count in missing.items()
    ]
    if rows:
        session.connection().execute(insert(DropRow), rows)
