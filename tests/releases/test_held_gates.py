"""A driver that begins knows whom the stage has heard: it decides what the one before it would have decided."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softlaunch.gates.observations import Window
from softlaunch.gates.telemetry import HISTORY_ROWS, Reading, Scope, Telemetry, TelemetryError
from softlaunch.ledger.stages import keep_evidence, read_stages
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State
from softlaunch.releases.driver import Driver, Progress
from softlaunch.releases.held_gates import past_of
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, GatewayRow, RequestRow, ScoreRow
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, Scene, make_policy, request_row

_LONG = {"minimum_requests": 20, "minimum_time": 3600, "deadline": 7200, "margin_factor": 1}
HALF = 1
LOOKS = 60


def policy(*adjust_for: str, per: str = "request") -> Policy:
    """A canary at 50 % that is watched for an hour at least; its gate on latency may be adjusted, or per session."""
    return make_policy(
        shadow=None,
        stages=[{"weight_percent": weight, **_LONG} for weight in (50, 100)],
        gates=[
            {"metric": "errors", "margin": "20 points"},
            {"metric": "latency", "margin": "50 %", "adjust_for": adjust_for, "per": per},
            {"metric": "quality", "margin": "20 points"},
            {"metric": "satisfaction", "margin": "20 points", "per": per},
        ],
        session={"timeout": 6, "longest": 40},
    )


@dataclass
class Watched(Telemetry):
    """The request log, with a note of what was read again; with an error the reading breaks off after a piece."""

    log: RequestLogTelemetry
    again: list[tuple[float, float]] = field(default_factory=list)
    error: Exception | None = None

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """As the log has it."""
        return self.log.read(scope, after, now)

    def read_again(self, scope: Scope, after: float, until: float) -> Iterator[Window]:
        """As the log has it."""
        self.again.append((after, until))
        for window in self.log.read_again(scope, after, until):
            yield window
            if self.error is not None:
                raise self.error

    def history(self, app: str, stable_digest: str, before: float, rows: int = HISTORY_ROWS) -> Window:
        """As the log has it."""
        return self.log.history(app, stable_digest, before, rows)


@dataclass
class Crowd:
    """Sixty users who come back, half of them on the candidate, which is three times as slow from a moment on."""

    database: Database
    slow_from: float = np.inf
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))
    count: int = 0

    def act(self, since: float, until: float, position: int | None = HALF) -> None:
        """Ask, rate and be scored at about seven requests a second; the gateway has written all of it."""
        with self.database.begin() as session:
            for at in np.sort(self.rng.uniform(since, until, self.rng.poisson(7 * (until - since)))):
                session.add_all(self._request(float(at), position))
            session.merge(
                GatewayRow(
                    id="gateway-1", address="a", started_at=0, heard_at=until, complete_until=until, revisions={}
                )
            )

    def _request(self, at: float, position: int | None) -> list[RequestRow | FeedbackRow | ScoreRow]:
        self.count += 1
        unit = int(self.rng.integers(0, 60))
        of_candidate = position is not None and unit % 2 == 0
        latency = 800 * float(self.rng.lognormal(0, 0.4)) * (3.0 if of_candidate and at >= self.slow_from else 1.0)
        in_release = {"stage": position} if position is not None else {"release_id": None, "weight_percent": 0.0}
        name, later = f"{APP}-{self.count}", at + float(self.rng.exponential(20))
        rows: list[RequestRow | FeedbackRow | ScoreRow] = [
            request_row(
                request_id=name,
                arm="candidate" if of_candidate else "stable",
                unit=unit,
                started_at=at,
                latency_ms=latency,
                outcome="provider_failed" if self.rng.random() < 0.02 else "answered",
                request_size=100 + 37 * (self.count % 11) if self.count % 5 else None,
                streamed=self.count % 3 == 0,
                **in_release,
            )
        ]
        if self.rng.random() < 0.3:
            rows.append(FeedbackRow(request_id=name, app=APP, satisfaction=0.75, kind="stars", received_at=later))
        if self.rng.random() < 0.3:
            score = float(self.rng.uniform(0.5, 1))
            kind: dict[str, Any] = {"metric": "quality", "source": "judge", "received_at": later}
            rows.append(ScoreRow(request_id=name, app=APP, value=score, **kind))
        return rows


@dataclass
class World:
    """A release in its first canary stage, on a ledger of its own."""

    scene: Scene
    crowd: Crowd
    telemetry: Watched
    token: int

    @classmethod
    def at(
        cls,
        path: Path,
        migrated_file: Path,
        slow_after: float = np.inf,
        adjust_for: tuple[str, ...] = (),
        per: str = "request",
    ) -> "World":
        """Users have been coming for five minutes when the stage begins."""
        path.write_bytes(migrated_file.read_bytes())
        database = Database(f"sqlite:///{path}")
        telemetry = Watched(RequestLogTelemetry(database))
        parts: dict[str, Any] = {"telemetry": telemetry}
        scene = Scene.opened(database, policy(*adjust_for, per=per), **parts)
        crowd = Crowd(database)
        crowd.act(scene.clock().timestamp() - 300, scene.clock().timestamp(), None)
        scene.drive_to(HALF)
        crowd.slow_from = scene.clock().timestamp() + slow_after
        return cls(scene, crowd, telemetry, scene.driver().acquire_lease(scene.release_id))

    def step(self, driver: Driver, seconds: float = 3.0) -> Progress:
        """Let users act for some seconds, then look."""
        since = self.scene.clock().timestamp()
        self.scene.clock.go(seconds)
        self.crowd.act(since, self.scene.clock().timestamp())
        return driver.advance(self.scene.release_id, self.token)

    def evidence(self) -> Any:
        """What the ledger holds of the stage."""
        with self.scene.database.read() as session:
            return read_stages(session, self.scene.release_id)[HALF].evidence


Shift = Callable[[World, int], Driver]


def one_driver(world: World) -> Shift:
    """The same from the beginning to the end."""
    driver = world.scene.driver()
    return lambda world, look: driver


def always_another(world: World) -> Shift:
    """Each dies after one look."""
    return lambda world, look: world.scene.driver()


def two_by_turns(world: World) -> Shift:
    """What each held in memory is out of date when its turn comes."""
    drivers = world.scene.driver(), world.scene.driver()
    return lambda world, look: drivers[look // 3 % 2]


@pytest.mark.parametrize(
    ("shifts", "adjust_for", "per"),
    [
        pytest.param(always_another, (), "request", marks=pytest.mark.long),
        (two_by_turns, (), "request"),
        pytest.param(always_another, ("own_past",), "request", marks=pytest.mark.long),
        pytest.param(always_another, ("own_past", "request_size", "streamed"), "request", marks=pytest.mark.long),
        pytest.param(always_another, (), "session", marks=pytest.mark.long),
        pytest.param(two_by_turns, ("own_past", "request_size"), "session", marks=pytest.mark.long),
    ],
)
def test_a_restarted_driver_decides_what_one_that_never_stopped_decides(
    tmp_path: Path, migrated_file: Path, shifts: Callable[[World], Shift], adjust_for: tuple[str, ...], per: str
) -> None:
    """Every verdict and all evidence are the same to the last digit, up to the look that rolls back late harm."""
    steady = World.at(tmp_path / "steady.db", migrated_file, 90, adjust_for, per)
    changing = World.at(tmp_path / "changing.db", migrated_file, 90, adjust_for, per)
    stays, changes = one_driver(steady), shifts(changing)
    for look in range(LOOKS if per == "request" else LOOKS // 2):
        seconds = 25.0 if look % 10 == 9 else 3.0  # now and then a look comes late, and judges several windows
        one, other = (
            world.step(shift(world, look), seconds) for world, shift in ((steady, stays), (changing, changes))
        )
        assert other.verdicts == one.verdicts
        assert changing.evidence() == steady.evidence()
        assert other.state is one.state
        if one.over:
            break
    if per == "request":
        assert (one.state, "latency" in one.message) == (State.ROLLED_BACK, True)
    else:
        assert all(verdict.candidate_count for verdict in one.verdicts)
    assert look > 20
    assert steady.telemetry.again == []
    assert len(changing.telemetry.again) >= look // 3
    entered, _ = changing.telemetry.again[0]
    assert {after for after, _ in changing.telemetry.again} == {entered}


def test_the_past_is_from_before_the_release(tmp_path: Path, migrated_file: Path) -> None:
    """Two minutes before, so that nothing of it can still be on its way into the log; read only where it is wanted."""
    world = World.at(tmp_path / "ledger.db", migrated_file)
    opened = world.scene.release().opened_at.timestamp()
    adjusted = replace(world.scene.release(), policy=policy("own_past"))
    for _ in range(3):
        world.step(world.scene.driver())
    past = past_of(world.telemetry, adjusted)
    assert past is not None
    assert opened - 300 <= past.at.min() < past.at.max() < opened - 120
    assert past_of(world.telemetry, world.scene.release()) is None
    assert past_of(world.telemetry, replace(adjusted, position=HALF + 1)) is None


def test_a_long_stage_is_read_again_over_several_steps(tmp_path: Path, migrated_file: Path) -> None:
    """Meanwhile nothing is judged and nothing beats, so that gateways go back to stable; then the stage goes on."""
    world = World.at(tmp_path / "ledger.db", migrated_file)
    driver = world.scene.driver()
    for _ in range(5):
        world.step(driver)
    known = world.evidence()
    world.telemetry.log = replace(world.telemetry.log, piece_rows=10)
    another, told = world.scene.driver(), []
    for _ in range(20):
        beats = world.scene.route().beat
        told.append(world.step(another).message)
        if world.evidence() != known:
            break
        assert world.scene.route().beat == beats
    assert 3 <= len(told) <= 10
    assert all("reading the log of this stage again, up to 12:00:" in said for said in told[:-1])
    assert "reading" not in told[-1]
    assert len(world.telemetry.again) == 1


def test_what_is_held_of_a_release_goes_with_the_right_to_drive_it(tmp_path: Path, migrated_file: Path) -> None:
    """A process that drives many releases, one after the other, doesn't grow."""
    world = World.at(tmp_path / "ledger.db", migrated_file)
    driver = world.scene.driver()
    world.step(driver)
    driver.release_lease(world.scene.release_id, world.token)
    world.token = driver.acquire_lease(world.scene.release_id)
    world.step(driver)
    assert len(world.telemetry.again) == 1


