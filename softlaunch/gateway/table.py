"""The route table: what every app's route says, kept up to date by a thread, read by the request path."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.core.api import Api
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.prices import is_priced
from softlaunch.core.variant import Variant, embeds_alike
from softlaunch.gateway.breaker import Breaker
from softlaunch.gateway.deadlines import TimeLimits
from softlaunch.gateway.lease import Lease
from softlaunch.gateway.pins import Pins
from softlaunch.ledger.pins import read_retired
from softlaunch.ledger.routes import Pulse, UnreadableRouteError, read_named_pulses, read_route, read_variant
from softlaunch.policy.route import Route
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import LedgerChangedError, describe_fault

_LOGGER = logging.getLogger(__name__)
SETTLING_SECONDS = 4.0
"""Within so long after its start a process has seen a beat of whoever watches a candidate, if anybody does."""


class AppRoute:
    """An app as this gateway serves it: its route, whether its watcher lives, and the breaker of its candidate."""

    def __init__(
        self,
        route: Route,
        lease: Lease,
        clock: Callable[[], float],
        retired: Mapping[str, Variant] = MappingProxyType({}),
    ) -> None:
        self.route = route
        self.retired = retired
        """Variants that promotions have replaced, by digest, where conversations stay on them."""
        self.lease = lease
        self.stable_apis = _in_order(route.stable.model.served_apis)
        self.candidate_apis = _apis_of_candidate(route)
        self.breaker = Breaker()
        self.limits = TimeLimits.of(route.serving.gateway)
        self.in_force = True
        self._clock = clock

    def lease_holds(self) -> bool:
        """Whether somebody was seen to watch the candidate within the lease."""
        return self.lease.holds(self.route.lease_seconds, self._clock())

    def lease_left(self) -> float:
        """For how many seconds the candidate may be served by what is known now; 0 where it may not."""
        return self.lease.left(self.route.lease_seconds, self._clock()) if self.candidate_allowed() else 0.0

    def lease_told(self) -> float | None:
        """What is left of the lease for those who keep one of their own; None where that isn't known here.

        Nobody may have been seen to watch because this process has just begun to look, or can't. What another one told
        ends by itself then. Zero ends it at once.
        """
        return None if not self.lease_holds() and not self.breaker.tripped else self.lease_left()

    def candidate_allowed(self, api: Api | None = None) -> bool:
        """Whether the candidate may get requests or copies right now; with an API, those of it."""
        if self.route.candidate is None or not self.in_force or self.breaker.tripped or not self.lease_holds():
            return False
        return api is None or api in self.candidate_apis


def _in_order(apis: frozenset[Api]) -> tuple[Api, ...]:
    """As they are asked for most: a member is found in a tuple by identity, and in a set by its hash, which is slow."""
    return tuple(api for api in Api if api in apis)


def _apis_of_candidate(route: Route) -> tuple[Api, ...]:
    """Which requests a candidate can take: vectors of another model than stable's don't mix with those that are kept.

    All of them where there is none.
    """
    if route.candidate is None:
        return tuple(Api)
    apis = route.candidate.model.served_apis
    takes_any = route.serving.gateway.mixed_embeddings
    mixes = takes_any or embeds_alike(route.stable, route.candidate)
    return _in_order(apis if mixes else apis - {Api.EMBEDDINGS})


def _look_up_prices(route: Route) -> None:
    """Let the prices of all of its models be known: reading the published ones takes half a second of a request's."""
    for variant in filter(None, (route.stable, route.candidate)):
        for model in (variant.model, *variant.fallbacks):
            is_priced(model)


