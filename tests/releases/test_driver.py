"""Driving a release through its stages, with a scripted eval, scripted traffic, and a clock that is told the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import col, select

from softlaunch.approvals.deciding import Reply, answer
from softlaunch.approvals.rules import Person
from softlaunch.catalog.aliases import PREVIOUS, PRODUCTION, read_alias
from softlaunch.core.approvals import Answer
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.verdict import Outcome
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.ledger.releases import FencedError
from softlaunch.ledger.stages import read_stages, read_verdicts
from softlaunch.policy.release import State
from softlaunch.releases.driver import DRIVER_TTL
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from softlaunch.store.tables import (
    ApprovalRow,
    BreakerTripRow,
    IncidentRow,
    NoticeRow,
    ReleaseRow,
    RouteRow,
    StageRow,
    TransitionRow,
    VerdictRow,
)
from tests.support.builders import ANNA, APP, CANDIDATE, NOON, STABLE, Scene, make_policy, make_verdict, steps_of, told

WHOLE_WAY = [
    ("pending", 0),
    ("evaluating", 0),
    ("shadowing", 1),
    ("canary", 2),
    ("canary", 3),
    ("canary", 4),
    ("promoted", 4),
]
SHADOW, FIRST, HALF, ALL = 1, 2, 3, 4
BRIEF = {"minimum_time": 5, "minimum_requests": 20, "deadline": 600}
WITH_APPROVAL = [{"weight_percent": 50, **BRIEF}, {"weight_percent": 100, "approval": True, **BRIEF}]


def aliases(database: Database) -> tuple[str | None, str | None]:
    """Where production and previous point."""
    with database.read() as session:
        return read_alias(session, APP, PRODUCTION), read_alias(session, APP, PREVIOUS)


def incidents(database: Database) -> list[IncidentRow]:
    """Every incident."""
    with database.read() as session:
        return list(session.exec(select(IncidentRow)).all())


def was_asked(database: Database) -> bool:
    """Whether a person was asked anything."""
    with database.read() as session:
        return session.exec(select(ApprovalRow)).first() is not None


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
    assert "regression eval begins" in texts[0]
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
    assert any("golden.jsonl, line 3: no JSON. Go on?" in text for text in told(database))
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


def look(scene: Scene, times: int, holder: str = "driver one") -> None:
    """Drive for so many steps, by a driver that begins and stops."""
    driver = scene.driver(holder)
    token = driver.acquire_lease(scene.release_id)
    for _ in range(times):
        scene.clock.go(scene.step_seconds)
        driver.advance(scene.release_id, token)
    driver.release_lease(scene.release_id, token)


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
        answer(session, Reply(APP, Answer.APPROVED, Person("ben", "test")), scene.clock.now)
    driver.release_lease(scene.release_id, token)
    assert scene.drive_to_end().state is State.PROMOTED
    assert sum(text.startswith(APP) and "Begin canary 100 %?" in text for text in told(database)) == 1


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


def stage_of(scene: Scene) -> StageRow:
    """The stage in force."""
    with scene.database.read() as session:
        return session.get_one(StageRow, (scene.release_id, scene.release().position))


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


def everything(database: Database) -> list[Any]:
    """Every row that a driver may write."""
    with database.read() as session:
        tables = (ReleaseRow, StageRow, VerdictRow, TransitionRow, RouteRow, ApprovalRow, IncidentRow, NoticeRow)
        return [[row.model_dump() for row in session.exec(select(table))] for table in tables]


def test_a_driver_that_was_replaced_can_write_nothing(database: Database) -> None:
    """It is told so at its next step, and nothing in the ledger has changed."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    old, successor = scene.driver("old"), scene.driver("new")
    stale = old.acquire_lease(scene.release_id)
    scene.clock.go(DRIVER_TTL.total_seconds())
    successor.acquire_lease(scene.release_id)
    before = everything(database)
    with pytest.raises(FencedError):
        old.advance(scene.release_id, stale)
    old.release_lease(scene.release_id, stale)
    assert everything(database) == before


