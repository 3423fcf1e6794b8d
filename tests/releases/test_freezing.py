"""Freeze windows: a release is watched on and doesn't move on, unless a person lifts the freeze for it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.approvals.deciding import Decision, apply_decision
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.approvals.unfreezing import apply_unfreeze
from softlaunch.cli.live import render
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.clock import utc_now
from softlaunch.ledger.stages import read_stages
from softlaunch.notify.links import Links
from softlaunch.notify.slack.head import head_blocks
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State
from softlaunch.releases.freezing import foresee_freeze
from softlaunch.releases.views import ReleaseView, read_view, to_json
from softlaunch.releases.wording import tell_state
from softlaunch.reports.history import read_history
from softlaunch.reports.release_page import render_release
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, ReleaseRow, VoteRow
from tests.releases.driven import BRIEF, FIRST, HALF, SHADOW, look, stage_of, was_asked
from tests.support.builders import APP, NOON, Scene, make_policy, told

ANNA, BEN = Person("anna", "test"), Person("ben", "test")
HOUR = timedelta(hours=1)
QUICK = {"minimum_time": 5, "minimum_requests": 20, "deadline": 120}


def frozen_policy(begins_seconds: float = 0, **parts: Any) -> Policy:
    """A policy with a freeze until an hour after NOON, from so many seconds after it on, in whole minutes."""
    begins = NOON + timedelta(seconds=begins_seconds)
    window = {
        "from": f"{begins:%Y-%m-%d %H:%M}",
        "until": f"{NOON + HOUR:%Y-%m-%d %H:%M}",
        "time_zone": "UTC",
        "reason": "quarter's end",
    }
    stages = [{"weight_percent": 10, **QUICK}, {"weight_percent": 50, **QUICK}, {"weight_percent": 100, **QUICK}]
    return make_policy(**{"stages": stages, "freeze": [window], **parts})


def view_of(scene: Scene) -> ReleaseView:
    """The release as people see it now."""
    with scene.database.read() as session:
        return read_view(session, session.get_one(ReleaseRow, scene.release_id), scene.clock.now)


def lift(scene: Scene, person: Person = BEN, reason: str = "a fix for prices") -> tuple[VoteResult, str]:
    """What comes of lifting the freeze."""
    with scene.database.begin() as session:
        result = apply_unfreeze(session, scene.release_id, person, reason, scene.clock.now)
    return result.result, result.message


def test_a_release_is_evaluated_in_a_freeze_and_meets_no_traffic(database: Database) -> None:
    """The eval begins and passes; the shadow waits for the end, which people are told once."""
    scene = Scene.opened(database, frozen_policy())
    look(scene, 6)
    assert (scene.release().state, scene.release().position) == (State.EVALUATING, 0)
    (held,) = [text for text in told(database) if "held" in text]
    assert "held: frozen until " in held
    assert "13:00 UTC (quarter's end); regression eval passed" in held
    scene.clock.now = NOON + HOUR - timedelta(seconds=scene.step_seconds)
    look(scene, 1)
    assert scene.release().position == SHADOW
    assert scene.drive_to_end().state is State.PROMOTED


def test_without_an_eval_a_release_waits_before_its_first_stage(database: Database) -> None:
    """It stays opened, and nobody is exposed."""
    scene = Scene.opened(database, frozen_policy(eval={"golden_set": None}))
    look(scene, 3)
    assert scene.release().state is State.PENDING
    assert view_of(scene).stages[0].record.reason.startswith("held: frozen until")


def test_a_stage_under_way_is_watched_on_and_its_deadline_does_not_come(database: Database) -> None:
    """Minutes in a freeze leave as much of two minutes as there was; then it goes on as if nothing had been."""
    scene = Scene.opened(database, frozen_policy(60))
    scene.drive_to(FIRST)
    assert scene.clock.now < NOON + timedelta(seconds=55)
    scene.telemetry.count, scene.step_seconds = 0, 14
    entered = scene.clock.now
    scene.clock.now = NOON + timedelta(seconds=57)
    beat = scene.route().beat
    look(scene, 20)
    assert NOON + timedelta(seconds=2 * QUICK["deadline"]) < scene.clock.now < NOON + HOUR
    assert scene.release().position == FIRST
    assert not was_asked(database)
    assert scene.route().beat > beat
    with database.read() as session:
        deadline = read_stages(session, scene.release_id)[FIRST].deadline_at
    assert deadline is not None
    left = deadline - scene.clock.now
    spent = NOON + timedelta(seconds=60) - entered
    assert abs(left + spent - timedelta(seconds=QUICK["deadline"])) <= timedelta(seconds=60)


def test_requests_that_come_in_a_freeze_run_no_deadline_out(database: Database) -> None:
    """Deadlines in numbers move by what came meanwhile."""
    brief = {**BRIEF, "minimum_time": 7200, "deadline": 10000, "deadline_requests": 5000}
    scene = Scene.opened(database, frozen_policy(60, stages=[{"weight_percent": 50, **brief}, {"weight_percent": 100}]))
    scene.drive_to(FIRST)
    scene.clock.now = NOON + timedelta(seconds=60)
    before = stage_of(scene).evidence.get("requests", [0])[0]
    scene.telemetry.count = 2500
    look(scene, 6)
    row = stage_of(scene)
    came = row.evidence["requests"][0] - before
    assert came > 5000
    assert row.deadline_requests == 5000 + came
    assert scene.release().state is State.CANARY
    assert not was_asked(database)


def test_harm_is_rolled_back_in_a_freeze(database: Database) -> None:
    """Whatever the calendar says."""
    scene = Scene.opened(database, frozen_policy(60))
    scene.drive_to(FIRST)
    scene.clock.now = NOON + timedelta(seconds=60)
    scene.telemetry.harms = {FIRST: {"errors": 0.9}}
    look(scene, 3)
    assert scene.release().state is State.ROLLED_BACK
    assert scene.clock.now < NOON + HOUR


def test_nothing_is_promoted_in_a_freeze(database: Database) -> None:
    """The last stage goes on."""
    stages = [{"weight_percent": 100, **QUICK}]
    scene = Scene.opened(database, frozen_policy(60, stages=stages))
    scene.drive_to(FIRST)
    scene.clock.now = NOON + timedelta(seconds=60)
    look(scene, 10)
    assert scene.release().state is State.CANARY
    assert "every stage passed" in stage_of(scene).reason
    scene.clock.now = NOON + HOUR
    look(scene, 1)
    assert scene.release().state is State.PROMOTED


def test_an_approval_is_given_in_a_freeze_and_takes_effect_afterwards(database: Database) -> None:
    """It is asked for meanwhile, and the time to answer begins to run when the freeze is over."""
    stages = [{"weight_percent": 10, **QUICK}, {"weight_percent": 100, "approval": True, **QUICK}]
    scene = Scene.opened(database, frozen_policy(60, stages=stages, approval={"timeout": 600}))
    scene.drive_to(FIRST)
    scene.clock.now = NOON + timedelta(seconds=60)
    scene.drive_until(lambda _: was_asked(database))
    with database.begin() as session:
        assert session.exec(select(ApprovalRow)).one().expires_at == NOON + HOUR + timedelta(seconds=600)
        apply_decision(session, Decision(APP, ApprovalChoice.APPROVE, BEN), scene.clock.now)
    look(scene, 5)
    assert scene.release().position == FIRST
    scene.clock.now = NOON + HOUR
    look(scene, 1)
    assert scene.release().position == HALF


def test_a_lifted_freeze_holds_no_more(database: Database) -> None:
    """The release goes on, people hear of it, and the audit has who and why."""
    scene = Scene.opened(database, frozen_policy())
    look(scene, 5)
    assert scene.release().position == 0
    assert lift(scene)[0] is VoteResult.DECIDED
    assert scene.drive_to_end().state is State.PROMOTED
    assert scene.clock.now < NOON + HOUR
    with database.read() as session:
        vote = session.exec(select(VoteRow).order_by(col(VoteRow.id))).one()
        shown = [entry.what for entry in read_history(session, APP, 100)]
    assert (vote.said, vote.person, vote.reason, vote.ruling) == ("unfreeze", "ben", "a fix for prices", "decided")
    assert any(one.startswith("unfreeze (a fix for prices)") for one in shown)
    assert [(step.actor, step.reason) for step in view_of(scene).unfrozen] == [("ben (test)", "a fix for prices")]
    assert "A freeze was lifted for it" in render_release(view_of(scene))
    assert any("ben (test) lifts the freeze" in text and "a fix for prices" in text for text in told(database))


def test_a_lifted_freeze_is_the_one_that_the_release_was_in(database: Database) -> None:
    """The next one holds it again."""
    policy = frozen_policy()
    later = {
        "from": f"{NOON + 2 * HOUR:%Y-%m-%d %H:%M}",
        "until": f"{NOON + 3 * HOUR:%Y-%m-%d %H:%M}",
        "time_zone": "UTC",
    }
    both = [*(one.model_dump() for one in policy.freeze), later]
    scene = Scene.opened(database, frozen_policy(freeze=both))
    look(scene, 5)
    lift(scene)
    assert view_of(scene).frozen is None
    scene.clock.now = NOON + 2 * HOUR
    assert view_of(scene).frozen is not None


@pytest.mark.parametrize(
    ("parts", "person", "expected"),
    [
        pytest.param({}, ANNA, VoteResult.DECIDED, id="its starter"),
        pytest.param({"emergency": {"approvals": 2}}, ANNA, VoteResult.REFUSED, id="its starter, of two people"),
        pytest.param({"emergency": {"approvals": 2}}, BEN, VoteResult.DECIDED, id="the second of two people"),
        pytest.param({"approvers": [{"name": "cem"}]}, BEN, VoteResult.REFUSED, id="nobody's approver"),
    ],
)
def test_who_may_lift_a_freeze(database: Database, parts: dict[str, Any], person: Person, expected: VoteResult) -> None:
    """The rules of an emergency release; what is refused is kept, too, and changes nothing."""
    scene = Scene.opened(database, frozen_policy(**parts))
    look(scene, 5)
    assert lift(scene, person)[0] is expected
    assert (view_of(scene).frozen is None) == (expected is VoteResult.DECIDED)
    with database.read() as session:
        assert session.exec(select(VoteRow)).one().ruling == expected


def test_outside_of_a_freeze_nothing_is_lifted(database: Database) -> None:
    """Who asks is told when the next one begins."""
    scene = Scene.opened(database, frozen_policy(600))
    result, message = lift(scene)
    assert result is VoteResult.LATE
    assert "the next one starts " in message


def test_a_freeze_is_shown_wherever_the_release_is(database: Database) -> None:
    """In the terminal, in the name of a run, and as JSON."""
    scene = Scene.opened(database, frozen_policy())
    look(scene, 5)
    view = view_of(scene)
    assert tell_state(view).startswith("evaluating regression eval, held: frozen until ")
    document = to_json(view)["frozen"]
    assert document == {"until": NOON + HOUR, "time_zone": "UTC", "reason": "quarter's end", "held": True}
    assert "Rollbacks are always possible" in view.frozen_words
    assert render(view) is not None
    assert ":snowflake: Frozen until Sun 2026-03-01 13:00 UTC (quarter's end)" in str(
        [block.to_dict() for block in head_blocks(view, Links())]
    )


def test_who_starts_a_release_is_told_of_a_freeze(database: Database) -> None:
    """One that it is in, one that begins before it should be over, and none that is far away."""
    policy = frozen_policy(600)
    assert "a release can be evaluated" in str(foresee_freeze(policy, NOON + timedelta(seconds=700)))
    assert "holds a release that isn't over by then" in str(foresee_freeze(policy, NOON, 3600))
    assert foresee_freeze(policy, NOON, 300) is None
    assert foresee_freeze(make_policy(), utc_now()) is None
