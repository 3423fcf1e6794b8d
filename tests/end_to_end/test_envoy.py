"""Releases through a real Envoy, whose gates read a real Prometheus and Envoy's own access log."""

import asyncio
import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from softlaunch.core.clock import utc_now
from softlaunch.inbound.envoy.names import cluster_name
from softlaunch.ledger.releases import Actor, Opening, open_release, read_release
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from softlaunch.wiring import build_driver
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.envoy import (
    Deployment,
    Routed,
    deployed,
    envoy_of,
    needs_envoy,
    record_routed,
    routed_policy,
    seconds_until,
)
from tests.support.prometheus import Prometheus, needs_prometheus

pytestmark = [
    *(needs_envoy, needs_prometheus, pytest.mark.long, pytest.mark.timeout(400)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
_SECONDS = 240.0
_LEASE_SECONDS = 3.0


def policy(stable: Deployment, candidate: Deployment, server: Prometheus) -> Policy:
    """A release in two steps: latency by Envoy's histograms, errors by its access log."""
    brief = {"minimum_requests": 50, "minimum_time": 3, "deadline": 200, "at_deadline": "roll_back", "margin_factor": 1}
    return routed_policy(
        stable.url,
        candidate.url,
        eval={"golden_set": None},
        stages=[{"weight_percent": weight, **brief} for weight in (50, 100)],
        control_percent=50,
        gates=[{"metric": "errors", "margin": "15 points"}, {"metric": "latency", "margin": "100 %"}],
        gateway={"lease": _LEASE_SECONDS},
        sources={
            "access_log": {"hold": 1, "late": 2},
            "prometheus": {
                "url": server.url,
                "interval": 2,
                "stale_after": 20,
                "group": 1,
                "arm_label": "envoy_cluster_name",
                "arms": {str(arm): cluster_name(APP, arm) for arm in Arm},
                "metrics": [
                    {"metric": "latency", "histogram": "envoy_cluster_upstream_rq_time_bucket", "factor": 1},
                ],
            },
        },
    )


@dataclass
class Users:
    """A hundred users who ask all the time, and what became of it."""

    url: str
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Ask until it is stopped."""
        asyncio.run(self._ask())

    async def _ask(self) -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            await asyncio.gather(*(self._one(client, random.Random(number)) for number in range(12)))

    async def _one(self, client: httpx.AsyncClient, rng: random.Random) -> None:
        while not self.stopped.is_set():
            answer = await client.get(self.url, headers={"x-user-id": f"user-{rng.randrange(2000)}"})
            self.answers[answer.text] += 1
            if answer.status_code != 200:
                self.failures.append(answer.text)
            await asyncio.sleep(rng.uniform(0, 0.06))


@contextmanager
def playing(database: Database, folder: Path, slower: float = 1.0) -> Iterator[tuple[Routed, Users, Policy]]:
    """An app with users behind an Envoy that Prometheus scrapes."""
    stable, candidate = Deployment("stable", 0.03), Deployment("candidate", 0.03 * slower)
    (folder / "prometheus").mkdir()
    server = Prometheus(folder / "prometheus", path="/stats/prometheus")
    known = policy(stable, candidate, server)
    record_routed(database, known)
    with deployed(stable, candidate), envoy_of(database, folder, known, (stable, candidate)) as routed:
        server.targets = [routed.admin.removeprefix("http://")]
        server.start()
        users = Users(routed.url)
        asking = threading.Thread(target=users.ask)
        asking.start()
        try:
            yield routed, users, known
        finally:
            users.stopped.set()
            asking.join()
            server.kill()


def opened(database: Database, known: Policy) -> str:
    """A release of the candidate."""
    with database.begin() as session:
        opening = Opening(APP, STABLE.digest, CANDIDATE.digest, known, "folder/policy.yaml")
        return open_release(session, opening, Actor("anna", "command line"), utc_now())


def drive(url: str, release_id: str) -> tuple[Release, list[str]]:
    """Drive a release to its end."""
    database = Database(url)
    driver, said, began = build_driver(database, "test"), [], time.monotonic()
    token = driver.acquire_lease(release_id)
    while time.monotonic() - began < _SECONDS:
        step = driver.advance(release_id, token)
        said.append(step.message)
        if step.over:
            break
        time.sleep(0.25)
    with database.read() as session:
        return read_release(session, release_id), said


@pytest.mark.parametrize(
    ("slower", "state", "gate"),
    [
        pytest.param(1.0, State.PROMOTED, "", id="fine"),
        pytest.param(4.0, State.ROLLED_BACK, "latency", id="slower answers"),
    ],
)
def test_envoy_and_prometheus_decide_a_release(
    database: Database, tmp_path: Path, slower: float, state: State, gate: str
) -> None:
    """A fine candidate goes the whole way, a slow one is taken back, and every user is answered."""
    with playing(database, tmp_path, slower) as (routed, users, known):
        time.sleep(15)  # stable has a past
        release, said = drive(database.url.render_as_string(hide_password=False), opened(database, known))
        if state is State.ROLLED_BACK:
            seconds_until(lambda: routed.candidates() == 0)
    assert release.state is state, said[-1]
    assert gate in release.reason
    assert users.answers["candidate"] > 50
    assert users.failures == []


def test_killing_everything_of_ours_leaves_stable(database: Database, tmp_path: Path) -> None:
    """Driver and control plane die by SIGKILL in a canary: within the lease Envoy serves stable alone, to everybody."""
    url = database.url.render_as_string(hide_password=False)
    with playing(database, tmp_path) as (routed, users, known):
        driving: Any = multiprocessing.get_context("spawn").Process(target=drive, args=(url, opened(database, known)))
        driving.start()
        try:
            seconds_until(lambda: users.answers["candidate"] > 20, 120)
        finally:
            driving.kill()
        routed.control.kill()
        time.sleep(_LEASE_SECONDS + 0.5)
        before = users.answers["candidate"], users.answers["stable"]
        time.sleep(1.5)
        after = users.answers["candidate"], users.answers["stable"]
    assert after[0] == before[0]
    assert after[1] > before[1]
    assert users.failures == []
