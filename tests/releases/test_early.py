"""Going on early: a person may have the next stage begin before this one has passed, never past harm or no evidence."""

from typing import Any

import pytest
from pydantic import ValidationError
from sqlmodel import col, select

from softlaunch.approvals.advancing import Advance, apply_advance
from softlaunch.approvals.deciding import Decision, apply_decision
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.cli.live import render
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.verdict import Met, Role
from softlaunch.notify.links import Links
from softlaunch.notify.slack.head import head_blocks
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State
from softlaunch.releases.decision import Enter, Hold, decide
from softlaunch.releases.early import Seen, against_advancing
from softlaunch.releases.views import to_json
from softlaunch.releases.wording import show_early
from softlaunch.reports.history import read_history
from softlaunch.reports.release_page import render_release
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, StageRow, TransitionRow, VoteRow
from tests.releases.driven import BRIEF, FIRST, HALF, SHADOW, look, was_asked
from tests.releases.snapshots import ERROR, FAIL, INCONCLUSIVE, PASS, at, seen
from tests.releases.test_freezing import frozen_policy, view_of
from tests.support.builders import APP, NOON, Scene, make_policy, make_verdict, told

ANNA, BEN, CEM = Person("anna", "test"), Person("ben", "test"), Person("cem", "test")
LONG = {"minimum_time": 3600, "minimum_requests": 20, "deadline": 7200}


def early_policy(*, asks: bool = False, **parts: Any) -> Policy:
    """A policy whose first stage lasts an hour at least, and may end early."""
    stages = [
        {"weight_percent": 10, **LONG, "may_advance_early": True},
        {"weight_percent": 50, **LONG, "approval": asks},
        {"weight_percent": 100, **BRIEF},
    ]
    return make_policy(**{"stages": stages, **parts})


def wish(scene: Scene, person: Person = BEN, position: int | None = FIRST) -> tuple[VoteResult, str]:
    """What comes of wanting the next stage."""
    with scene.database.begin() as session:
        order = Advance(scene.release_id, position, person, "before the fair")
        result = apply_advance(session, order, scene.clock.now)
    return result.result, result.message


def in_first_stage(database: Database, policy: Policy | None = None) -> Scene:
    """A release that has seen some traffic in its first stage and waits for its minimum time."""
    scene = Scene.opened(database, policy or early_policy())
    scene.drive_to(FIRST)
    look(scene, 3)
    assert scene.release().position == FIRST
    return scene


def test_the_next_stage_begins_by_a_persons_decision_and_not_as_a_pass(database: Database) -> None:
    """At the driver's next look; stage, history, report, audit and messages say by whom, why, and what was open."""
    scene = in_first_stage(database)
    result, message = wish(scene)
    assert result is VoteResult.DECIDED
    assert "canary 50 % starts at the driver's next check" in message
    assert scene.release().position == FIRST
    assert show_early(view_of(scene)).startswith("ben decided to advance early (before the fair)")
    look(scene, 1)
    assert scene.release().position == HALF
    with database.read() as session:
        stage = session.get_one(StageRow, (scene.release_id, FIRST))
        moved = session.exec(select(TransitionRow).order_by(col(TransitionRow.id).desc())).first()
        votes = session.exec(select(VoteRow)).all()
        shown = [entry.what for entry in read_history(session, APP, 100)]
    assert stage.state == "ended_early"
    assert moved is not None
    said = "ben decided to advance early (before the fair); canary 10 % hasn't passed: all gates pass; "
    assert said in moved.reason
    assert [(one.person, one.reason, one.ruling) for one in votes] == [("ben", "before the fair", "decided")]
    assert any("End canary 10 % early and start canary 50 %?" in one and "before the fair" in one for one in shown)
    page = render_release(view_of(scene))
    assert "ended early" in page
    assert "before the fair" in page
    assert any("canary 50 % starts (ben decided to advance early" in text for text in told(database))
    look(scene, 3)
    assert scene.release().position == HALF


def test_where_the_policy_says_nothing_no_stage_ends_early(database: Database) -> None:
    """The key is off by default; who tries is told its name, and that they tried is kept."""
    scene = in_first_stage(database, make_policy(stages=[{"weight_percent": 10, **LONG}, {"weight_percent": 100}]))
    result, message = wish(scene)
    assert result is VoteResult.REFUSED
    assert "may_advance_early: true" in message
    look(scene, 3)
    assert scene.release().position == FIRST
    with database.read() as session:
        assert [(one.said, one.ruling) for one in session.exec(select(VoteRow))] == [("advance", "refused")]


def test_harm_that_shows_after_the_decision_is_rolled_back(database: Database) -> None:
    """The driver decides on what it sees then, and harm comes first."""
    scene = in_first_stage(database)
    scene.telemetry.harms, scene.telemetry.count = {FIRST: {"errors": 0.9}}, 2000
    assert wish(scene)[0] is VoteResult.DECIDED
    look(scene, 1)
    assert scene.release().state is State.ROLLED_BACK


