"""Which Envoys follow: what each was told and has confirmed, and by which weight it drew units at a moment."""

import logging
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from softlaunch.inbound.envoy.layers import Layer
from softlaunch.ledger.gateways import ROUTER
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.store.database import Database

_LOGGER = logging.getLogger(__name__)
_REMEMBERED = 256
_SPARE_SECONDS = 0.5
"""How far an Envoy's clock may be off ours."""


@dataclass(slots=True)
class Told:
    """A weight that an Envoy was told, and when it had confirmed it; infinite until then. Epoch seconds."""

    revision: int | None
    weight_percent: float
    sent_at: float
    confirmed_at: float = float("inf")


@dataclass(slots=True)
class Follower:
    """An app's layer in one Envoy."""

    node: str
    app: str
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    revision: int | None = None
    """The newest route that it confirmed."""
    lease_seconds: float = 0.0
    streams: int = 0
    """How many connections it is told by; for a moment two, where one takes the other's place."""
    gone_at: float = float("-inf")
    problem: str = ""

    def tell(self, layer: Layer, now: float) -> None:
        """Take note that a layer is sent, before it is."""
        last = self.told[-1] if self.told else None
        if last is None or (last.revision, last.weight_percent) != (layer.revision, layer.weight_percent):
            self.told.append(Told(layer.revision, layer.weight_percent, now))

    def confirm(self, now: float) -> None:
        """It has the newest layer in force."""
        if self.told:
            newest = self.told[-1]
            newest.confirmed_at = min(newest.confirmed_at, now)
            self.revision = newest.revision
        self.problem = ""

    def refuse(self, problem: str) -> None:
        """It can't use the newest layer, and goes on with the one before."""
        if problem != self.problem:
            _LOGGER.error("envoy %s refuses the weights of %s: %s", self.node, self.app, problem)
        self.problem = problem

    def weight_at(self, moment: float) -> float:
        """The weight by which units were drawn then, 0 where that can't be told: nothing is compared then."""
        for place in range(len(self.told) - 1, -1, -1):
            one = self.told[place]
            if moment >= one.confirmed_at + _SPARE_SECONDS:
                following = self.told[place + 1] if place + 1 < len(self.told) else None
                return one.weight_percent if following is None or moment < following.sent_at - _SPARE_SECONDS else 0.0
        return 0.0


class Followers:
    """Every Envoy that was connected lately, as the ledger is told of it. Not thread-safe but for `weight_at`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[tuple[str, str], Follower] = {}
        self._ids: dict[str, tuple[str, float]] = {}

    def meet(self, node: str, app: str) -> Follower:
        """An Envoy that asks for an app's layer; the same one again keeps what is known of it, but is told anew."""
        follower = self._known.setdefault((node, app), Follower(node, app))
        follower.streams += 1
        if node not in self._ids:
            name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
            self._ids[node] = (name, self._clock())
        return follower

    def lose(self, follower: Follower) -> None:
        """Its connection is gone; within its lease it is back on stable."""
        follower.streams -= 1
        follower.gone_at = self._clock()
        follower.tell(Layer(follower.app), self._clock())

    def weight_at(self, node: str, app: str, moment: float) -> float:
        """The weight by which an Envoy drew an app's units at a moment, 0 where that isn't known."""
        follower = self._known.get((node, app))
        return 0.0 if follower is None else follower.weight_at(moment)

    @property
    def connected(self) -> int:
        """How many layers are being told."""
        return sum(follower.streams for follower in self._known.values())

    def report(self, *, last: bool = False) -> None:
        """Tell the ledger what each follows. Raises SQLAlchemy's errors."""
        now = self._clock()
        for heartbeat in list(self._heartbeats(now, last=last)):
            write_batch(self._database, (), {}, heartbeat)
            if heartbeat.stopped_at is not None:
                self._forget(heartbeat.gateway_id)

    def _heartbeats(self, now: float, *, last: bool) -> Iterator[Heartbeat]:
        for node, (name, since) in list(self._ids.items()):
            layers = [one for one in list(self._known.values()) if one.node == node]
            present = any(one.streams for one in layers)
            over = last or (not present and all(now - one.gone_at > one.lease_seconds for one in layers))
            if not present and not over:
                continue  # it is silent, and may serve a candidate for as long as its lease lasts
            revisions = {one.app: one.revision or 0 for one in layers if one.told and one.told[-1].revision is not None}
            yield Heartbeat(
                name, f"envoy {node}", since, now, now, revisions, stopped_at=now if over else None, kind=ROUTER
            )

    def _forget(self, name: str) -> None:
        gone = {node for node, (known, _) in self._ids.items() if known == name}
        self._known = {key: one for key, one in self._known.items() if one.node not in gone}
        self._ids = {node: known for node, known in self._ids.items() if node not in gone}
