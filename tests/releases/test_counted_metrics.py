"""A release whose errors are in the request log, and whose latency another source counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.releases.driver import Driver, Strategies
from softlaunch.releases.observe import ReleaseStrategy
from softlaunch.store.database import Database
from softlaunch.telemetry.sources.counts import Buckets, Piece
from softlaunch.telemetry.sources.source import Counted, CountSource
from softlaunch.telemetry.sources.watch import CountWatch
from tests.support.builders import Scene, ScriptedTelemetry, make_policy

PROMETHEUS = {
    "url": "http://prometheus:9090",
    "interval": 3,
    "group": 1,
    "metrics": [{"metric": "latency", "histogram": "seconds_bucket"}],
}
BOUNDS = np.geomspace(100, 20_000, 24)


@dataclass
class FakeSource(CountSource):
    """Latencies of 300 requests in each three seconds, of both arms alike; the candidate takes `slower` times as long.

    `problem` and `error` are what a reading ends in.
    """

    metrics: tuple[Metric, ...] = (Metric.LATENCY,)
    group: int = 1
    slower: float = 1.0
    problem: str = ""
    error: TelemetryError | None = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def read(self, metric: Metric, arms: ByArm[str], since: float, after: float, now: float) -> Counted:
        """Whole pieces of three seconds."""
        if self.error is not None:
            raise self.error
        until = np.floor(now / 3) * 3
        if self.problem or until <= after:
            return Counted(after, problem=self.problem)
        ends = np.arange(np.floor(after / 3) * 3 + 3, until + 1, 3)
        pieces = tuple(Piece(float(end), ByArm(self._latencies(self.slower), self._latencies(1.0))) for end in ends)
        return Counted(float(until), Buckets.of_bounds([*BOUNDS, np.inf]), pieces)

    def _latencies(self, factor: float) -> Any:
        values = 800 * factor * self.rng.lognormal(0, 0.5, 150)
        return np.histogram(values, [0, *BOUNDS, np.inf])[0]


def policy(**changes: Any) -> Policy:
    """Errors from the log, latency from Prometheus."""
    return make_policy(**{"shadow": None, "sources": {"prometheus": PROMETHEUS}, **changes})


def drive(database: Database, source: FakeSource, telemetry: ScriptedTelemetry, **changes: Any) -> tuple[Scene, Driver]:
    """A scene, and a driver with both sources."""
    scene = Scene.opened(database, policy(**changes), telemetry=telemetry)
    releases = ReleaseStrategy(scene.telemetry, scene.evaluator, counted=CountWatch(lambda _: source))
    return scene, Driver(database, Strategies(releases), "driver one", scene.clock)


def ended(scene: Scene, driver: Driver) -> Release:
    """The release at its end."""
    return scene.drive_until(lambda release: not release.state.live, driver)


def test_both_sources_gate_one_release(database: Database) -> None:
    """A candidate that neither source speaks against is promoted."""
    assert ended(*drive(database, FakeSource(), ScriptedTelemetry())).state is State.PROMOTED


@pytest.mark.parametrize(
    ("slower", "harms", "gate"),
    [
        pytest.param(2.0, {}, "latency", id="what another source counts"),
        pytest.param(1.0, {1: {"errors": 0.5}}, "errors", id="what the log holds"),
    ],
)
def test_harm_of_either_source_rolls_back(
    database: Database, slower: float, harms: Mapping[int, Mapping[str, float]], gate: str
) -> None:
    """Harm in one metric is enough, wherever it comes from."""
    release = ended(*drive(database, FakeSource(slower=slower), ScriptedTelemetry(dict(harms))))
    assert release.state is State.ROLLED_BACK
    assert gate in release.reason


def test_a_source_that_is_away_costs_its_own_gates_their_passes_alone(database: Database) -> None:
    """The gate on its metric is an error that says why; what the log holds still rolls back."""
    away = FakeSource(error=TelemetryError("Prometheus can't be reached"))
    scene, driver = drive(database, away, ScriptedTelemetry())
    scene.drive_until(lambda release: release.position == 1 and release.state is State.CANARY, driver)
    token = driver.acquire_lease(scene.release_id)
    for _ in range(20):
        scene.clock.go(3)
        step = driver.advance(scene.release_id, token)
    verdicts = {verdict.gate: verdict for verdict in step.verdicts}
    assert verdicts["errors"].outcome is Outcome.PASS
    assert (verdicts["latency"].outcome, verdicts["latency"].reason) == (Outcome.ERROR, "Prometheus can't be reached")
    assert step.state is State.CANARY
    driver.release_lease(scene.release_id, token)
    scene.telemetry.harms[1] = {"errors": 0.5}
    assert ended(scene, driver).state is State.ROLLED_BACK


def test_a_source_that_comes_back_is_read_from_where_it_was(database: Database) -> None:
    """Nothing is lost by an absence: the release goes on to its end."""
    source = FakeSource(error=TelemetryError("Prometheus can't be reached"))
    scene, driver = drive(database, source, ScriptedTelemetry())
    scene.drive_until(lambda release: release.position == 1 and release.state is State.CANARY, driver)
    source.error = None
    assert ended(scene, driver).state is State.PROMOTED


def test_without_a_log_a_source_that_is_away_is_no_data(database: Database) -> None:
    """Where all metrics come from it nobody watches: there are no verdicts, and gateways get no beat."""
    source = FakeSource()
    gates = [{"metric": "latency", "margin": "50 %"}]
    scene, driver = drive(database, source, ScriptedTelemetry(), gates=gates, eval={"golden_set": None})
    scene.drive_until(lambda release: release.position == 0 and release.state is State.CANARY, driver)
    beat = scene.route().beat
    source.error = TelemetryError("Prometheus can't be reached")
    token = driver.acquire_lease(scene.release_id)
    scene.clock.go(3)
    step = driver.advance(scene.release_id, token)
    assert "Prometheus can't be reached" in step.message
    assert not step.verdicts
    assert scene.route().beat == beat


@pytest.mark.parametrize(
    ("slower", "state"),
    [pytest.param(1.0, State.PROMOTED, id="fine"), pytest.param(2.0, State.ROLLED_BACK, id="worse")],
)
def test_a_metric_of_the_apps_own_is_counted_elsewhere(database: Database, slower: float, state: State) -> None:
    """Queue time, which no gateway sees, is judged at every stage, the last one included."""
    declared = {"metrics": [{"metric": "queue_time", "histogram": "queue_bucket"}]}
    changes: dict[str, Any] = {
        "metrics": [{"name": "queue_time", "kind": "duration", "better": "down"}],
        "sources": {"prometheus": {**PROMETHEUS, **declared}},
        "gates": [{"metric": "errors", "margin": "20 points"}, {"metric": "queue_time", "margin": "50 %"}],
    }
    own = make_policy(**changes).gates[1].metric
    scene, driver = drive(database, FakeSource((own,), slower=slower), ScriptedTelemetry(), **changes)
    release = ended(scene, driver)
    assert release.state is state
    assert ("queue_time" in release.reason) == (state is State.ROLLED_BACK)
