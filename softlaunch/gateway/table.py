"""The route table: what every app's route says, kept up to date by a thread, read by the request path."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from softlaunch.gateway.breaker import Breaker
from softlaunch.gateway.lease import Lease
from softlaunch.route import Route
from softlaunch.store.database import Database
from softlaunch.store.routes import UnreadableRouteError, read_pulses, read_route
from softlaunch.variant import Variant

_LOGGER = logging.getLogger(__name__)
_COMPLAIN_SECONDS = 30.0


class Served:
    """An app as this gateway serves it: its route, whether its watcher lives, and the breaker of its candidate."""

    def __init__(self, route: Route, lease: Lease, clock: Callable[[], float]) -> None:
        self.route = route
        self.lease = lease
        self.breaker = Breaker()
        self.in_force = True
        self._clock = clock

    def lease_holds(self) -> bool:
        """Whether somebody was seen to watch the candidate within the lease."""
        return self.lease.holds(self.route.lease_seconds, self._clock())

    def candidate_allowed(self) -> bool:
        """Whether the candidate may get requests or copies right now."""
        return self.route.candidate is not None and self.in_force and not self.breaker.tripped and self.lease_holds()


class RouteTable:
    """Routes by app. When the ledger can't be read the last ones stay, and their leases run out by themselves."""

    def __init__(
        self, database: Database, *, poll_seconds: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._served: dict[str, Served] = {}
        self._variants: dict[str, Variant] = {}
        self._read_at: float | None = None
        self._complained_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="softlaunch-routes", daemon=True)

    def start(self) -> None:
        """Read the routes once, then go on in a thread."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    @property
    def has_been_read(self) -> bool:
        """Whether the ledger has ever been readable."""
        return self._read_at is not None

    @property
    def seconds_since_read(self) -> float:
        """How old the routes may be; infinite before the first reading."""
        return float("inf") if self._read_at is None else self._clock() - self._read_at

    def get(self, app: str) -> Served | None:
        """What is known of an app."""
        return self._served.get(app)

    def all(self) -> dict[str, Served]:
        """Everything served now, by app; not to be changed."""
        return self._served

    def revisions(self) -> dict[str, int]:
        """The revision of each app's route that this gateway acts by."""
        return {app: served.route.revision for app, served in self._served.items()}

    def refresh(self) -> bool:
        """Look at the ledger once; false when it couldn't be read."""
        before = self._clock()
        try:
            served = self._look(before)
        except Exception:  # any fault of the database: the last routes stay in force
            self._complain("the routes can't be read; the last ones stay in force until their leases run out")
            return False
        before_that, self._served = self._served, served
        for app, known in before_that.items():
            known.in_force = served.get(app) is known  # copies of requests under way ask the route they came with
        self._read_at = before
        return True

    def _look(self, now: float) -> dict[str, Served]:
        served: dict[str, Served] = {}
        for app, pulse in read_pulses(self._database).items():
            known = self._served.get(app)
            if known is None or known.route.revision != pulse.revision:
                known = self._load(app, known)
            if known is not None:
                known.lease.look(pulse.beat, known.route.lease_seconds, now)
                served[app] = known
        return served

    def _load(self, app: str, known: Served | None) -> Served | None:
        """The route as it is now; where it can't be understood, the stable variant that was known, and no candidate."""
        try:
            route = read_route(self._database, app, self._variants)
        except UnreadableRouteError:
            self._complain(f"the route of {app} can't be used; its last known stable variant serves alone")
            return known and Served(replace(known.route, candidate=None), known.lease, self._clock)
        if route is None:
            return None
        return Served(route, known.lease if known else Lease(), self._clock)

    def _complain(self, message: str) -> None:
        if self._clock() - self._complained_at > _COMPLAIN_SECONDS:
            self._complained_at = self._clock()
            _LOGGER.warning(message, exc_info=True)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            self.refresh()
