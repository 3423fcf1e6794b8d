"""What one stream tells an Envoy: layers that end by themselves, renewed only while the Envoy can use them."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy import discovery
from softlaunch.inbound.envoy.discovery import Changes, RuntimeDiscovery
from softlaunch.inbound.envoy.followers import Followers
from softlaunch.inbound.envoy.layers import Layer
from softlaunch.inbound.envoy.messages import DiscoveryRequest, Resource
from softlaunch.inbound.envoy.names import layer_name
from softlaunch.store.database import Database
from tests.support.builders import APP


class NoRoutes:
    """A table in whose place the test says what is in force."""

    def get(self, app: str) -> None:
        """Nothing."""
        return


class Conversation:
    """An Envoy that asks for a layer and answers each one that it is told."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layer = Layer(APP, 1)
        monkeypatch.setattr(discovery, "layer_of", lambda *_: self.layer)
        self._changes = Changes()
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        self.followers = Followers(database)
        served = RuntimeDiscovery(cast("RouteTable", NoRoutes()), self.followers, self._changes, lambda: None)
        self._stream = served.stream(self._requests(), None)
        self._said.put_nowait(DiscoveryRequest(resource_names=[layer_name(APP)], node={"id": "n1"}))

    async def _requests(self) -> AsyncIterator[Any]:
        while True:
            yield await self._said.get()

    async def told(self, layer: Layer) -> Any | None:
        """What the Envoy is told when this is in force; None where it hears nothing."""
        self.layer = layer
        self._changes.tell()
        asked = asyncio.ensure_future(anext(self._stream))
        done, _ = await asyncio.wait((asked,), timeout=0.2)
        if not done:
            asked.cancel()
            return None
        return asked.result()

    async def answer(self, told: Any, error: str = "") -> None:
        """Confirm, or refuse."""
        refused = {"error_detail": {"message": error}} if error else {}
        await self._said.put(DiscoveryRequest(response_nonce=told.nonce, **refused))
        await asyncio.sleep(0.01)


def seconds_of(told: Any) -> float:
    """How long a layer is to live."""
    resource = Resource.FromString(told.resources[0].value)
    assert resource.HasField("ttl")
    return float(resource.ttl.ToMilliseconds() / 1000)


def weights(left: float) -> Layer:
    """A candidate at 5 %, for so many seconds."""
    return Layer(APP, 2, {"key": 1}, time.monotonic() + left)


def test_every_layer_ends_by_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a candidate too: Envoy would keep for ever what it has in the place of one that it refuses."""

    async def converse() -> None:
        talk = Conversation(database, monkeypatch)
        first = await talk.told(Layer(APP, 1))
        assert seconds_of(first) == 1.0
        await talk.answer(first)
        assert 9 < seconds_of(await talk.told(weights(10))) <= 10

    asyncio.run(converse())


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_refused_is_not_renewed(database: Database, monkeypatch: pytest.MonkeyPatch, *, refused: bool) -> None:
    """Each renewal would prolong what the Envoy goes on with; a later revision is told again."""

    async def converse() -> None:
        talk = Conversation(database, monkeypatch)
        told = await talk.told(weights(10))
        await talk.answer(told, "bad value" if refused else "")
        renewed = await talk.told(weights(12))
        assert (renewed is None) == refused
        if refused:
            assert talk.followers.present[0].refused is not None

    asyncio.run(converse())
