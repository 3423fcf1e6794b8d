"""A release whose requests are in a view of another database, and in no log of ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, create_engine, text

from softlaunch.policy.release import Release, State
from softlaunch.releases.driver import Driver, Strategies
from softlaunch.releases.observe import ReleaseStrategy
from softlaunch.store.database import Database
from softlaunch.wiring import open_log
from tests.support.builders import APP, NOON, Scene, ScriptedTelemetry, make_policy

_TABLE = """CREATE TABLE shop_requests (app VARCHAR(40), request_id VARCHAR(40), started_at DOUBLE PRECISION,
arm VARCHAR(20), unit VARCHAR(40), outcome VARCHAR(40), latency_ms DOUBLE PRECISION, cost_usd DOUBLE PRECISION,
quality DOUBLE PRECISION)"""
_VIEW = "CREATE VIEW softlaunch_requests AS SELECT * FROM shop_requests"
_ROW = "INSERT INTO shop_requests VALUES (:app, :id, :at, :arm, :unit, :outcome, :latency, :cost, :quality)"


@dataclass
class Shop:
    """An app that writes a row for each of 300 requests in three seconds, split by the route; users come back.

    `late` rows appear 20 s after their request. The candidate's `quality` is a mean.
    """

    scene: Scene
    warehouse: Engine
    quality: float = 0.85
    written: float = NOON.timestamp() - 60
    number: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))

    def write(self) -> None:
        """The rows of all requests up to twenty seconds ago."""
        until = self.scene.clock.now.timestamp() - 20
        weight = self.scene.route().weight_percent
        rows = []
        while self.written + 0.01 <= until:
            self.written += 0.01
            rows += self._rows(self.written, weight)
        with self.warehouse.begin() as connection:
            connection.execute(text(_ROW), rows)

    def _rows(self, at: float, weight: float) -> list[dict[str, Any]]:
        self.number += 1
        user = int(self.rng.integers(0, 40_000))
        is_candidate = (user * 7919 % 10_000) / 100 < weight
        arms = ["candidate" if is_candidate else "stable", *(["control"] if weight == 100 else [])]
        return [
            {
                "app": APP,
                "id": f"{self.number}",
                "at": at,
                "arm": arm,
                "unit": f"user-{user}",
                "outcome": "answered",
                "latency": 800 * self.rng.lognormal(0, 0.4),
                "cost": 1e-5,
                "quality": float(np.clip(self.rng.normal(self._mean(arm), 0.1), 0, 1)),
            }
            for arm in arms
        ]

    def _mean(self, arm: str) -> float:
        return self.quality if arm == "candidate" else 0.85


@contextmanager
def rows_in(warehouse: Engine) -> Iterator[None]:
    """The app keeps its rows there."""
    with warehouse.begin() as connection:
        connection.execute(text(_TABLE))
        connection.execute(text(_VIEW))
    yield
    with warehouse.begin() as connection:
        connection.execute(text("DROP VIEW IF EXISTS softlaunch_requests"))
        connection.execute(text("DROP TABLE shop_requests"))


def drive(shop: Shop, driver: Driver, *, away: tuple[int, int]) -> tuple[Release, list[str]]:
    """Step to the end; the view is away for some steps."""
    scene, said = shop.scene, []
    token = driver.acquire_lease(scene.release_id)
    for step in range(200):
        scene.clock.go(3)
        shop.write()
        with shop.warehouse.begin() as connection:
            for moment, command in zip(away, ("DROP VIEW softlaunch_requests", _VIEW), strict=True):
                if step == moment:
                    connection.execute(text(command))
        done = driver.advance(scene.release_id, token)
        said.append(done.message)
        if done.over:
            break
    return scene.release(), said


_QUALITIES = pytest.mark.parametrize(
    ("quality", "state"),
    [
        pytest.param(0.85, State.PROMOTED, id="as good", marks=pytest.mark.long),
        pytest.param(0.7, State.ROLLED_BACK, id="worse answers"),
    ],
)


@_QUALITIES
def test_a_view_alone_decides_a_release(
    database: Database, monkeypatch: pytest.MonkeyPatch, quality: float, state: State
) -> None:
    """Errors, latency and scores come from it; while it is away the stage holds, and nothing is lost."""
    monkeypatch.setenv("SHOP_URL", database.url.render_as_string(hide_password=False))
    decide(database, database.engine, quality, state)


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@_QUALITIES
def test_a_view_of_duckdb_decides_a_release(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quality: float, state: State
) -> None:
    """Another database than the ledger's, by nothing but its address."""
    monkeypatch.setenv("SHOP_URL", f"duckdb:///{tmp_path / 'shop.duckdb'}")
    warehouse = create_engine(os.environ["SHOP_URL"])
    decide(database, warehouse, quality, state)
    warehouse.dispose()


def decide(database: Database, warehouse: Engine, quality: float, state: State) -> None:
    """A release whose gates read the view of a warehouse."""
    gates = [
        *({"metric": "errors", "margin": "5 points"}, {"metric": "latency", "margin": "30 %"}),
        {"metric": "quality", "margin": "5 points"},
    ]
    policy = make_policy(shadow=None, gates=gates, sources={"sql": {"url_env": "SHOP_URL"}})
    scene = Scene.opened(database, policy, telemetry=ScriptedTelemetry(error=AssertionError("the log was read")))
    releases = ReleaseStrategy(scene.telemetry, scene.evaluator, open_log=partial(open_log, database))
    driver = Driver(database, Strategies(releases), "driver one", scene.clock)
    with rows_in(warehouse):
        release, said = drive(Shop(scene, warehouse, quality), driver, away=(12, 16))
    assert release.state is state, said[-1]
    assert any("softlaunch_requests can't be read" in message for message in said)
    if state is State.ROLLED_BACK:
        assert "quality" in release.reason
