"""Driving a release through its stages, with a scripted eval, scripted traffic, and a clock that is told the time."""

import pytest
from sqlmodel import select

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.release import State
from softlaunch.store.database import Database
from softlaunch.store.tables import (
    ApprovalRow,
    BreakerTripRow,
)
from tests.releases.driven import ALL, FIRST, HALF, SHADOW, WHOLE_WAY, aliases, incidents, was_asked
from tests.support.builders import APP, CANDIDATE, STABLE, Scene, make_policy, make_verdict, steps_of, told


def test_a_harmless_candidate_is_promoted_through_every_stage(database: Database) -> None:
    """Each stage is entered once and in order; at the end the candidate serves alone and the aliases have moved."""
    scene = Scene.opened(database)
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.PROMOTED, Outcome.PASS)
    assert steps_of(database, scene.release_id) == WHOLE_WAY
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest, route.weight_percent) == (CANDIDATE.digest, None, 0)
    assert aliases(database) == (CANDIDATE.digest, STABLE.digest)
    assert incidents(database) == []
    with database.read() as session:
        assert [stage.state for stage in read_stages(session, scene.release_id)] == ["passed"] * 5


def test_without_a_golden_set_a_release_begins_with_its_shadow(database: Database) -> None:
    """As one of embeddings does; everything behind it is as ever."""
    scene = Scene.opened(database, make_policy(eval={"golden_set": None}))
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.PROMOTED, Outcome.PASS)
    behind = [("shadowing", 0), ("canary", 1), ("canary", 2), ("canary", 3), ("promoted", 3)]
    assert steps_of(database, scene.release_id)[-5:] == behind


def test_gateways_are_told_the_split_of_each_stage(database: Database) -> None:
    """No candidate during the eval, copies in shadow, then the plan's weights, with the policy's lease."""
    scene = Scene.opened(database, make_policy(gateway={"lease": 4}))
    splits = []
    for position in range(5):
        scene.drive_to(position)
        route = scene.route()
        assert (route.stage, route.release_id, route.lease_seconds) == (position, scene.release_id, 4)
        assert route.stable_digest == STABLE.digest
        splits.append((route.candidate_digest, route.shadow_percent, route.weight_percent, route.control_percent))
    digest = CANDIDATE.digest
    assert splits == [(None, 0, 0, 0), (digest, 10, 0, 0), (digest, 0, 10, 0), (digest, 0, 50, 0), (digest, 0, 100, 5)]


def test_a_step_tells_which_stage_it_was_in(database: Database) -> None:
    """The first one only opens the release; every later one belongs to the stage in force when it began."""
    scene = Scene.opened(database)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    told = []
    for _ in range(3):
        scene.clock.go(3)
        progress = driver.advance(scene.release_id, token)
        told.append((progress.stage, progress.position, progress.next_position))
    assert told == [("opened", 0, 0), ("regression eval", 0, 0), ("regression eval", 0, SHADOW)]


def test_people_hear_of_each_stage_once(database: Database) -> None:
    """One notice a transition, written with it."""
    Scene.opened(database).drive_to_end()
    texts = told(database)
    assert len(texts) == 6
    assert "regression eval starts" in texts[0]
    assert texts[-1].endswith("promoted. every stage passed.")


def test_every_step_that_saw_something_beats(database: Database) -> None:
    """Gateways hear at each look that somebody watches."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    before = scene.route().beat
    for _ in range(3):
        scene.clock.go(1)
        driver.advance(scene.release_id, token)
    assert scene.route().beat == before + 3


def test_the_eval_is_given_what_was_frozen(database: Database) -> None:
    """Its golden set lies beside the policy file, and one order is worked on until the report comes."""
    scene = Scene.opened(database)
    scene.drive_to(SHADOW)
    orders = scene.evaluator.orders
    assert len(orders) == 2
    assert orders[0] == orders[1]
    assert (orders[0].run_id, orders[0].stable, orders[0].candidate) == (scene.release_id, STABLE, CANDIDATE)
    assert str(orders[0].golden_set) == "folder/golden.jsonl"


def test_an_eval_that_can_not_run_holds_until_it_is_mended(database: Database) -> None:
    """A person is asked with the reason; once the golden set is whole again the eval goes on by itself."""
    scene = Scene.opened(database)
    scene.evaluator.error = SoftlaunchError("golden.jsonl, line 3: no JSON")
    scene.drive_until(lambda _: was_asked(database))
    assert scene.release().state is State.EVALUATING
    assert any("golden.jsonl, line 3: no JSON. Continue?" in text for text in told(database))
    scene.evaluator.error = None
    assert scene.drive_to(SHADOW).state is State.SHADOWING


def test_a_failed_eval_rejects_the_release(database: Database) -> None:
    """No user saw anything: nobody is woken, stable serves as before, the reason is the gate's."""
    scene = Scene.opened(database)
    scene.evaluator.verdicts = (make_verdict(Outcome.FAIL, "accuracy"),)
    release = scene.drive_to_end()
    assert (release.state, release.reason) == (State.REJECTED, "accuracy: accuracy says fail")
    assert steps_of(database, scene.release_id)[-1] == ("rejected", 0)
    assert scene.route().stable_digest == STABLE.digest
    assert incidents(database) == []