def test_without_evidence_nothing_is_decided(database: Database) -> None:
    """A stage that has seen too little can't be ended early, whoever wants it."""
    scene = Scene.opened(database, early_policy())
    scene.drive_to(FIRST)
    result, message = wish(scene)
    assert result is VoteResult.REFUSED
    assert "never advances without evidence" in message
    scene.telemetry.count = 60
    look(scene, 1)
    assert "of at least 20 requests in the smaller arm" in wish(scene)[1]
    assert not was_asked(database)


def test_a_source_that_falls_silent_holds_a_decided_release(database: Database) -> None:
    """What was decided is carried out on evidence, once there is some again."""
    scene = in_first_stage(database)
    wish(scene)
    scene.telemetry.problem = "the log is away"
    look(scene, 3)
    assert scene.release().position == FIRST
    scene.telemetry.problem = None
    look(scene, 1)
    assert scene.release().position == HALF


def test_a_freeze_holds_what_was_decided(database: Database) -> None:
    """It takes effect when the freeze is over."""
    stages = [stage.model_dump() for stage in early_policy().stages]
    scene = Scene.opened(database, frozen_policy(60, stages=stages))
    scene.drive_to(FIRST)
    scene.clock.now = NOON.replace(minute=2)
    look(scene, 2)
    result, message = wish(scene)
    assert result is VoteResult.DECIDED
    assert "once it isn't frozen until" in message
    look(scene, 3)
    assert scene.release().position == FIRST
    scene.clock.now = NOON.replace(hour=13)
    look(scene, 1)
    assert scene.release().position == HALF


def test_whoever_must_approve_the_next_stage_is_asked_all_the_same(database: Database) -> None:
    """To end a stage early gives no approval; the question says that the stage hasn't passed."""
    scene = in_first_stage(database, early_policy(asks=True))
    wish(scene)
    look(scene, 2)
    assert scene.release().position == FIRST
    (asked,) = view_of(scene).approvals
    assert "ben decided to advance early (before the fair), though canary 10 % hasn't passed" in asked.text
    with database.begin() as session:
        apply_decision(session, Decision(APP, ApprovalChoice.APPROVE, BEN), scene.clock.now)
    look(scene, 1)
    assert scene.release().position == HALF


def test_where_two_people_are_asked_for_the_second_decides(database: Database) -> None:
    """The first is noted, the stage goes on as it is, and the second may be anybody else who may approve."""
    people: dict[str, Any] = {
        "approvers": [{"name": "ben"}, {"name": "cem"}],
        "approval": {"two_people_from_percent": 50},
    }
    scene = in_first_stage(database, early_policy(**people))
    assert wish(scene)[0] is VoteResult.NOTED
    assert wish(scene)[0] is VoteResult.REPEATED
    look(scene, 2)
    assert scene.release().position == FIRST
    assert any("another person must agree: End canary 10 % early" in text for text in told(database))
    assert wish(scene, CEM)[0] is VoteResult.DECIDED
    look(scene, 1)
    assert scene.release().position == HALF


def test_a_second_person_who_refuses_leaves_the_stage_to_its_gates(database: Database) -> None:
    """A refusal ends nothing; the stage isn't ended early any more, and who tries learns why."""
    people: dict[str, Any] = {
        "approvers": [{"name": "ben"}, {"name": "cem"}],
        "approval": {"two_people_from_percent": 50},
    }
    scene = in_first_stage(database, early_policy(**people))
    wish(scene)
    with database.begin() as session:
        apply_decision(session, Decision(APP, ApprovalChoice.REJECT, CEM, "too soon"), scene.clock.now)
    look(scene, 3)
    assert (scene.release().state, scene.release().position) == (State.CANARY, FIRST)
    assert "cem refused this in this stage (too soon)" in wish(scene)[1]


@pytest.mark.parametrize(
    ("parts", "person", "why"),
    [
        pytest.param({}, ANNA, "somebody else must approve", id="its starter"),
        pytest.param({"approvers": [{"name": "cem"}]}, BEN, "not among its approvers", id="nobody's approver"),
    ],
)
def test_who_may_not_approve_may_not_go_on_early(
    database: Database, parts: dict[str, Any], person: Person, why: str
) -> None:
    """The rules of who may are those of an approval."""
    scene = in_first_stage(database, early_policy(**parts))
    result, message = wish(scene, person)
    assert result is VoteResult.REFUSED
    assert why in message
    assert not was_asked(database)