class RouteTable:
    """Routes by app. When the ledger can't be read the last ones stay, and their leases run out by themselves.

    So they do when what is read isn't the ledger any more that was. `problem` says so in words, and is empty while all
    is well.
    """

    def __init__(
        self, database: Database, *, poll_seconds: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._served: dict[str, AppRoute] = {}
        self._variants: dict[str, Variant] = {}
        self._pulses: dict[str, Pulse] = {}
        self._loaded: dict[str, tuple[int, datetime | None]] = {}
        self._behind: set[str] = set()
        self._ledger_id: str | None = None
        self._read_at: float | None = None
        self._warned = ""
        self.problem = ""
        self.pins = Pins()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="softlaunch-routes", daemon=True)

    def start(self) -> None:
        """Read the routes once, then keep reading in a thread."""
        self.refresh()
        self._thread.start()

    def settle(self) -> None:
        """Wait until each candidate was seen to be watched, for as long as that takes when it is."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while not self.is_settled and time.monotonic() < deadline:
            self._stop.wait(self._poll_seconds / 4)

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

    @property
    def is_settled(self) -> bool:
        """Whether of each candidate somebody was seen to watch it: until then it looks like one that nobody watches."""
        return all(one.route.candidate is None or one.lease.is_known for one in self._served.values())

    @property
    def ledger_id(self) -> str | None:
        """What names the ledger that is read; None before it was, or where nothing is served."""
        return self._ledger_id

    def get(self, app: str) -> AppRoute | None:
        """What is known of an app."""
        return self._served.get(app)

    def all(self) -> dict[str, AppRoute]:
        """Everything served now, by app; not to be changed."""
        return self._served

    def remembered(self, short: str) -> Variant | None:
        """The variant whose digest begins so, where this gateway has seen it in a route."""
        return next((variant for variant in list(self._variants.values()) if variant.short == short), None)

    def look_up(self, app: str, short: str) -> Variant | None:
        """The same, from the ledger; None where it has none, or can't be read. It waits for the database."""
        try:
            return read_variant(self._database, app, short, self._variants)
        except (SoftlaunchError, SQLAlchemyError) as error:
            _LOGGER.warning("variant %s of %s can't be looked up: %s", short, app, describe_fault(error))
            return None

    def revisions(self) -> dict[str, int]:
        """The revision of each app's route that this gateway acts by."""
        return {app: served.route.revision for app, served in self._served.items()}

    def refresh(self) -> bool:
        """Look at the ledger once; false when it couldn't be read."""
        before = self._clock()
        try:
            served = self._look(before)
        except Exception as error:  # any fault of the database: the last routes stay in force
            self.problem = describe_fault(error)
            self._warn_once(f"{self.problem}; stable serves alone as soon as the lease runs out", error)
            return False
        if self.problem:
            _LOGGER.warning("the routes can be read again")
        self.problem = self._warned = ""
        before_that, self._served = self._served, served
        for app, known in before_that.items():
            known.in_force = served.get(app) is known  # copies of requests under way ask the route they came with
        self._read_at = before
        return True

    def _look(self, now: float) -> dict[str, AppRoute]:
        served: dict[str, AppRoute] = {}
        ledger_id, pulses = read_named_pulses(self._database)
        behind = self._recognise(ledger_id, pulses)
        for app, pulse in pulses.items():
            known = self._served.get(app)
            if known is None or self._loaded.get(app) != (pulse.revision, pulse.changed_at):
                known = self._load(app, known)
                if known is not None and known.route.revision == pulse.revision:
                    self._loaded[app] = (pulse.revision, pulse.changed_at)
            if known is not None:
                if app not in behind:
                    known.lease.look(pulse.beat, known.route.lease_seconds, now)
                served[app] = known
        if any(one.route.serving.unit.pin is not None for one in served.values()):
            self.pins.read(self._database, time.time())
        return served

    def _recognise(self, ledger_id: str | None, pulses: Mapping[str, Pulse]) -> set[str]:
        """Raise LedgerChangedError unless this is the ledger as it went on since the last look, not another one.

        A beat of another ledger, or of a backup that was put in place, is no proof that somebody watches. On PostgreSQL
        a standby may have taken over that hadn't got all: what it says is in force, and returned are the apps whose
        beats prove nothing until they are beyond those that were seen before.
        """
        if None not in (self._ledger_id, ledger_id) and ledger_id != self._ledger_id:
            raise LedgerChangedError("the ledger was replaced by another one; restart this gateway to serve by it")
        behind = {
            app: (last, pulses[app])
            for app, last in self._pulses.items()
            if app in pulses and (pulses[app].revision < last.revision or pulses[app].beat < last.beat)
        }
        for app, (last, pulse) in behind.items():
            went_back = (
                f"the ledger went back in time (the route of {app} has revision {pulse.revision} and beat "
                f"{pulse.beat}, and had {last.revision} and {last.beat})"
            )
            if self._database.is_sqlite:
                raise LedgerChangedError(
                    f"{went_back}: a backup was put in its place; restart this gateway to serve by it"
                )
            if app not in self._behind:
                _LOGGER.warning("%s: a standby took over; its candidate waits for newer beats", went_back)
        self._behind = set(behind)
        self._ledger_id = ledger_id or self._ledger_id
        newest = {app: Pulse(pulse.revision, last.beat, pulse.changed_at) for app, (last, pulse) in behind.items()}
        self._pulses |= {**pulses, **newest}
        return self._behind

    def _load(self, app: str, known: AppRoute | None) -> AppRoute | None:
        """The route as it is now; where it can't be understood, the stable variant that was known, and no candidate."""
        try:
            route = read_route(self._database, app, self._variants)
        except UnreadableRouteError as error:
            self._warn_once(f"the route of {app} can't be used; its last known stable variant serves alone", error)
            return known and AppRoute(replace(known.route, candidate=None), known.lease, self._clock, known.retired)
        if route is None:
            return None
        _look_up_prices(route)
        retired = self._retired(app) if route.serving.unit.pin is not None else {}
        return AppRoute(route, known.lease if known else Lease(), self._clock, retired)

    def _retired(self, app: str) -> dict[str, Variant]:
        with self._database.read() as session:
            digests = read_retired(session, app)
        found = (read_variant(self._database, app, digest, self._variants) for digest in digests)
        return {variant.digest: variant for variant in found if variant is not None}

    def _warn_once(self, message: str, error: Exception) -> None:
        """Log a message once, until it changes. Only an unforeseen error gets a traceback."""
        if message != self._warned:
            self._warned = message
            _LOGGER.warning(message, exc_info=None if isinstance(error, SoftlaunchError | SQLAlchemyError) else error)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            self.refresh()
