"""What a control plane says to an Envoy that another one has told more."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from softlaunch.gateway.lease import Lease
from softlaunch.gateway.table import AppRoute, RouteTable
from softlaunch.inbound.envoy.discovery import Changes, RuntimeDiscovery, revision_of
from softlaunch.inbound.envoy.followers import Followers
from softlaunch.inbound.envoy.messages import DiscoveryRequest
from softlaunch.inbound.envoy.names import layer_name
from softlaunch.policy.route import Route, Serving
from softlaunch.store.database import Database
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.envoy import routed_policy

SERVING = Serving.of("salt", routed_policy("http://127.0.0.1:1", "http://127.0.0.1:2"))
ROUTE = Route(APP, 4, STABLE, SERVING, CANDIDATE, 50.0, release_id=f"{APP}-1", stage=1, lease_seconds=10.0)


def watched(revision: int) -> AppRoute:
    """The route of a revision, that somebody watches."""
    lease = Lease()
    for beat, now in ((1, 6.0), (2, 8.0)):
        lease.look(beat, ROUTE.lease_seconds, now)
    return AppRoute(replace(ROUTE, revision=revision), lease, lambda: 10.0)


@dataclass
class Told:
    """A stream of one Envoy's, and what its control plane has read."""

    answers: AsyncIterator[Any]
    table: RouteTable
    changes: Changes

    def read(self, revision: int) -> None:
        """The control plane reads this revision."""
        self.table._served = {APP: watched(revision)}
        self.changes.tell()

    async def next(self) -> int:
        """The revision that the Envoy is told next; 0 where nothing is said for a moment."""
        asked = asyncio.ensure_future(anext(self.answers))
        done, _ = await asyncio.wait({asked}, timeout=0.1)
        if not done:
            self._asked = asked
            return 0
        return revision_of(asked.result().version_info)

    async def then(self) -> int:
        """The answer that was waited for in vain before."""
        return revision_of((await asyncio.wait_for(self._asked, 5)).version_info)


def asking(database: Database, has: str) -> Told:
    """An Envoy that was told a version before asks a control plane that has read revision 4."""

    async def requests() -> AsyncIterator[Any]:
        first = DiscoveryRequest(version_info=has, resource_names=[layer_name(APP)])
        first.node.id = "envoy-1"
        yield first
        await asyncio.sleep(3600)

    table, changes = RouteTable(database), Changes()
    table._served = {APP: watched(4)}
    discovery = RuntimeDiscovery(table, Followers(database), changes, lambda: None)
    return Told(discovery.stream(requests(), None), table, changes)


@pytest.mark.parametrize("has", [pytest.param("", id="nothing"), pytest.param("4.17", id="as much")])
def test_an_envoy_is_told_at_once(database: Database, has: str) -> None:
    """One that was told no more than this control plane has read."""

    async def play() -> int:
        return await asking(database, has).next()

    assert asyncio.run(play()) == 4


def test_one_that_lags_behind_says_nothing_until_it_has_read_as_much(database: Database) -> None:
    """So nobody goes back to an earlier split because his Envoy has lost the control plane that was ahead."""

    async def play() -> tuple[int, int]:
        told = asking(database, "5.2")
        first = await told.next()
        told.read(5)
        return first, await told.then()

    assert asyncio.run(play()) == (0, 5)
