"""What died with a gateway: requests that it had begun and that are missing from the log, counted once."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from softlaunch.ledger.counters import LeftBehind, left_behind
from softlaunch.ledger.gateways import Gateway
from softlaunch.ledger.routes import read_ledger_id
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, GatewayRow

REPORTED_EVERY_SECONDS = 0.6
"""A gateway reports to the ledger what it began at least so often, so that a death hides no more than this time's."""
_DEAD_SECONDS = 10.0
_DEAD_BY_CLOCK_SECONDS = 60.0
_WATCHED_SECONDS = 1.0
_OLD_SECONDS = 86400.0
_LOOK_SECONDS = 1.0


class Cause(StrEnum):
    """Why requests were counted as dropped; empty for what a living gateway dropped."""

    DIED = "died"
    """Their gateway died before it had written them."""
    CAME_BACK = "came_back"
    """Taken back, as a negative count: the gateway had only been silent."""
    LATE = "late"
    """They are in the log, but came when the gates had read on; only gates count them."""
    REWOUND = "rewound"
    """They were in the log, and the database lost them: a standby took over that hadn't got them."""
    UNATTRIBUTED = "unattributed"
    """A span or a record told of them, and not whose they are, or of an arm that isn't theirs."""
    LOST = "lost"
    """Their client couldn't tell of them for so long that it had no room for them any more."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What of one app died with a gateway. `estimated` of the `count` requests may have begun after it last said so.

    `under_way` of them had no answer yet; None where nobody knows. `died_at` is when it was heard last (epoch seconds).
    """

    gateway: str
    app: str
    count: int
    estimated: int
    under_way: int | None
    died_at: float

    @property
    def sentence(self) -> str:
        """For people."""
        if self.under_way is not None:
            known = f"{self.count - self.under_way} had been answered, {self.under_way} were under way"
        elif self.estimated:
            known = (
                f"{self.count - self.estimated} it had reported, about {self.estimated} more may have started in the "
                f"{REPORTED_EVERY_SECONDS:g} s after that"
            )
        else:
            known = "it had reported them"
        requests = "request is" if self.count == 1 else "requests are"
        return f"{self.gateway} died: {self.count} {requests} lost from the log of {self.app} ({known})"


@dataclass(slots=True)
class LossWatch:
    """Looks for gateways that died, and counts what is missing of each once, whoever else looks too.

    One on this machine is known by the file that it left in `folder`, at once and exactly; another one by its silence:
    ten seconds of it watched by this process's own clock, or a minute by the wall clock. One that comes back takes back
    what was counted for it.
    """

    database: Database
    folder: Path | None
    ticks: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def look(self, now: float) -> list[Loss]:
        """What was lost and not counted before; looks at most once a second. Raises SQLAlchemy's errors."""
        ticked = self.ticks()
        if ticked - self._looked_at < _LOOK_SECONDS:
            return []
        self._looked_at = ticked
        found = [loss for left in self._left_behind() for loss in self._count_exactly(left, now)]
        return found + [loss for row in self._silent(now, ticked) for loss in self._count_silent(row, now)]

    def _left_behind(self) -> Iterator[LeftBehind]:
        if self.folder is not None:
            for left in left_behind(self.folder):
                if left.owner.ledger == read_ledger_id(self.database):
                    yield left

    def _count_exactly(self, left: LeftBehind, now: float) -> list[Loss]:
        with self.database.begin() as session:
            row = session.get(GatewayRow, left.owner.gateway_id, with_for_update=True) or _unheard(left)
            stopped = row.stopped_at is not None  # its file was all that was left to do
            found = [] if stopped else [_missing(row, app, left) for app in left.counts]
            if not stopped:
                row.lost_at = row.stopped_at = now
            session.add(row)
            session.add_all(_correct(session, row.id, loss, now) for loss in found)
        left.remove()
        return [loss for loss in found if loss.count]

    def _silent(self, now: float, ticked: float) -> list[GatewayRow]:
        """Gateways of which nothing has come for so long that they are taken for dead."""
        with self.database.read() as session:
            rows = session.exec(
                select(GatewayRow)
                .where(col(GatewayRow.heard_at) > now - _OLD_SECONDS)
                .where(col(GatewayRow.stopped_at).is_(None), col(GatewayRow.lost_at).is_(None))
            ).all()
            session.expunge_all()
        self._seen = {row.id: self._seen.get(row.id, (row.heard_at, ticked)) for row in rows}
        dead = []
        for row in rows:
            heard_at, since = self._seen[row.id]
            if heard_at != row.heard_at:
                self._seen[row.id] = row.heard_at, ticked
                continue
            long_ago = now - row.heard_at > _DEAD_BY_CLOCK_SECONDS and ticked - since >= _WATCHED_SECONDS
            if long_ago or ticked - since >= _DEAD_SECONDS:
                dead.append(row)
        return dead

    def _count_silent(self, row: GatewayRow, now: float) -> list[Loss]:
        found = list(_unwritten(row))
        with self.database.begin() as session:
            taken = session.execute(
                update(GatewayRow)
                .where(col(GatewayRow.id) == row.id, col(GatewayRow.heard_at) == row.heard_at)
                .where(col(GatewayRow.lost_at).is_(None), col(GatewayRow.stopped_at).is_(None))
                .values(lost_at=now)
                .returning(col(GatewayRow.id))
            )
            if taken.scalar_one_or_none() is None:
                return []
            session.add_all(_correct(session, row.id, loss, now) for loss in found)
        return found


