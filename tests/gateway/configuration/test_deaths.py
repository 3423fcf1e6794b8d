"""Whenever watcher and servers die: how long an application that keeps to what it was told shows the candidate."""

import random
from dataclasses import dataclass, field

from softlaunch.gateway.configuration.evaluation import Asked, evaluate
from softlaunch.gateway.lease import Lease
from softlaunch.gateway.table import AppRoute
from softlaunch.policy.route import Route, Serving
from tests.support.builders import APP, CANDIDATE, STABLE

LEASE, BEAT, LOOK = 10.0, 1.0, 0.2
ROUTE = Route(APP, 2, STABLE, Serving("pepper"), CANDIDATE, 100.0, release_id=f"{APP}-1", stage=2, lease_seconds=LEASE)


@dataclass
class Installation:
    """A watcher, a server and an application, by one clock; each of the first two dies at its own instant."""

    rng: random.Random
    watcher_dies: float
    server_dies: float
    now: float = 0.0
    beat: int = 0
    beaten_at: float = 0.0
    shown_at: float = -1.0
    app_route: AppRoute = field(init=False)

    def __post_init__(self) -> None:
        """The server has just been started."""
        self.app_route = AppRoute(ROUTE, Lease(), lambda: self.now)

    def run(self) -> None:
        """Until long after everybody is dead."""
        look_at, beat_at, kept_until, is_candidate = 0.0, 0.0, 0.0, False
        while self.now < max(self.watcher_dies, self.server_dies) + 3 * LEASE:
            self.now += 0.05
            if self.now >= beat_at and self.now < self.watcher_dies:
                self.beat, self.beaten_at = self.beat + 1, self.now
                beat_at = self.now + BEAT * self.rng.uniform(0.8, 1.5)
            serves = self.now < self.server_dies
            if serves and self.now >= look_at:
                self.app_route.lease.look(self.beat, LEASE, self.now)
                look_at = self.now + LOOK * self.rng.uniform(0.8, 2.0)
            if serves and self.now >= kept_until:
                found = evaluate(self.app_route, Asked("ann", {}), "r", self.now, 60.0)
                is_candidate = found.choice.arm == "candidate"
                asked_at = self.now - self.rng.uniform(0.0, 2.0)  # the answer took that long, and what is kept counts
                kept_until = max(self.now + 0.05, asked_at + found.keep_seconds)
                is_candidate = is_candidate and asked_at + found.keep_seconds > self.now
            if is_candidate and self.now < kept_until:
                self.shown_at = self.now


def test_the_candidate_is_gone_within_the_lease_of_the_last_beat() -> None:
    """At 200 instants of two deaths each, whatever was kept: by the lease and the time between two looks."""
    rng, longest = random.Random(19), 0.0
    for _ in range(200):
        world = Installation(rng, rng.uniform(0.5, 20.0), rng.uniform(2.0, 40.0))
        world.run()
        longest = max(longest, world.shown_at - world.beaten_at)
    assert LEASE / 2 < longest <= LEASE + 2 * LOOK + 0.1
