"""Which Envoys follow: what each was told, and has confirmed."""

import logging
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from softlaunch.inbound.envoy.layers import Layer
from softlaunch.ledger.gateways import ROUTER, Problem
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.store.database import Database

_LOGGER = logging.getLogger(__name__)
_REMEMBERED_SECONDS = 600.0
_SAID_NOTHING_SECONDS = 3.0
"""An Envoy confirms within milliseconds; one that says nothing for longer hangs, or can't be reached."""


@dataclass(slots=True)
class Follower:
    """One connection by which an Envoy is told an app's layer. Times are epoch seconds."""

    node: str
    app: str
    told: int | None = None
    """The newest route that it was told, None where it was told of none."""
    revision: int | None = None
    """The newest route that it confirmed."""
    lease_seconds: float = 0.0
    gone_at: float = float("inf")
    refused: Problem | None = None
    """What it can't use, until it has confirmed a candidate's weight, or a later revision."""
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often an Envoy has refused, by app and name; all connections count together."""
    waits_since: float | None = None
    """When the oldest of what it has said nothing to was sent."""
    has_candidate: bool = False
    """Whether the newest layer lets anybody meet a candidate."""

    @property
    def is_there(self) -> bool:
        """Whether the connection still is."""
        return self.gone_at == float("inf")

    def tell(self, layer: Layer, now: float) -> None:
        """Take note that a layer is sent, before it is."""
        self.waits_since = now if self.waits_since is None else self.waits_since
        self.has_candidate = bool(layer.values)
        self.told = layer.revision

    def confirm(self) -> None:
        """It has the newest layer in force.

        A refusal is settled by a candidate's weights, or a later revision: that the empty layer of the same revision,
        once the lease is over, is taken, mends nothing.
        """
        self.revision, self.waits_since = self.told, None
        is_later = self.refused is not None and (self.revision or 0) > self.refused.revision
        if self.has_candidate or is_later:
            self.refused = None

    def refuse(self, said: str, now: float) -> None:
        """It can't use the newest layer, and goes on with the one before, which ends with its lease."""
        revision = self.told or 0
        known = self.refused
        if known is None or (known.revision, known.said) != (revision, said):
            _LOGGER.error("envoy %s refuses the weights of %s: %s", self.node, self.app, said)
            self.refused = Problem(revision, now, said)
        self.refusals[self.app, self.node] += 1
        self.waits_since = None

    def problem(self, now: float) -> Problem | None:
        """What it doesn't do of what it was told; None where nothing is known against it."""
        if self.refused is not None or self.waits_since is None or now - self.waits_since < _SAID_NOTHING_SECONDS:
            return self.refused
        return Problem(self.told or 0, self.waits_since)


class Followers:
    """Every Envoy that was connected lately, as the ledger is told of it. Not thread-safe.

    Several connections of one name, as of Envoys with the same node id, count as one that does what all of them do.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._known: tuple[Follower, ...] = ()
        self._ids: dict[str, tuple[str, float]] = {}
        self.refusals: Counter[tuple[str, str]] = Counter()
        """How often each has refused, by app and name."""

    def meet(self, node: str, app: str) -> Follower:
        """An Envoy asks for an app's layer."""
        now = self._clock()
        follower = Follower(node, app, refusals=self.refusals)
        self._known = (*(one for one in self._known if now - one.gone_at < _REMEMBERED_SECONDS), follower)
        if node not in self._ids:
            name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
            self._ids[node] = (name, now)
        return follower

    def lose(self, follower: Follower) -> None:
        """Its connection is gone; within its lease it is back on stable."""
        follower.gone_at = self._clock()

    @property
    def present(self) -> tuple[Follower, ...]:
        """Connections by which an Envoy is being told a layer."""
        return tuple(one for one in self._known if one.is_there)

    def report(self, *, last: bool = False) -> None:
        """Tell the ledger what each follows. Raises SQLAlchemy's errors."""
        now = self._clock()
        for heartbeat in list(self._heartbeats(now, last=last)):
            write_batch(self._database, (), {}, heartbeat)
            if heartbeat.stopped_at is not None:
                self._forget(heartbeat.gateway_id)

    def _heartbeats(self, now: float, *, last: bool) -> Iterator[Heartbeat]:
        for node, (name, since) in list(self._ids.items()):
            layers = [one for one in self._known if one.node == node]
            present = [one for one in layers if one.is_there]
            over = last or (not present and all(now - one.gone_at > one.lease_seconds for one in layers))
            if not present and not over:
                continue  # it is silent, and may serve a candidate for as long as its lease lasts
            yield Heartbeat(
                name,
                f"envoy {node}",
                since,
                now,
                now,
                _revisions(present),
                stopped_at=now if over else None,
                kind=ROUTER,
                problems=_problems(present, now),
            )

    def _forget(self, name: str) -> None:
        gone = {node for node, (known, _) in self._ids.items() if known == name}
        self._known = tuple(one for one in self._known if one.node not in gone)
        self._ids = {node: known for node, known in self._ids.items() if node not in gone}


def _revisions(layers: Sequence[Follower]) -> dict[str, int]:
    """What connections of one name have confirmed, by app: what all of them have."""
    revisions: dict[str, int] = {}
    for one in layers:
        if one.told is not None:
            revisions[one.app] = min(one.revision or 0, revisions.get(one.app, one.revision or 0))
    return revisions


def _problems(layers: Sequence[Follower], now: float) -> dict[str, Problem]:
    """The worst of what is known against connections of one name, by app."""
    known = [(one.app, one.problem(now)) for one in layers]
    found = [(app, problem) for app, problem in known if problem is not None]
    return dict(sorted(found, key=lambda one: one[1].said != ""))  # a refusal is written over a silence
