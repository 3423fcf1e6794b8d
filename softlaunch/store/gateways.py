"""Which gateways are running, and which split each of them serves by."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow

_HEARD_WITHIN = 3.0
_PATIENCE = 3.0
_LOOK_SECONDS = 0.05
FORGOTTEN_SECONDS = 600.0
"""A gateway that was silent for longer before a split changed isn't expected to follow."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway as the ledger knows it: when it started and was heard of last (epoch seconds), and what it serves by.

    `revision` is that of an app's route, None for an app that it doesn't serve.
    """

    id: str
    address: str
    started_at: float
    heard_at: float
    revision: int | None

    @property
    def host(self) -> str:
        """The machine, or container, it runs on."""
        return self.id.rsplit("-", 2)[0]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.address} on {self.host}"

    def follows(self, revision: int) -> bool:
        """Whether no user of this gateway can meet what an earlier revision let them meet."""
        return self.revision is None or self.revision >= revision


@dataclass(frozen=True, slots=True)
class Followed:
    """How gateways took a route's revision, so many seconds after it was written.

    `running` were heard of meanwhile; `behind` are those that don't follow, running or silent.
    """

    running: int
    following: int
    seconds: float
    behind: tuple[Gateway, ...] = ()
    now: float = 0.0

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.running and not self.behind:
            return "No gateway is running."
        if not self.behind:
            return f"All {self.running} running gateways follow, after {self.seconds:.1f} s."
        known = self.following + len(self.behind)
        return (
            f"{self.following} of {known} gateways follow after {self.seconds:.1f} s, but not "
            f"{say_behind(self.behind, self.now)}. None of them shows a candidate for longer than its lease; what was "
            "promoted already it goes on serving: restart it, or take it out of the load balancer."
        )


def say_behind(behind: Sequence[Gateway], now: float) -> str:
    """Gateways that don't follow, and since when nothing was heard of those that are silent."""
    return ", ".join(_say_one(gateway, max(now - gateway.heard_at, 0.0)) for gateway in behind)


def _say_one(gateway: Gateway, silent: float) -> str:
    return gateway.name if silent <= _HEARD_WITHIN else f"{gateway.name} (silent for {silent:.0f} s)"


def wait_for_gateways(
    database: Database,
    app: str,
    revision: int,
    *,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Followed:
    """Wait up to three seconds until every gateway serves an app by a revision or a later one, and one was heard of.

    A gateway counts as running when it was heard of within the last three seconds or is heard of meanwhile, so that
    neither a moment's delay nor another machine's clock hides it.
    """
    began = ticks()
    since = clock() - FORGOTTEN_SECONDS
    first: dict[str, float] = {}
    heard: set[str] = set()
    while True:
        with database.read() as session:
            known = read_gateways(session, app, since)
        now, seconds = clock(), ticks() - began
        for one in known:
            if abs(now - one.heard_at) <= _HEARD_WITHIN or first.setdefault(one.id, one.heard_at) != one.heard_at:
                heard.add(one.id)
        running = [one for one in known if one.id in heard]
        behind = tuple(one for one in known if not one.follows(revision))
        if (not behind and (running or not known)) or seconds > _PATIENCE:
            following = sum(one.follows(revision) for one in running)
            return Followed(len(running), following, seconds, behind, now)
        pause(_LOOK_SECONDS)


def read_gateways(session: Session, app: str, since: float) -> list[Gateway]:
    """Gateways heard of since then (epoch seconds) that didn't say that they stop, by address.

    One that a later one has replaced at the same address of the same machine is left out.
    """
    rows = session.exec(
        select(GatewayRow)
        .where(col(GatewayRow.heard_at) >= since, col(GatewayRow.stopped_at).is_(None))
        .order_by(col(GatewayRow.started_at).desc())
    ).all()
    newest: dict[tuple[str, str], Gateway] = {}
    for row in rows:
        serves = row.revisions.get(app)
        revision = None if serves is None else int(serves)
        one = Gateway(row.id, row.address, row.started_at, row.heard_at, revision)
        newest.setdefault((one.host, one.address), one)
    return sorted(newest.values(), key=lambda one: (one.address, one.id))