def test_a_log_that_can_not_be_read_again_holds_the_stage(tmp_path: Path, migrated_file: Path) -> None:
    """The reading begins anew with the next step."""
    world = World.at(tmp_path / "ledger.db", migrated_file)
    world.step(world.scene.driver())
    known = world.evidence()
    another = world.scene.driver()
    world.telemetry.error = TelemetryError("the request log is on fire")
    for _ in range(2):
        assert "the request log is on fire" in world.step(another).message
        assert world.evidence() == known
    world.telemetry.error = None
    world.step(another)
    assert world.evidence()["until"] > known["until"]
    assert len(world.telemetry.again) == 3


def test_a_stage_from_before_users_were_heard_again_goes_on(tmp_path: Path, migrated_file: Path) -> None:
    """Its evidence has nothing of them; nothing is read again for it."""
    world = World.at(tmp_path / "ledger.db", migrated_file)
    world.step(world.scene.driver())
    with world.scene.database.begin() as session:
        held = world.evidence()
        panel = {key: held["panel"][key] for key in ("dropped", "split", "obstacles", "gates")}
        keep_evidence(session, world.scene.release_id, HALF, {**held, "panel": {**panel, "carried": {}}})
    for _ in range(2):
        progress = world.step(world.scene.driver())
    assert {verdict.gate for verdict in progress.verdicts} == {
        "errors",
        "unusable",
        "latency",
        "quality",
        "satisfaction",
    }
    assert world.telemetry.again == []
