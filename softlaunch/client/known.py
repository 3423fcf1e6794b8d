"""What a client knows of one app: its route, how long its candidate may be served, and since when."""

import threading
from typing import Any, NamedTuple

from softlaunch.client.lease import CLOCKS, Clocks, LocalLease, Moment
from softlaunch.client.route import ClientRoute, read_route

SETTLING_SECONDS = 30.0
"""For so long an older revision, or another ledger, is taken for a server that lags behind; then it is followed."""


class Current(NamedTuple):
    """A route, and the lease of its candidate: one pair, so that no lease is ever taken for another route's."""

    route: ClientRoute
    lease: LocalLease


class KnownApp:
    """An app as its server described it last. Written by the feed's thread, read by everybody without a lock."""

    def __init__(self, name: str, clocks: Clocks = CLOCKS) -> None:
        self.name = name
        self.current: Current | None = None
        self.document: Any = None
        """What the server said, as a copy is made of it."""
        self.tried = threading.Event()
        """Set once a question about it has been answered, or couldn't be."""
        self.problem = ""
        self._ledger = ""
        self._confirmed_at: float | None = None
        self._clocks = clocks

    @property
    def is_live(self) -> bool:
        """Whether a release is under way, as far as is known."""
        return self.current is not None and self.current.route.is_live

    @property
    def lapsed(self) -> bool:
        """Whether a release is under way whose candidate may not be served, as far as is known."""
        return self.current is not None and self.current.route.is_live and not self.current.lease.holds()

    @property
    def lease_seconds(self) -> float:
        """How long its candidate may be served unwatched."""
        return 10.0 if self.current is None else self.current.route.lease_seconds

    def take(self, document: Any, ledger: str, asked: Moment) -> bool:
        """Follow an answer with a body; false where it isn't followed. Raises RouteError.

        One server of several may lag behind the others: an older revision than what is known neither counts nor renews
        a lease, until nothing newer was heard for half a minute. So it is with another ledger.
        """
        route = read_route(self.name, document)
        if self._is_behind(route, ledger, asked.running):
            return False
        lease = LocalLease(self._clocks)
        if self.current is not None and ledger == self._ledger and self._goes_on(self.current.route, route):
            lease = self.current.lease
        self._ledger, self._confirmed_at = ledger, asked.running
        self._grant(Current(route, lease), document.get("lease_left_seconds"), asked)
        self.current, self.document = Current(route, lease), document
        self.problem = ""
        self.tried.set()
        return True

    def renew(self, left_seconds: object, asked: Moment) -> None:
        """Take note that nothing changed, and of what is left of the lease."""
        self._confirmed_at = asked.running
        if self.current is not None:
            self._grant(self.current, left_seconds, asked)

    def fail(self, problem: str) -> None:
        """A question couldn't be answered; what is known stays."""
        self.problem = problem
        self.tried.set()

    def restore(self, route: ClientRoute, document: Any) -> None:
        """Begin with a copy from the disk, of which stable alone is served."""
        self.current = Current(route.stable_alone(), LocalLease(self._clocks))
        self.document = document

    @staticmethod
    def _goes_on(before: ClientRoute, route: ClientRoute) -> bool:
        """Whether it is the same release, such as a stage later: who watches that watches it still."""
        return before.is_live and (before.release_id, before.lease_seconds) == (route.release_id, route.lease_seconds)

    def _grant(self, current: Current, left_seconds: object, asked: Moment) -> None:
        if left_seconds is None and current.route.is_live:
            return
        left = left_seconds if isinstance(left_seconds, int | float) and current.route.is_live else 0.0
        current.lease.renew(min(float(left), current.route.lease_seconds), asked)

    def _is_behind(self, route: ClientRoute, ledger: str, now: float) -> bool:
        if self.current is None or self._confirmed_at is None:
            return False
        is_older = ledger != self._ledger or route.revision < self.current.route.revision
        return is_older and now - self._confirmed_at < SETTLING_SECONDS