def test_harm_in_shadow_rejects_the_release(database: Database) -> None:
    """Copies showed it before any user met it."""
    scene = Scene.opened(database)
    scene.telemetry.harms = {SHADOW: {"latency": 5.0}}
    release = scene.drive_to_end()
    assert (release.state, release.outcome, release.position) == (State.REJECTED, Outcome.FAIL, SHADOW)
    assert scene.route().candidate_digest is None
    assert incidents(database) == []


@pytest.mark.parametrize("position", [FIRST, HALF, ALL], ids=["at 10 %", "at 50 %", "at 100 %"])
def test_harm_in_the_canary_rolls_back(database: Database, position: int) -> None:
    """Stable serves alone at once, aliases stay where they were, and an incident names metric, evidence and runbook."""
    scene = Scene.opened(database)
    scene.telemetry.harms = {position: {"latency": 5.0}}
    release = scene.drive_to_end()
    assert (release.state, release.outcome, release.position) == (State.ROLLED_BACK, Outcome.FAIL, position)
    assert "latency: worse by" in release.reason
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest, route.weight_percent) == (STABLE.digest, None, 0)
    assert aliases(database) == (None, None)
    (incident,) = incidents(database)
    assert (incident.kind, incident.release_id) == ("gate_latency", scene.release_id)
    assert incident.evidence["harm"] == pytest.approx(4.0, rel=0.3)
    assert "Runbook: runbooks/gate_latency.md" in "".join(told(database))
    with database.read() as session:
        assert read_stages(session, scene.release_id)[position].state == "rolled_back"


def test_a_cost_that_grew_from_nothing_rolls_back(database: Database) -> None:
    """A change without bound is evidence that JSON has no number for; the end is written nevertheless."""
    scene = Scene.opened(
        database, make_policy(gates=[{"metric": "errors", "margin": "20 points"}, {"metric": "cost", "margin": "10 %"}])
    )
    scene.drive_to(HALF)
    scene.telemetry.stable_cost = 0.0
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.ROLLED_BACK, Outcome.FAIL)
    (incident,) = incidents(database)
    assert (incident.kind, incident.evidence["harm"]) == ("gate_cost", None)


def test_a_breaker_that_tripped_rolls_back(database: Database) -> None:
    """A gateway's own decision is made the release's."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    with database.begin() as session:
        session.add(
            BreakerTripRow(
                gateway_id="gateway-1",
                app=APP,
                release_id=scene.release_id,
                route_revision=4,
                reason="8 of 10 failed",
                tripped_at=1.0,
            )
        )
    release = scene.drive_to_end()
    assert (release.state, release.reason) == (State.ROLLED_BACK, "a gateway's breaker tripped: 8 of 10 failed")
    assert [incident.kind for incident in incidents(database)] == ["breaker_tripped"]


def test_a_question_of_a_stage_that_passed_is_withdrawn(database: Database) -> None:
    """Evidence came while a person was asked whether to go on without; the next stage leaves no button behind."""
    late = {"minimum_time": 5, "minimum_requests": 1, "deadline": 20, "at_deadline": "ask"}
    scene = Scene.opened(database, make_policy(stages=[{"weight_percent": 10, **late}, {"weight_percent": 100}]))
    scene.drive_to(FIRST)
    scene.telemetry.count = 0
    scene.drive_until(lambda _: was_asked(database))
    scene.telemetry.count = 400
    scene.drive_to(HALF)
    with database.read() as session:
        assert [(row.question, row.state) for row in session.exec(select(ApprovalRow))] == [("deadline", "withdrawn")]
