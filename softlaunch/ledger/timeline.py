"""Which split was in force when: spans are told of later than what they tell of happened."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import select

from softlaunch.core.variant import Variant
from softlaunch.ledger.routes import UnreadableRouteError, read_route, read_variant
from softlaunch.policy.route import Route
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow

_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class InForce:
    """A route, and since when it is in force (epoch seconds)."""

    route: Route
    since: float


class Timeline:
    """The routes of each app that were seen, in their order. What was in force before the first one isn't known.

    Not thread-safe. A route that can't be read is as good as none.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, list[InForce]] = {}
        self._variants: dict[str, Variant] = {}

    def refresh(self) -> None:
        """Look which splits have changed. Raises SQLAlchemy's errors."""
        with self._database.read() as session:
            rows = session.exec(select(RouteRow.app, RouteRow.revision, RouteRow.changed_at)).all()
        for app, revision, changed_at in rows:
            seen = self._seen.setdefault(app, [])
            if not seen or seen[-1].route.revision != revision:
                route = self._read(app)
                if route is not None and route.revision == revision:  # else it has changed again: the next look
                    seen.append(InForce(route, changed_at.timestamp()))
                    del seen[:-_REMEMBERED]
        for app in {*self._seen} - {row[0] for row in rows}:
            del self._seen[app]

    def _read(self, app: str) -> Route | None:
        try:
            return read_route(self._database, app, self._variants)
        except UnreadableRouteError:
            return None

    def variant(self, app: str, short: str) -> Variant | None:
        """The recorded variant whose digest begins so; None where there is none. Raises SQLAlchemy's errors."""
        try:
            return read_variant(self._database, app, short, self._variants)
        except UnreadableRouteError:
            return None

    @property
    def apps(self) -> frozenset[str]:
        """The apps that are known."""
        return frozenset(app for app, seen in self._seen.items() if seen)

    def now(self, app: str) -> Route | None:
        """The newest route of an app; None of one that isn't known."""
        seen = self._seen.get(app)
        return seen[-1].route if seen else None

    def at(self, app: str, moment: float) -> InForce | None:
        """What was in force at a moment; None where that wasn't seen."""
        return in_force(self._seen.get(app, ()), moment)

    def of_revision(self, app: str, revision: int) -> tuple[InForce, float] | None:
        """The split of a revision, and until when it was in force (infinite for the newest); None of an unseen one."""
        seen = self._seen.get(app, [])
        for place in range(len(seen) - 1, -1, -1):
            if seen[place].route.revision == revision:
                return seen[place], seen[place + 1].since if place + 1 < len(seen) else float("inf")
        return None


def in_force(seen: Sequence[InForce], moment: float) -> InForce | None:
    """The last of these that began by then, unless others came after it that weren't seen."""
    for place in range(len(seen) - 1, -1, -1):
        if seen[place].since <= moment:
            missed = place + 1 < len(seen) and seen[place + 1].route.revision != seen[place].route.revision + 1
            return None if missed else seen[place]
    return None
