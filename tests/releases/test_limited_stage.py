"""A release that some units meet before everybody: its plan, its split, and what is asked and foreseen of it."""

from softlaunch.approvals.subjects import release_subject
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.ledger.routes import read_route
from softlaunch.ledger.stages import read_stages
from softlaunch.notify.links import Links
from softlaunch.notify.slack.head import head_blocks
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State, plan
from softlaunch.releases.views import read_view
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from tests.releases.driven import BRIEF, FIRST, HALF, SHADOW
from tests.support.builders import APP, Scene, make_policy, make_release, told

TEAM = {"header": "X-Team", "values": ["internal"]}


def limited(weight: float = 50) -> Policy:
    """A policy whose first stage is for a team alone."""
    stages = [{"weight_percent": weight, "only": TEAM, "margin_factor": 1, **BRIEF}, {"weight_percent": 100, **BRIEF}]
    return make_policy(stages=stages, approval={"two_people_from_percent": 40}, approvers=[{"name": "ben"}])


def test_the_split_is_limited_for_as_long_as_the_stage_lasts(database: Database) -> None:
    """Gateways are told whom, and the next stage opens to everybody; its evidence begins afresh."""
    scene = Scene.opened(database, limited())
    scene.drive_to(FIRST)
    route = read_route(database, APP)
    assert route is not None
    assert route.only is not None
    assert (route.weight_percent, route.only.header, route.only.values) == (50, "X-Team", ("internal",))
    with database.read() as session:
        view = read_view(session, session.get_one(ReleaseRow, scene.release_id), scene.clock.now)
    shown = str([block.to_dict() for block in head_blocks(view, Links())])
    assert "50 % of x-team on the candidate" in shown
    scene.drive_to(HALF)
    route = read_route(database, APP)
    assert route is not None
    assert (route.weight_percent, route.only) == (100, None)
    with database.read() as session:
        before, now = read_stages(session, scene.release_id)[FIRST : HALF + 1]
    assert before.reason == "canary 50 % of x-team passed"
    assert now.evidence.get("requests", (0, 0)) != before.evidence["requests"]
    assert any("canary 50 % of x-team starts" in text for text in told(database))
    assert scene.drive_to_end().state is State.PROMOTED


def test_a_rollback_takes_the_limit_away_with_the_split(database: Database) -> None:
    """Stable serves everybody."""
    scene = Scene.opened(database, limited())
    scene.drive_to(FIRST)
    scene.telemetry.harms = {FIRST: {"errors": 0.9}}
    assert scene.drive_to_end().state is State.ROLLED_BACK
    route = read_route(database, APP)
    assert route is not None
    assert (route.only, route.candidate, route.weight_percent) == (None, None, 0)


def test_a_stage_for_some_exposes_no_share_of_everybody() -> None:
    """So that it needs no second person by its weight; the stage that opens it does."""
    policy = limited(weight=100)
    assert [stage.name for stage in plan(policy)][-2:] == ["canary 100 % of x-team", "canary 100 %"]
    assert release_subject(make_release(State.SHADOWING, SHADOW, policy=policy)).weight_percent == 0
    assert release_subject(make_release(State.CANARY, FIRST, policy=policy)).weight_percent == 100


def test_recorded_requests_are_taken_for_the_stage_that_is_open() -> None:
    """A file that names a weight knows nothing of who was inside; by its name the stage is found."""
    names = StageNames(limited(weight=100))
    by_weight = names.by_weight(100)
    assert by_weight is not None
    assert by_weight.only is None
    assert names.by_name("canary 100 % of x-team").only is not None
