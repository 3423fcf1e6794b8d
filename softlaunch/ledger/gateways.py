"""Which gateways are running, and which split each of them serves by."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow

GATEWAY, RECEIVER = "gateway", "receiver"
"""Who writes the request log: what serves requests, and what takes spans of those that others served."""
ROUTER = "router"
"""What serves requests by a route, and logs none: an Envoy, whose control plane says what it follows."""
_HEARD_WITHIN = 3.0
_PATIENCE = 3.0
_LOOK_SECONDS = 0.05
FORGOTTEN_SECONDS = 600.0
"""A gateway that was silent for longer before a split changed isn't expected to follow."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an Envoy was told of an app and doesn't do, since when (epoch seconds), and what it says against it.

    `said` is empty where it says nothing: it has neither confirmed nor refused what it was told.
    """

    revision: int
    since: float
    said: str = ""

    @property
    def words(self) -> str:
        """For people, after the Envoy's name."""
        return (
            f"refuses revision {self.revision}: {self.said}"
            if self.said
            else f"hasn't confirmed revision {self.revision}"
        )


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway as the ledger knows it: when it started and was heard of last (epoch seconds), and what it serves by.

    `revision` is that of an app's route, None for an app that it doesn't serve. `problem` is that of an Envoy.
    """

    id: str
    address: str
    started_at: float
    heard_at: float
    revision: int | None
    kind: str = GATEWAY
    problem: Problem | None = None

    @property
    def host(self) -> str:
        """The machine, or container, it runs on."""
        return self.id.rsplit("-", 2)[0]

    @property
    def place(self) -> tuple[str, str]:
        """Where it is: its machine, and its address there."""
        return self.host, self.address

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.address} on {self.host}"

    def follows(self, revision: int) -> bool:
        """Whether no user of this gateway can meet what an earlier revision let them meet."""
        return self.revision is None or self.revision >= revision

    @property
    def refuses(self) -> bool:
        """Whether it says that it can't do what it was told."""
        return self.problem is not None and self.problem.said != ""


@dataclass(frozen=True, slots=True)
class Followed:
    """How gateways took a route's revision, so many seconds after it was written.

    `running` were heard of meanwhile; `behind` are those that don't follow, running or silent, and `silent` those of
    them of which nothing came while this waited: what they serve by is not known.
    """

    running: int
    following: int
    seconds: float
    behind: tuple[Gateway, ...] = ()
    now: float = 0.0
    silent: tuple[Gateway, ...] = ()

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.running and not self.behind:
            return "No gateway is running."
        if not self.behind:
            return f"All {self.running} running gateways follow, after {self.seconds:.1f} s."
        known = self.following + len(self.behind)
        those = describe_behind(self.behind, self.now)
        said = [f"{self.following} of {known} gateways follow after {self.seconds:.1f} s, but not {those}."]
        heard = [one for one in self.behind if one not in self.silent]
        if heard:
            whom = "None of them" if not self.silent else f"None of those that were heard ({_names(heard)})"
            said.append(
                f"{whom} serves a candidate for longer than its lease, but a promoted variant keeps being served."
            )
        if self.silent:
            said.append(
                f"Nothing came from {_names(self.silent)} meanwhile, so what it serves can't be known: if it "
                "can't reach this ledger it is back on stable when its lease runs out, not if it reads another, such "
                "as a file that was replaced. Its /healthz shows which."
            )
        return " ".join([*said, "Restart it, or take it out of the load balancer."])


def describe_behind(behind: Sequence[Gateway], now: float) -> str:
    """Gateways that don't follow, and since when nothing was heard of those that are silent."""
    return ", ".join(_describe(gateway, max(now - gateway.heard_at, 0.0)) for gateway in behind)


def _names(gateways: Sequence[Gateway]) -> str:
    return ", ".join(one.name for one in gateways)


def _describe(gateway: Gateway, silent: float) -> str:
    known = [f"silent for {silent:.0f} s"] if silent > _HEARD_WITHIN else []
    known += [gateway.problem.words] if gateway.problem is not None else []
    return f"{gateway.name} ({', '.join(known)})" if known else gateway.name


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
    asked_at = clock()
    since = asked_at - FORGOTTEN_SECONDS
    first: dict[str, float] = {}
    heard: set[str] = set()
    moved: set[str] = set()
    while True:
        with database.read() as session:
            known = read_gateways(session, app, since)
        now, seconds = clock(), ticks() - began
        for one in known:
            if first.setdefault(one.id, one.heard_at) != one.heard_at or one.heard_at > asked_at:
                moved.add(one.id)
            if one.id in moved or abs(now - one.heard_at) <= _HEARD_WITHIN:
                heard.add(one.id)
        running = [one for one in known if one.id in heard]
        behind = tuple(one for one in known if not one.follows(revision))
        if (not behind and (running or not known)) or seconds > _PATIENCE:
            following = sum(one.follows(revision) for one in running)
            silent = tuple(one for one in behind if one.id not in moved)
            return Followed(len(running), following, seconds, behind, now, silent)
        pause(_LOOK_SECONDS)


def read_gateways(session: Session, app: str, since: float) -> list[Gateway]:
    """Gateways heard of since then (epoch seconds) that didn't say that they stop, by address.

    One that a later one has replaced at the same address of the same machine is left out; so is an Envoy as a control
    plane knew it that was silent since another one there heard of it.
    """
    rows = session.exec(
        select(GatewayRow)
        .where(col(GatewayRow.heard_at) >= since, col(GatewayRow.stopped_at).is_(None))
        .where(col(GatewayRow.kind).in_((GATEWAY, ROUTER)))
        .order_by(col(GatewayRow.started_at).desc())
    ).all()
    newest: dict[tuple[str, str], Gateway] = {}
    routers = [_read(row, app) for row in rows if row.kind == ROUTER]
    heard_at = {one.place: one.heard_at for one in sorted(routers, key=lambda one: one.heard_at)}
    for row in rows:
        if row.kind != ROUTER:
            one = _read(row, app)
            newest.setdefault(one.place, one)
    there = [one for one in routers if heard_at[one.place] - one.heard_at <= _HEARD_WITHIN]
    return sorted([*newest.values(), *there], key=lambda one: (one.address, one.id))


def _read(row: GatewayRow, app: str) -> Gateway:
    serves, problem = row.revisions.get(app), (row.problems or {}).get(app)
    return Gateway(
        row.id,
        row.address,
        row.started_at,
        row.heard_at,
        None if serves is None else int(serves),
        row.kind,
        None if problem is None else Problem(**problem),
    )
