"""The runtime discovery service: each Envoy's layers, renewed with each sign of life of whoever watches.

A layer is sent whole each time: Envoy 1.40 lets a runtime layer expire in spite of renewals without content. It takes
the time to live of what it refuses, too, for what it goes on with: so each layer has one, and none that is refused is
renewed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

from softlaunch.gateway.table import RouteTable
from softlaunch.inbound.envoy.followers import Follower, Followers
from softlaunch.inbound.envoy.layers import Layer, layer_of
from softlaunch.inbound.envoy.messages import RUNTIME, DiscoveryResponse, Resource, Runtime
from softlaunch.inbound.envoy.names import app_of_layer, layer_name

_RESOURCE = "type.googleapis.com/envoy.service.discovery.v3.Resource"
_SHORTEST_SECONDS = 0.001
_EMPTY_SECONDS = 1.0
"""How long an Envoy that refuses to take a candidate back may go on with it."""
_SHORTEST_PATIENCE_SECONDS = 2.0
_RENEWED_SECONDS = 0.05
"""By how much a lease is longer once its watcher was seen again; less is two clock readings' difference."""


class Changes:
    """Wakes every stream when the routes were read again."""

    def __init__(self) -> None:
        self._next: asyncio.Event = asyncio.Event()

    def tell(self) -> None:
        """Something may have changed."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self) -> None:
        """Until something may have."""
        await self._next.wait()


class RuntimeDiscovery:
    """Serves `StreamRuntime`, one stream for each layer of an Envoy."""

    def __init__(self, table: RouteTable, followers: Followers, changes: Changes, answered: Callable[[], None]) -> None:
        self._table = table
        self._followers = followers
        self._changes = changes
        self._answered = answered

    async def stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ARG002
        """Tell an Envoy its layer, again and again, until it leaves."""
        first = await anext(aiter(requests), None)
        name = first.resource_names[0] if first is not None and first.resource_names else ""
        app = app_of_layer(name)
        if first is None or not app:
            return
        follower = self._followers.meet(first.node.id, app)
        stream = _Stream(follower, self._answered, revision_of(first.version_info), time.monotonic())
        reading = asyncio.ensure_future(stream.read(requests))
        try:
            while not reading.done():
                wakened = asyncio.ensure_future(self._changes.wait())
                try:
                    served = self._table.get(app)
                    follower.lease_seconds = served.route.lease_seconds if served else 0.0
                    answer = stream.next(layer_of(app, served, time.monotonic()), time.monotonic())
                    if answer is not None:
                        yield answer
                    await asyncio.wait((wakened, reading), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    wakened.cancel()
        finally:
            reading.cancel()
            self._followers.lose(follower)


class _Stream:
    """What one stream has said, and heard."""

    def __init__(self, follower: Follower, answered: Callable[[], None], has: int, began: float) -> None:
        """`has` is the revision that the Envoy was told of by whoever it listened to before, 0 for none."""
        self._follower = follower
        self._answered = answered
        self._numbers = count(1)
        self._last: Layer | None = None
        self._nonce = ""
        self._has, self._began = has, began

    def next(self, layer: Layer, now: float) -> Any | None:
        """The next thing to say at `now` (monotonic); None where the last one stands.

        Another control plane may have read a route that this one hasn't yet. Then nothing is said until it has, or as
        long as a lease may last: what the Envoy was told before ends by itself.
        """
        if self._last is None and (layer.revision or 0) < self._has and now - self._began < self._patience:
            return None
        if self._last is not None and not self._says_more(layer, self._last):
            return None
        self._last, self._nonce = layer, str(next(self._numbers))
        self._follower.tell(layer, time.time())
        return DiscoveryResponse(
            version_info=_version(layer.revision, self._nonce),
            type_url=RUNTIME,
            nonce=self._nonce,
            resources=[_resource(layer, _version(layer.revision, self._nonce))],
        )

    @property
    def _patience(self) -> float:
        return max(self._follower.lease_seconds, _SHORTEST_PATIENCE_SECONDS)

    def _says_more(self, layer: Layer, last: Layer) -> bool:
        """Whether something else is in force, or the same for longer."""
        if (layer.revision, layer.values) != (last.revision, last.values):
            return True
        if self._follower.refused is not None:
            return False
        return bool(layer.values) and layer.until > last.until + _RENEWED_SECONDS

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Hear what the Envoy confirms, or refuses."""
        async for request in requests:
            if request.response_nonce != self._nonce:
                continue
            if request.HasField("error_detail"):
                self._follower.refuse(request.error_detail.message or "it doesn't say why", time.time())
            else:
                self._follower.confirm()
            self._answered()


def _version(revision: int | None, nonce: str) -> str:
    return f"{revision or 0}.{nonce}"


def revision_of(version: str) -> int:
    """The route's revision in what an Envoy says that it has; 0 where it has nothing of ours."""
    said = version.partition(".")[0]
    return int(said) if said.isdecimal() else 0


def _resource(layer: Layer, version: str) -> Any:
    """The layer, wrapped so that it can have a time to live; an empty one is what an Envoy does without any, too."""
    runtime = Runtime(name=layer_name(layer.app))
    runtime.layer.update(dict(layer.values))
    wrapped = Resource(name=layer_name(layer.app), version=version)
    left = layer.until - time.monotonic() if layer.values else _EMPTY_SECONDS
    wrapped.ttl.FromMilliseconds(round(max(left, _SHORTEST_SECONDS) * 1000))
    wrapped.resource.type_url, wrapped.resource.value = RUNTIME, runtime.SerializeToString()
    return {"type_url": _RESOURCE, "value": wrapped.SerializeToString()}
