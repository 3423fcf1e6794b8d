"""What a stage waits for: requests, a person's answer, its deadline."""

from datetime import timedelta

import pytest

from softlaunch.approvals.deciding import Decision, apply_decision
from softlaunch.approvals.rules import Person
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.release import State
from softlaunch.releases.driver import DRIVER_TTL
from softlaunch.store.database import Database
from tests.releases.driven import BRIEF, FIRST, HALF, look, stage_of, was_asked
from tests.support.builders import APP, NOON, Scene, make_policy, told

WITH_APPROVAL = [{"weight_percent": 50, **BRIEF}, {"weight_percent": 100, "approval": True, **BRIEF}]


@pytest.mark.parametrize("weight", [10, 90], ids=["the candidate's", "stable's"])
def test_a_stage_waits_for_requests_of_the_smaller_arm(database: Database, weight: int) -> None:
    """Each arm is counted by what fell on it, over all looks."""
    brief = {**BRIEF, "minimum_requests": 110}
    scene = Scene.opened(database, make_policy(stages=[{"weight_percent": weight, **brief}, {"weight_percent": 100}]))
    scene.drive_to(FIRST)
    look(scene, 2)
    held = stage_of(scene)
    scene.drive_to(HALF)
    with database.read() as session:
        ended = read_stages(session, scene.release_id)[FIRST]
    assert held.state == "running"
    assert 60 < min(held.evidence["requests"]) < 110
    assert 110 <= min(ended.evidence["requests"]) < 170
    assert sum(ended.evidence["requests"]) >= 3 * scene.telemetry.count


def test_without_traffic_a_stage_holds_until_its_deadline_and_then_rolls_back(database: Database) -> None:
    """No data passes nothing."""
    brief = {"minimum_time": 5, "minimum_requests": 1, "deadline": 60, "at_deadline": "roll_back"}
    scene = Scene.opened(database, make_policy(stages=[{"weight_percent": 100, **brief}]))
    scene.drive_to(FIRST)
    scene.telemetry.count = 0
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.ROLLED_BACK, Outcome.INCONCLUSIVE)
    assert "no data from candidate and stable" in release.reason
    assert scene.clock.now - NOON >= timedelta(seconds=60)


def test_a_question_is_put_once_and_an_approval_moves_on(database: Database) -> None:
    """While it waits the stage is still watched."""
    scene = Scene.opened(database, make_policy(stages=WITH_APPROVAL))
    scene.drive_to(FIRST)
    scene.drive_until(lambda _: was_asked(database))
    beat = scene.route().beat
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    for _ in range(5):
        scene.clock.go(1)
        progress = driver.advance(scene.release_id, token)
        assert (progress.position, progress.changed) == (FIRST, False)
        assert "waits for a person" in progress.message
    assert scene.route().beat == beat + 5
    with database.begin() as session:
        apply_decision(session, Decision(APP, ApprovalChoice.APPROVE, Person("ben", "test")), scene.clock.now)
    driver.release_lease(scene.release_id, token)
    assert scene.drive_to_end().state is State.PROMOTED
    assert sum(text.startswith(APP) and "Start canary 100 %?" in text for text in told(database)) == 1


def test_harm_beats_a_question_that_waits(database: Database) -> None:
    """Whatever a person might still say."""
    scene = Scene.opened(database, make_policy(stages=WITH_APPROVAL))
    scene.drive_to(FIRST)
    scene.drive_until(lambda _: was_asked(database))
    scene.telemetry.harms = {FIRST: {"errors": 0.9}}
    assert scene.drive_to_end().state is State.ROLLED_BACK


def test_a_question_that_nobody_answers_rolls_back(database: Database) -> None:
    """Silence is no approval."""
    scene = Scene.opened(database, make_policy(stages=WITH_APPROVAL, approval={"timeout": 30}))
    release = scene.drive_to_end()
    assert (release.state, release.position) == (State.ROLLED_BACK, FIRST)
    assert release.reason.startswith("nobody answered in time")


def test_a_deadline_is_extended_where_the_policy_says_so(database: Database) -> None:
    """The stage goes on, and people hear of it."""
    brief = {"minimum_time": 5, "minimum_requests": 1, "deadline": 20, "at_deadline": "extend"}
    scene = Scene.opened(database, make_policy(stages=[{"weight_percent": 100, **brief}]), step_seconds=2)
    scene.drive_to(FIRST)
    scene.telemetry.count = 0
    entered = scene.clock.now
    scene.drive_until(lambda _: scene.clock.now >= entered + timedelta(seconds=50))
    with database.read() as session:
        deadline = read_stages(session, scene.release_id)[FIRST].deadline_at
    assert deadline == entered + timedelta(seconds=60)
    assert sum("extended to" in text for text in told(database)) == 2
    scene.telemetry.count = 400
    assert scene.drive_to_end().state is State.PROMOTED


def test_a_deadline_in_requests_is_extended_by_as_many(database: Database) -> None:
    """Long before the time is up; the ledger keeps the number that counts now, and people hear of it."""
    brief = {"minimum_time": "1 h", "minimum_requests": 1, "deadline": "1 d", "at_deadline": "extend"}
    stages = [{"weight_percent": 50, "deadline_requests": 500, **brief}, {"weight_percent": 100}]
    scene = Scene.opened(database, make_policy(stages=stages))
    scene.drive_to(FIRST)
    scene.drive_until(lambda _: sum("extended to" in text for text in told(database)) == 2)
    row = stage_of(scene)
    requests = row.evidence["requests"][0]
    assert row.deadline_requests is not None
    assert 1000 < requests <= row.deadline_requests < requests + 501
    assert "at the deadline of 500 candidate requests (all gates pass; " in "".join(told(database))


@pytest.mark.parametrize(
    ("jump", "counted"),
    [
        pytest.param(3600.0, DRIVER_TTL.total_seconds(), id="nobody drove for an hour, or the clock was set forward"),
        pytest.param(-3600.0, 0.0, id="the clock was set back by an hour"),
        pytest.param(4.0, 4.0, id="an ordinary pause"),
    ],
)
def test_a_stage_counts_only_time_in_which_it_is_looked_at(database: Database, jump: float, counted: float) -> None:
    """Its deadline moves by the rest, and its minimum time is neither shortened nor lengthened."""
    scene = Scene.opened(database, make_policy(stages=[{"weight_percent": 100, **BRIEF, "minimum_time": 300}]))
    scene.drive_to(FIRST)
    deadline = stage_of(scene).deadline_at
    assert deadline is not None
    scene.clock.go(jump)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id) if jump >= 0 else scene.release().driver_token
    driver.advance(scene.release_id, token)
    stage = stage_of(scene)
    assert stage.skipped_seconds == pytest.approx(jump - counted)
    assert stage.deadline_at == deadline + timedelta(seconds=jump - counted)


def test_an_hour_without_a_driver_is_no_deadline(database: Database) -> None:
    """A stage that was given ten minutes has them still when the machine comes back; traffic decides it then."""
    brief = {**BRIEF, "at_deadline": "roll_back"}
    scene = Scene.opened(database, make_policy(stages=[{"weight_percent": 100, **brief}]))
    scene.drive_to(FIRST)
    scene.clock.go(3600)
    assert scene.drive_to_end().state is State.PROMOTED
