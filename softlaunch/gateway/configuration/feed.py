"""The routes as clients read them that evaluate by themselves, by long polls or by events."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from softlaunch.gateway.configuration.changes import Apps, Changes, State, etag_of, matches, state_in, wanted
from softlaunch.gateway.configuration.contents import Contents
from softlaunch.gateway.configuration.evaluation import why_not_evaluated
from softlaunch.gateway.configuration.events import EVENT_STREAM, event
from softlaunch.gateway.configuration.exchange import Exchange, Headers, query_of, seconds_of
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.table import AppRoute, RouteTable
from softlaunch.gateway.wire import JSON

FORMAT = 1
LONGEST_WAIT_SECONDS = 30.0
_OF_A_LEASE = 3
"""A poll is answered after a third of the lease at the latest, so that it is renewed in time."""
_LEASE_EVENT_SECONDS = 1.0
_SIGN_OF_LIFE_SECONDS = 15.0


class Readers(NamedTuple):
    """Who reads the feed: `are_known` where keys are asked for, `are_backends` where who has one may name any unit."""

    are_known: bool
    are_backends: bool


class Feed:
    """Answers `GET /softlaunch/v1/config` and `/softlaunch/v1/config/events`."""

    def __init__(
        self, table: RouteTable, changes: Changes, contents: Contents, exchange: Exchange, readers: Readers
    ) -> None:
        self._table = table
        self._changes = changes
        self._contents = contents
        self._exchange = exchange
        self._readers = readers

    async def poll(self, headers: Headers, cycle: HttpCycle) -> None:
        """Everything, or as soon as it isn't what the client has; 304 where it still is when its time is over."""
        query = query_of(cycle)
        apps = query.get("app")
        wait = min(seconds_of(query, "wait", LONGEST_WAIT_SECONDS), self._renewed_within(apps))
        asked = headers.get(b"if-none-match", b"")
        state = self._changes.state(apps)
        if wait and asked and matches(self._etag(state, apps), asked):
            with self._exchange.place():
                await self._changes.wait(cycle, apps, state, wait)
        routes = wanted(self._table.all(), apps)  # of one moment: no lease of one release goes with another's variants
        etag = self._etag(state_in(routes), apps)
        lines = [
            (b"etag", etag.encode()),
            (b"cache-control", b"no-store"),
            (b"x-softlaunch-lease-left", orjson.dumps(_leases(routes))),
        ]
        if asked and matches(etag, asked):
            await cycle.respond(304, lines, b"")
        else:
            await cycle.respond(200, [*JSON, *lines], self._body(routes))

    async def listen(self, headers: Headers, cycle: HttpCycle) -> None:  # noqa: ARG002
        """The same by server-sent events: everything at each change, and what is left of leases each second.

        The id of an event is how many seconds after the beginning of the answer it was written: whoever reads it late
        can tell, and must not take a lease for longer than it is.
        """
        apps = query_of(cycle).get("app")
        began, sent = time.monotonic(), None
        with self._exchange.place():
            await cycle.start(200, EVENT_STREAM)
            while not cycle.gone:
                routes = wanted(self._table.all(), apps)
                state, number = state_in(routes), f"{time.monotonic() - began:.3f}"
                etag, is_live = self._etag(state, apps), any(one.route.candidate is not None for one in routes)
                if etag != sent:
                    await cycle.write(event("config", self._body(routes), number))
                elif is_live:
                    await cycle.write(event("lease", orjson.dumps(_leases(routes)), number))
                else:
                    await cycle.write(b": alive\n\n")
                sent = etag
                if self._changes.is_stopping():
                    break
                await self._changes.wait(cycle, apps, state, _LEASE_EVENT_SECONDS if is_live else _SIGN_OF_LIFE_SECONDS)
            await cycle.write(b"", more=False)

    def _etag(self, state: State, apps: Apps) -> str:
        return etag_of(self._table.ledger_id, state, FORMAT, sorted(apps) if apps is not None else None)

    def _renewed_within(self, apps: Apps) -> float:
        routes = wanted(self._table.all(), apps)
        leases = [one.route.lease_seconds for one in routes if one.route.candidate is not None]
        return min(leases, default=LONGEST_WAIT_SECONDS * _OF_A_LEASE) / _OF_A_LEASE

    def _body(self, routes: Sequence[AppRoute]) -> bytes:
        trusted = self._readers.are_backends
        refused = {one.route.app: why_not_evaluated(one.route, are_backends=trusted) for one in routes}
        said = {
            "format": FORMAT,
            "ledger": self._table.ledger_id,
            "apps": {one.route.app: self._part(one) for one in routes if not refused[one.route.app]},
            **({"refused": {app: why for app, why in refused.items() if why}} if any(refused.values()) else {}),
        }
        return orjson.dumps(said)

    def _part(self, app_route: AppRoute) -> dict[str, Any]:
        route = app_route.route
        variants = {"stable": route.stable, "candidate": route.candidate}
        return {
            "revision": route.revision,
            "salt": route.serving.salt,
            "split": route.serving.split,
            "keyed": self._readers.are_known,
            "release_id": route.release_id,
            "stage": route.stage,
            "weight_percent": route.weight_percent,
            "shadow_percent": route.shadow_percent,
            "control_percent": route.control_percent,
            "lease_seconds": route.lease_seconds,
            "lease_left_seconds": _told(app_route),
            "unit": route.serving.unit.model_dump(mode="json"),
            "only": None if route.only is None else route.only.model_dump(mode="json"),
            "texts_kept": bool(route.serving.texts.keep),
            **{
                name: variant
                and {"label": variant.label, "digest": variant.digest, "content": self._contents.json(variant)}
                for name, variant in variants.items()
            },
        }


def _leases(routes: Sequence[AppRoute]) -> dict[str, float]:
    """What is left of the lease of each app that has a candidate, where that is known."""
    told = {one.route.app: _told(one) for one in routes if one.route.candidate is not None}
    return {app: left for app, left in told.items() if left is not None}


def _told(app_route: AppRoute) -> float | None:
    if app_route.route.candidate is None:
        return 0.0
    left = app_route.lease_told()
    return None if left is None else round(left, 3)
