"""Releases of an app that no gateway of ours serves: a real Prometheus scrapes it, and its counters alone decide."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from sqlmodel import select

from softlaunch.core.clock import utc_now
from softlaunch.ledger.releases import Actor, Opening, open_release, read_release
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow
from softlaunch.wiring import build_driver
from tests.support.builders import APP, CANDIDATE, STABLE, record_app
from tests.support.prometheus import Prometheus, needs_prometheus, scraping

pytestmark = [
    *(needs_prometheus, pytest.mark.long, pytest.mark.timeout(400)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

_BOUNDS = tuple(0.1 * 1.25**place for place in range(25))
_SECONDS = 240.0


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@dataclass
class App:
    """An app that splits its own traffic by the ledger's route, and counts what became of it by arm.

    It has 400 requests a second. While the candidate serves everybody a twentieth stays on stable, as a hold-back.
    """

    database: Database
    errors: float = 0.02
    slower: float = 1.0
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """The counters."""
        self.total = Counter("app_requests", "Requests.", ["arm"], registry=self.registry)
        self.failed = Counter("app_failures", "Failures.", ["arm"], registry=self.registry)
        self.seconds = Histogram("app_seconds", "Time.", ["arm"], buckets=_BOUNDS, registry=self.registry)

    def serve(self) -> None:
        """Have users, until it is stopped."""
        rng = np.random.default_rng(3)
        while not self.stopped.wait(0.2):
            with self.database.read() as session:
                weight = session.exec(select(RouteRow.weight_percent).where(RouteRow.app == APP)).one()
            shares = {"candidate": weight / 100, "stable": 1 - weight / 100}
            if weight == 100:
                shares = {"candidate": 0.95, "control": 0.05}
            for arm, share in shares.items():
                self._answer(arm, int(rng.poisson(80 * share)), rng)

    def _answer(self, arm: str, count: int, rng: np.random.Generator) -> None:
        of_candidate = arm == "candidate"
        self.total.labels(arm).inc(count)
        self.failed.labels(arm).inc(int(rng.binomial(count, self.errors if of_candidate else 0.02)))
        for seconds in rng.lognormal(0, 0.5, count) * (self.slower if of_candidate else 1.0):
            self.seconds.labels(arm).observe(seconds)


@contextmanager
def running(app: App) -> Iterator[str]:
    """The app with its users; gives the address that serves its counters."""
    server = make_server("127.0.0.1", 0, make_wsgi_app(app.registry), handler_class=_Quiet)
    threads = [threading.Thread(target=server.serve_forever, daemon=True), threading.Thread(target=app.serve)]
    for thread in threads:
        thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        app.stopped.set()
        server.shutdown()
        for thread in threads:
            thread.join()


def policy(server: Prometheus) -> Policy:
    """A release in three steps whose gates read Prometheus and nothing else."""
    brief = {"minimum_requests": 50, "minimum_time": 8, "deadline": 200, "at_deadline": "roll_back", "margin_factor": 1}
    return Policy.model_validate(
        {
            "app": APP,
            "eval": {"golden_set": None},
            "shadow": None,
            "stages": [{"weight_percent": weight, **brief} for weight in (20, 50, 100)],
            "gates": [{"metric": "errors", "margin": "5 points"}, {"metric": "latency", "margin": "25 %"}],
            "sources": {
                "prometheus": {
                    "url": server.url,
                    "interval": 2,
                    "stale_after": 20,
                    "metrics": [
                        {"metric": "errors", "total": "app_requests_total", "bad": "app_failures_total"},
                        {"metric": "latency", "histogram": "app_seconds_bucket"},
                    ],
                }
            },
        }
    )


def drive(database: Database, server: Prometheus, kill_at: State | None = State.CANARY) -> tuple[Release, list[str]]:
    """Open a release and drive it to its end; Prometheus is killed in its first look at users, and comes back later."""
    with database.begin() as session:
        opening = Opening(APP, STABLE.digest, CANDIDATE.digest, policy(server), "folder/policy.yaml")
        release_id = open_release(session, opening, Actor("anna", "command line"), utc_now())
    driver, said, began = build_driver(database, "test"), [], time.monotonic()
    token = driver.acquire_lease(release_id)
    looks_without = 0
    while time.monotonic() - began < _SECONDS:
        step = driver.advance(release_id, token)
        said.append(step.message)
        if step.over:
            break
        if kill_at is step.state and step.requests.candidate:
            server.kill()
            kill_at = None
        looks_without += server.process is None
        if looks_without == 12:
            assert "can't be reached" in step.message
            assert not step.verdicts
            server.start()
            looks_without += 1
        time.sleep(0.25)
    with database.read() as session:
        return read_release(session, release_id), said


def test_a_fine_candidate_is_promoted(database: Database) -> None:
    """Prometheus dies in the first stage and comes back; the release holds meanwhile, and goes on to its end."""
    record_app(database)
    app = App(database)
    with running(app) as target, scraping(target) as server:
        time.sleep(15)  # stable has a past
        release, said = drive(database, server)
    assert release.state is State.PROMOTED, said[-1]
    assert any("can't be reached" in message for message in said)


@pytest.mark.parametrize(
    ("harm", "gate"),
    [
        pytest.param({"errors": 0.2}, "errors", id="more failures", marks=pytest.mark.soak),
        pytest.param({"slower": 2.0}, "latency", id="slower answers"),
    ],
)
def test_a_bad_candidate_is_rolled_back(database: Database, harm: dict[str, Any], gate: str) -> None:
    """Its harm is found although Prometheus was away when it began."""
    record_app(database)
    app = App(database, **harm)
    with running(app) as target, scraping(target) as server:
        time.sleep(15)
        release, said = drive(database, server)
    assert release.state is State.ROLLED_BACK, said[-1]
    assert gate in release.reason
