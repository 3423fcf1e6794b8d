"""Waiting for what changes in the routes, without asking the ledger once more for each who waits."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.table import AppRoute, RouteTable
from softlaunch.gateway.wire import ClientGoneError

_LOOK_SECONDS = 0.05
_DIGEST_BYTES = 12
Apps = Collection[str] | None
"""The apps that are asked for; None is all of them."""


class AppState(NamedTuple):
    """What of an app's route is news when it changes."""

    app: str
    revision: int
    is_allowed: bool
    """Whether its candidate may be shown."""


State = tuple[AppState, ...]


class Changes:
    """What is in force now, and who waits for the next change. Used from the event loop alone.

    One task looks twenty times a second for all who wait, and none does where nobody waits.
    """

    def __init__(self, table: RouteTable) -> None:
        self._table = table
        self._waiting = 0
        self._looker: asyncio.Task[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self.is_stopping: Callable[[], bool] = lambda: False
        """Whether the server stops: then nobody is kept waiting."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    def state(self, apps: Apps = None) -> State:
        """What is in force for these apps now."""
        return state_in(wanted(self._table.all(), apps))

    def is_live(self, apps: Apps = None) -> bool:
        """Whether a candidate of one of these apps has a lease to renew."""
        return any(one.route.candidate is not None for one in wanted(self._table.all(), apps))

    async def wait(self, cycle: HttpCycle, apps: Apps, known: State, seconds: float) -> State:
        """What is in force as soon as it isn't what is `known`, or after so many seconds. Raises ClientGoneError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        gone = loop.create_future()

        def leave() -> None:
            if not gone.done():
                gone.set_result(None)

        cycle.when_gone(leave)
        self._waiting += 1
        try:
            while (state := self.state(apps)) == known and not self.is_stopping():
                left = until - loop.time()
                if left <= 0:
                    break
                await asyncio.wait({self._look(), gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise ClientGoneError
        finally:
            self._waiting -= 1
            cycle.when_gone(None)
        return state

    def _look(self) -> asyncio.Future[None]:
        """Done at the next change of any app, or when the server stops."""
        loop = asyncio.get_running_loop()
        if self._next is None or self._next.done():
            self._next = loop.create_future()
        if self._looker is None or self._looker.done():
            self._looker = loop.create_task(self._keep_looking())
        return self._next

    async def _keep_looking(self) -> None:
        before: State | None = None  # so that the first look wakes whoever came just before a change
        while self._waiting:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.state()
            if (now != before or self.is_stopping()) and self._next is not None and not self._next.done():
                self._next.set_result(None)
            before = now


def wanted(served: Mapping[str, AppRoute], apps: Apps) -> list[AppRoute]:
    """The routes of these apps, in the order of their names; those that aren't served are left out."""
    names = served if apps is None else {*apps} & served.keys()
    return [served[name] for name in sorted(names)]


def state_in(routes: Iterable[AppRoute]) -> State:
    """What is in force by these routes."""
    return tuple(AppState(one.route.app, one.route.revision, one.candidate_allowed()) for one in routes)


def etag_of(ledger_id: str | None, state: State, *more: object) -> str:
    """What names a configuration, in quotes: the same as long as it is, whichever server is asked.

    Whether a candidate is allowed is no part of it; `more` may be.
    """
    named = repr((ledger_id, [(one.app, one.revision) for one in state], more))
    return f'"{hashlib.blake2b(named.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()}"'


def matches(etag: str, asked: bytes) -> bool:
    """Whether a request's If-None-Match names this."""
    found = [one.strip().removeprefix("W/") for one in asked.decode("latin-1").split(",")]
    return etag in found or etag.strip('"') in found or "*" in found