def _unheard(left: LeftBehind) -> GatewayRow:
    """The row of a gateway that died before it wrote one."""
    owner = left.owner
    return GatewayRow(
        id=owner.gateway_id,
        address=owner.address,
        started_at=owner.started_at,
        heard_at=owner.started_at,
        complete_until=owner.started_at,
        revisions={},
        counts={},
    )


def _missing(row: GatewayRow, app: str, left: LeftBehind) -> Loss:
    """What the file holds beyond what the ledger accounts for."""
    begun, ended = left.counts[app]
    logged = int((row.counts or {}).get(app, {}).get("logged", 0))
    return Loss(_name(row), app, max(begun - logged, 0), 0, max(begun - ended, 0), row.heard_at)


def _unwritten(row: GatewayRow) -> Iterator[Loss]:
    """What a silent gateway had reported and not written, and what it may have begun since."""
    for app, reported in (row.counts or {}).items():
        known = max(int(reported["begun"]) - int(reported["logged"]), 0)
        estimated = round(float(reported["per_second"]) * REPORTED_EVERY_SECONDS)
        if known + estimated:
            yield Loss(_name(row), app, known + estimated, estimated, None, row.heard_at)


def _name(row: GatewayRow) -> str:
    return f"gateway {Gateway(row.id, row.address, row.started_at, row.heard_at, None).name}"


def _correct(session: Session, gateway_id: str, loss: Loss, now: float) -> DropRow:
    """What is to be counted so that it is this loss, whatever was counted for the gateway before."""
    count, estimated = _counted(session, gateway_id, loss.app)
    return DropRow(
        gateway_id=gateway_id,
        app=loss.app,
        count=loss.count - count,
        noted_at=now,
        cause=Cause.DIED,
        happened_at=loss.died_at,
        estimated=loss.estimated - estimated,
    )


def _counted(session: Session, gateway_id: str, app: str) -> tuple[int, int]:
    """How many requests of an app are counted as lost with a gateway by now, and how many of them are a guess."""
    count, estimated = session.exec(
        select(func.coalesce(func.sum(DropRow.count), 0), func.coalesce(func.sum(DropRow.estimated), 0)).where(
            DropRow.gateway_id == gateway_id, DropRow.app == app, col(DropRow.cause).in_([Cause.DIED, Cause.CAME_BACK])
        )
    ).one()
    return int(count), int(estimated)


def take_back(session: Session, gateway_id: str, apps: Mapping[str, Any], now: float) -> None:
    """A gateway that was taken for dead lives: what was counted for it no longer is."""
    session.execute(update(GatewayRow).where(col(GatewayRow.id) == gateway_id).values(lost_at=None))
    for app in apps:
        count, estimated = _counted(session, gateway_id, app)
        if count:
            died_at = session.exec(select(func.max(DropRow.happened_at)).where(DropRow.gateway_id == gateway_id)).one()
            session.add(
                DropRow(
                    gateway_id=gateway_id,
                    app=app,
                    count=-count,
                    noted_at=now,
                    cause=Cause.CAME_BACK,
                    happened_at=died_at,
                    estimated=-estimated,
                )
            )


@dataclass(frozen=True, slots=True)
class Lost:
    """Requests of a time that are missing from the log; about `estimated` of them are a guess."""

    count: int = 0
    estimated: int = 0

    @property
    def sentence(self) -> str:
        """For people; empty where nothing is missing."""
        if not self.count:
            return ""
        about = "about " if self.estimated else ""
        which = "request of this time is" if self.count == 1 else "requests of this time are"
        return f"{about}{self.count:,} {which} lost: served, but missing from the log and from every figure."


def read_lost(session: Session, app: str, since: float, until: float) -> Lost:
    """What an app's log misses of a time, from `since` to `until` in epoch seconds."""
    happened = func.coalesce(DropRow.happened_at, DropRow.noted_at)
    found = select(func.coalesce(func.sum(DropRow.count), 0), func.coalesce(func.sum(DropRow.estimated), 0)).where(
        DropRow.app == app, DropRow.cause != Cause.LATE, happened >= since, happened <= until
    )
    count, estimated = session.exec(found).one()
    return Lost(max(int(count), 0), int(estimated))


def counters_folder(database: Database, home: Path | None) -> Path | None:
    """Where the gateways of a machine keep their counts: beside a SQLite ledger, else in the home folder, if any."""
    beside = home if database.path is None else database.path.parent
    return None if beside is None else beside.resolve() / "gateways"
