"""The request log in partitions by day (UTC) on PostgreSQL: made ahead, so that one is never missed.

A row without a day's partition isn't lost: it is in the partition for all others, and moves when its day is made.
SQLite has one table, and nothing here does anything there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlmodel import Session

from softlaunch.store.database import Database

DAY_SECONDS = 86400
DAYS_AHEAD = 7
OTHERS = "requests_other"
"""The partition of rows whose day has none: restored from an archive, or of a clock that is far off."""
_PREFIX = "requests_day_"
_LOCK = 0x50F7_1A0D  # the key of the advisory lock of whoever makes or drops partitions
_PATIENCE = "SET LOCAL lock_timeout = '2s'"
_MOST_AT_ONCE = 100
_ENDLESS = {"MINVALUE": float("-inf"), "MAXVALUE": float("inf")}
_BOUNDS = re.compile(r"FROM \((MINVALUE|'?[-0-9.e+]+'?)\) TO \((MAXVALUE|'?[-0-9.e+]+'?)\)")


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A partition of the request log, with the time that it holds: from `start` up to `end`, in epoch seconds."""

    start: float
    end: float
    name: str


def is_partition(table: str) -> bool:
    """Whether a table is a part of the request log rather than a table of its own."""
    return table in {OTHERS, "requests_before_days"} or table.startswith(_PREFIX)


def read_partitions(session: Session) -> list[Partition]:
    """The partitions that have bounds, in the order of time; none on SQLite."""
    if session.get_bind().dialect.name != "postgresql":
        return []
    rows = session.connection().execute(
        text(
            "SELECT part.relname, pg_get_expr(part.relpartbound, part.oid) FROM pg_inherits "
            "JOIN pg_class part ON part.oid = inhrelid WHERE inhparent = to_regclass('requests')"
        )
    )
    return sorted(_bounded(name, bounds) for name, bounds in rows if bounds != "DEFAULT")


def _bounded(name: str, bounds: str) -> Partition:
    found = _BOUNDS.search(bounds)
    if found is None:
        raise ValueError(f"partition {name} has bounds that softlaunch doesn't make: {bounds}")
    start, end = (_ENDLESS.get(one) or float(one.strip("'")) for one in found.groups())
    return Partition(start, end, name)


def keep_days(database: Database, now: float) -> list[str]:
    """Make what is missing from yesterday to a week ahead, and the days of rows that have none; returns their names.

    Readers and writers go on meanwhile. Raises SQLAlchemy's errors, also where a lock isn't to be had within 2 s.
    """
    if database.is_sqlite:
        return []
    with database.read() as session:
        days = _missing(session, now)
    return [name for day in days if (name := _make(database, day)) is not None]


def _missing(session: Session, now: float) -> list[int]:
    """The days to make, as numbers since the epoch."""
    today = int(now // DAY_SECONDS)
    found = session.connection().execute(
        text(f"SELECT DISTINCT floor(started_at / {DAY_SECONDS})::bigint FROM {OTHERS} LIMIT {_MOST_AT_ONCE}")  # noqa: S608  (ours)
    )
    known = read_partitions(session)
    wanted = {*range(today - 1, today + DAYS_AHEAD + 1), *found.scalars()}
    return sorted(day for day in wanted if not _covered(known, day) and _is_sane(day))


def _covered(known: Sequence[Partition], day: int) -> bool:
    start, end = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
    return any(one.start < end and start < one.end for one in known)


def _is_sane(day: int) -> bool:
    """Whether it has a date of four digits; rows of other days stay where they are."""
    return 0 <= day < 2_932_897


def _make(database: Database, day: int) -> str | None:
    """Make one day's partition with what there is of it, and attach it; None where another process did."""
    start = day * DAY_SECONDS
    name = f"{_PREFIX}{datetime.fromtimestamp(start, UTC):%Y%m%d}"
    with database.begin() as session:
        connection = session.connection()
        alone(connection)
        if _covered(read_partitions(session), day):
            return None
        within = f"started_at >= {start} AND started_at < {start + DAY_SECONDS}"
        connection.execute(text(f"CREATE TABLE {name} (LIKE requests INCLUDING DEFAULTS INCLUDING INDEXES)"))
        connection.execute(text(f"ALTER TABLE {name} ADD CHECK ({within})"))
        _move(connection, name, within)
        bounds = f"FOR VALUES FROM ({start}) TO ({start + DAY_SECONDS})"
        connection.execute(text(f"ALTER TABLE requests ATTACH PARTITION {name} {bounds}"))
        connection.execute(text(f"ALTER TABLE {name} DROP CONSTRAINT {name}_started_at_check"))
    return name


def _move(connection: Connection, name: str, within: str) -> None:
    """Put rows of a day that are kept with all others into its own table, which isn't attached yet."""
    if connection.execute(text(f"SELECT 1 FROM {OTHERS} WHERE {within} LIMIT 1")).first() is None:  # noqa: S608  (ours)
        return
    connection.execute(text(f"LOCK TABLE {OTHERS} IN ACCESS EXCLUSIVE MODE"))
    moved = f"DELETE FROM {OTHERS} WHERE {within} RETURNING *"  # noqa: S608  (ours)
    connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"))  # noqa: S608  (ours)


def alone(connection: Connection) -> None:
    """Make or drop partitions alone until this transaction ends, and wait for no lock so long that writers stall."""
    connection.execute(text(_PATIENCE))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


class DayKeeper:
    """Keeps the days made ahead: looks once in ten minutes at most, and a minute after a look that failed."""

    def __init__(self, database: Database, every: float = 600.0, again_after: float = 60.0) -> None:
        self._database = database
        self._every = every
        self._again_after = again_after
        self._look_at = float("-inf")

    def look(self, now: float, ticked: float) -> list[str]:
        """The partitions that were made; `now` is in epoch seconds, `ticked` of a clock that only grows.

        Raises SQLAlchemy's errors: rows are kept for all others meanwhile, and the next look tries again.
        """
        if self._database.is_sqlite or ticked < self._look_at:
            return []
        self._look_at = ticked + self._again_after
        made = keep_days(self._database, now)
        self._look_at = ticked + self._every
        return made
