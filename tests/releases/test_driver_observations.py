"""What a driver does with what it sees, and while it sees nothing."""

from typing import Any

import pytest

from softlaunch.core.verdict import Outcome
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.ledger.stages import read_stages, read_verdicts
from softlaunch.policy.release import State
from softlaunch.store.database import Database
from tests.releases.driven import BRIEF, FIRST, HALF, look, stage_of
from tests.support.builders import STABLE, Scene, make_policy


@pytest.mark.parametrize(
    "blinded",
    [
        pytest.param({"error": TelemetryError("the request log can't be read: OperationalError")}, id="an error"),
        pytest.param({"problem": "no gateway has been heard for 5 s"}, id="nobody to hear"),
    ],
)
def test_while_nothing_can_be_seen_a_stage_holds_without_beating(database: Database, blinded: dict[str, Any]) -> None:
    """Evidence stays as it was, gateways return to stable by themselves, and the reason is said; later it goes on."""
    scene = Scene.opened(database)
    scene.drive_to(HALF)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    driver.advance(scene.release_id, token)
    with database.read() as session:
        before = read_stages(session, scene.release_id)[HALF].evidence
    beat = scene.route().beat
    for name, value in blinded.items():
        setattr(scene.telemetry, name, value)
    for _ in range(3):
        scene.clock.go(30)
        driver.release_lease(scene.release_id, token)
        token = driver.acquire_lease(scene.release_id)
        progress = driver.advance(scene.release_id, token)
    assert (progress.state, progress.position, progress.verdicts) == (State.CANARY, HALF, ())
    assert str(*blinded.values()) in progress.message
    assert scene.route().beat == beat
    with database.read() as session:
        assert read_stages(session, scene.release_id)[HALF].evidence == before
    scene.telemetry.error = scene.telemetry.problem = None
    driver.release_lease(scene.release_id, token)
    assert scene.drive_to_end().state is State.PROMOTED


def outcomes(scene: Scene, position: int) -> set[Outcome]:
    """The outcomes of a stage's gates, as they were kept last."""
    with scene.database.read() as session:
        return {verdict.outcome for verdict in read_verdicts(session, scene.release_id, position).values()}


def test_a_log_that_lost_requests_holds_the_stage_whoever_drives_it(database: Database) -> None:
    """What two looks lost isn't forgotten by the looks that lose nothing, nor by the next driver; users are asked."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    scene.telemetry.dropped = 30
    look(scene, 2)
    scene.telemetry.dropped = 0
    look(scene, 3)
    look(scene, 1, holder="driver two")
    release = scene.release()
    assert (release.state, release.position) == (State.CANARY, FIRST)
    assert outcomes(scene, FIRST) == {Outcome.ERROR}
    with database.read() as session:
        (reason,) = {verdict.reason for verdict in read_verdicts(session, scene.release_id, FIRST).values()}
    assert "the request log lost " in reason
    assert stage_of(scene).evidence["panel"]["dropped"] == 60


def test_what_a_gateway_takes_back_holds_nothing_up(database: Database) -> None:
    """It was only late. More than was lost in this stage is no credit for what is lost next."""
    stages = [{"weight_percent": 10, **BRIEF, "minimum_time": 60}, {"weight_percent": 100, **BRIEF}]
    scene = Scene.opened(database, make_policy(stages=stages))
    scene.drive_to(FIRST)
    seen = []
    for dropped in (200, -300, 50):
        scene.telemetry.dropped = dropped
        look(scene, 1)
        seen.append(outcomes(scene, FIRST))
    assert seen == [{Outcome.ERROR}, {Outcome.PASS}, {Outcome.ERROR}]


def test_what_is_usual_is_learnt_from_stable(database: Database) -> None:
    """At every stage and for every kind of gate; what the candidate answered elsewhere is no measure of stable."""
    gates = [
        {"metric": "errors", "margin": "20 points"},
        {"metric": "latency", "margin": "50 %", "adjust_for": ["request_size"]},
        {"metric": "cost", "margin": "50 %", "per": "session"},
    ]
    scene = Scene.opened(database, make_policy(gates=gates, session={"timeout": 6, "longest": 40}))
    scene.drive_to(FIRST)
    look(scene, 1)
    assert len(scene.telemetry.remembered) >= 4
    assert set(scene.telemetry.remembered) == {STABLE.digest}