def test_of_two_people_at_once_the_second_learns_who_was_first(database: Database) -> None:
    """One decision of a stage; and who saw another stage decides nothing about this one."""
    scene = in_first_stage(database)
    wish(scene)
    result, message = wish(scene, CEM)
    assert result is VoteResult.LATE
    assert "ben has already decided this (before the fair)" in message
    look(scene, 1)
    result, message = wish(scene, CEM)
    assert result is VoteResult.LATE
    assert "canary 50 % is in force by now" in message
    with database.read() as session:
        assert len(session.exec(select(ApprovalRow)).all()) == 1


def test_a_shadow_may_end_early_where_its_policy_says_so(database: Database) -> None:
    """Users meet the candidate then; the eval before it never ends early."""
    scene = Scene.opened(database, make_policy(shadow={**LONG, "may_advance_early": True}))
    assert "doesn't let regression eval end early" in wish(scene, position=0)[1]
    scene.drive_to(SHADOW)
    look(scene, 3)
    assert wish(scene, position=SHADOW)[0] is VoteResult.DECIDED
    look(scene, 1)
    assert scene.release().position == FIRST


def test_an_approver_sees_that_a_stage_may_end_early(database: Database) -> None:
    """In the terminal, in Slack's head and as JSON; a release that is over offers nothing."""
    scene = in_first_stage(database)
    view = view_of(scene)
    assert "never against harm or without evidence" in show_early(view)
    assert to_json(view)["may_advance_early"] is True
    assert render(view) is not None
    assert "softlaunch_advance" in str([block.to_dict() for block in head_blocks(view, Links())])
    wish(scene)
    shown = str([block.to_dict() for block in head_blocks(view_of(scene), Links())])
    assert "softlaunch_advance" not in shown
    assert "ben decided to advance early" in shown


def test_the_last_stage_never_ends_early() -> None:
    """No stage comes after it; a promotion waits for its evidence."""
    with pytest.raises(ValidationError, match="a promotion waits for its evidence"):
        make_policy(stages=[{"weight_percent": 10}, {"weight_percent": 100, "may_advance_early": True}])


COUNTED: dict[str, Any] = {"candidate_count": 50, "stable_count": 500, "margin": 0.02}
OPEN = make_verdict(INCONCLUSIVE, "errors", harm=0.01, **COUNTED)


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [
        pytest.param((), "no required gate has judged anything", id="no gate"),
        pytest.param((make_verdict(INCONCLUSIVE, "errors"),), "has no evidence of both arms", id="a gate without data"),
        pytest.param((make_verdict(FAIL, "errors", **COUNTED),), "shows harm", id="harm"),
        pytest.param((make_verdict(ERROR, "errors", **COUNTED),), "can't be judged", id="not judged"),
        pytest.param(
            (OPEN, make_verdict(ERROR, "latency", Role.GUARD)),
            "latency can't be judged",
            id="a guard",
        ),
        pytest.param(
            (make_verdict(INCONCLUSIVE, "errors", harm=0.03, **COUNTED),), "looks worse by +3", id="a bad estimate"
        ),
        pytest.param(
            (
                make_verdict(
                    INCONCLUSIVE,
                    "errors",
                    candidate_met=Met(50, 40, 0.01, None, 0.08, 20),
                    stable_met=Met(500, 400, 0.01, None, 0.01, 200),
                    **COUNTED,
                ),
            ),
            "in the last 5 minutes",
            id="bad plain figures lately",
        ),
    ],
)
def test_what_no_person_can_skip(verdicts: Any, why: str) -> None:
    """Harm, missing evidence, what can't be judged, and figures that are worse than the margin hold the stage."""
    release = at(FIRST, early_policy())
    snapshot = seen(release)
    assert why in str(against_advancing(release, Seen(verdicts, snapshot.requests, snapshot.units)))


def test_gates_that_are_undecided_are_skipped_and_named() -> None:
    """The reason has what was open; a muted gate speaks neither way."""
    muted = make_verdict(FAIL, "cost", Role.MUTED)
    snapshot = seen(at(FIRST, early_policy()), OPEN, muted, early="ben decided to advance early (why)")
    action = decide(snapshot)
    assert isinstance(action, Enter)
    assert action.is_early
    assert "canary 10 % hasn't passed: errors: errors says inconclusive" in action.reason


def test_a_decision_that_cannot_be_carried_out_yet_says_why() -> None:
    """The stage is held, and its deadline comes as ever."""
    snapshot = seen(
        at(FIRST, early_policy()), make_verdict(INCONCLUSIVE, "errors"), early="ben decided to advance early"
    )
    action = decide(snapshot)
    assert isinstance(action, Hold)
    assert "ben decided to advance early, but errors has no evidence" in action.reason


def test_a_stage_that_passes_meanwhile_has_passed() -> None:
    """Nothing was skipped then, so nothing is called early."""
    passed = make_verdict(PASS, "errors", **COUNTED)
    snapshot = seen(at(FIRST, make_policy()), passed, early="ben decided to advance early")
    action = decide(snapshot)
    assert isinstance(action, Enter)
    assert not action.is_early