def test_a_driver_that_is_replaced_while_it_looks_can_write_nothing(database: Database) -> None:
    """What it saw with slow eyes isn't written over what its successor did."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    old = scene.driver("old")
    stale = old.acquire_lease(scene.release_id)
    during: list[Any] = []

    def be_replaced() -> None:
        scene.clock.go(60)
        scene.driver("new").acquire_lease(scene.release_id)
        during.append(everything(database))

    scene.telemetry.meanwhile = be_replaced
    with pytest.raises(FencedError):
        old.advance(scene.release_id, stale)
    assert everything(database) == during[0]


def test_a_person_who_ends_the_release_while_a_driver_looks_wins(database: Database) -> None:
    """The driver's step is refused, and its next one tells how the release ended."""
    scene = Scene.opened(database)
    scene.drive_to(HALF)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)

    def abort_it() -> None:
        with database.begin() as session:
            abort(session, APP, ANNA, "tea", scene.clock.now)

    scene.telemetry.meanwhile = abort_it
    with pytest.raises(FencedError):
        driver.advance(scene.release_id, token)
    progress = driver.advance(scene.release_id, token)
    assert (progress.over, progress.state, progress.message) == (True, State.ABORTED, "tea")
    assert scene.route().weight_percent == 0


class Killed(BaseException):
    """The process ends here: nothing that catches exceptions may go on."""


@contextmanager
def killed_at(database: Database, statement: int) -> Iterator[list[int]]:
    """Kill whoever sends the ledger its n-th writing statement or commit; yields how many were sent."""
    sent = [0]

    def count() -> None:
        sent[0] += 1
        if sent[0] == statement:
            raise Killed

    def on_statement(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.lstrip().upper().startswith(("INSERT", "UPDATE")):
            count()

    def on_commit(_connection: Any) -> None:
        count()

    event.listen(database.engine, "before_cursor_execute", on_statement)
    event.listen(database.engine, "commit", on_commit)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", on_statement)
        event.remove(database.engine, "commit", on_commit)


def drive_until_killed(scene: Scene) -> None:
    """Take over and step until killed or over; the right to drive is never let go, as by a process that died."""
    driver = scene.driver()
    scene.clock.go(DRIVER_TTL.total_seconds())
    token = driver.acquire_lease(scene.release_id)
    while scene.release().state.live:
        scene.clock.go(1)
        driver.advance(scene.release_id, token)


@pytest.mark.long
@pytest.mark.parametrize(
    ("harms", "way"),
    [
        pytest.param({}, WHOLE_WAY, id="on the way to promotion"),
        pytest.param({HALF: {"latency": 5.0}}, [*WHOLE_WAY[:5], ("rolled_back", 3)], id="on the way to a rollback"),
    ],
)
def test_a_driver_may_be_killed_at_any_write(tmp_path: Any, migrated_file: Any, harms: Any, way: Any) -> None:
    """Killed again and again, after 1, 2, 3 ... writes, its successors enter each stage exactly once."""
    for stride in (1, 3, 7, 11):
        path = tmp_path / f"{stride}.db"
        path.write_bytes(migrated_file.read_bytes())
        database = Database(f"sqlite:///{path}")
        scene = Scene.opened(database)
        scene.telemetry.harms = harms
        deaths, after = 0, stride
        while scene.release().state.live and deaths < 500:
            try:
                with killed_at(database, after):
                    drive_until_killed(scene)
            except Killed:
                deaths += 1
                after = stride + deaths % 40
        assert deaths > 3
        assert steps_of(database, scene.release_id) == way
        with database.read() as session:
            texts = [row.text for row in session.exec(select(NoticeRow).order_by(col(NoticeRow.id)))]
            assert len([text for text in texts if " begins " in text]) == len(way) - 2
            assert len(session.exec(select(IncidentRow)).all()) == bool(harms)
            ended = [stage.state for stage in read_stages(session, scene.release_id)]
        assert "running" not in ended
        database.close()
