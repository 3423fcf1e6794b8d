"""What follows a promotion: harm that shows later is taken back; whatever else ends it changes nothing for users."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.ab.opening import TrialRequest, open_trial
from softlaunch.catalog.aliases import PREVIOUS, PRODUCTION, read_alias
from softlaunch.core.arms import ByArm
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import Variant
from softlaunch.core.verdict import Outcome, Role
from softlaunch.ledger.releases import Actor, find_live, read_release
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind, Release, StageKind, State, topline_plan
from softlaunch.releases.changes import Changes
from softlaunch.releases.conditions import examine
from softlaunch.releases.decision import End, Enter, Hold, Observation, Snapshot
from softlaunch.releases.driver import DRIVER_TTL
from softlaunch.releases.ending import abort, end_topline, roll_back
from softlaunch.releases.orphans import Remedy
from softlaunch.releases.reconcile import Reconciler
from softlaunch.releases.topline import decide_topline
from softlaunch.releases.views import read_view, to_json
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow, ReleaseRow
from tests.support.builders import (
    ANNA,
    APP,
    CANDIDATE,
    NOON,
    STABLE,
    Scene,
    ScriptedTelemetry,
    make_policy,
    make_release,
    make_verdict,
    open_in,
    record_app,
    steps_of,
    told,
)

TOPLINE = {"time": 90, "rounds": 3, "control_percent": 10, "action": "roll_back"}


def watched(**changes: Any) -> Policy:
    """A policy whose promotions are watched on, for three rounds of half a minute."""
    return make_policy(**{"topline": TOPLINE, **changes})


def promoted(database: Database, policy: Policy | None = None, **parts: Any) -> Scene:
    """A scene of what follows the promotion of the app's first release."""
    first = Scene.opened(database, policy or watched())
    first.drive_to_end()
    with database.read() as session:
        live = find_live(session, APP)
    assert live is not None
    return Scene(database, live.id, clock=first.clock, **parts)


def states(database: Database) -> dict[str, str]:
    """Of every release, and of what follows one."""
    with database.read() as session:
        return {row.id: row.state for row in session.exec(select(ReleaseRow).order_by(col(ReleaseRow.number)))}


def aliases(database: Database) -> tuple[str | None, str | None]:
    """Where production and previous point."""
    with database.read() as session:
        return read_alias(session, APP, PRODUCTION), read_alias(session, APP, PREVIOUS)


def incidents(database: Database) -> list[str]:
    """What they say, oldest first."""
    with database.read() as session:
        return list(session.exec(select(IncidentRow.summary).order_by(col(IncidentRow.id))))


def test_without_harm_it_goes_round_by_round_and_ends(database: Database) -> None:
    """The promoted variant serves everybody all the while, and some requests are copied to the one before it."""
    scene = promoted(database)
    scene.drive_to(1)
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest) == (CANDIDATE.digest, STABLE.digest)
    assert (route.weight_percent, route.shadow_percent, route.control_percent) == (0, 10, 0)
    ended = scene.drive_to_end()
    assert (ended.state, ended.outcome) == (State.CONCLUDED, Outcome.PASS)
    assert "the time is over; topline 3 of 3 showed no harm" in ended.reason
    assert [state for state, _ in steps_of(database, scene.release_id)] == [
        "pending",
        *["watching"] * 3,
        "concluded",
    ]
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest) == (CANDIDATE.digest, None)
    assert states(database)[f"{APP}-1"] == "promoted"
    assert incidents(database) == []


def test_harm_that_shows_later_rolls_back(database: Database) -> None:
    """One transaction: the one before serves again, aliases swap, the promotion is undone, people are told."""
    scene = promoted(database, telemetry=ScriptedTelemetry(harms={1: {"errors": 0.6}}))
    ended = scene.drive_to_end()
    assert (ended.state, ended.outcome, ended.position) == (State.ROLLED_BACK, Outcome.FAIL, 1)
    assert states(database) == {f"{APP}-1": "rolled_back", f"{APP}-topline-2": "rolled_back"}
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest, route.shadow_percent) == (STABLE.digest, None, 0)
    assert aliases(database) == (STABLE.digest, CANDIDATE.digest)
    (incident,) = incidents(database)
    assert "was rolled back at topline 2 of 3. errors:" in incident
    assert any("rolled back after its promotion" in text for text in told(database))


def test_where_people_decide_harm_opens_an_incident_and_changes_nothing(database: Database) -> None:
    """action: alert."""
    policy = watched(topline={**TOPLINE, "action": "alert"})
    scene = promoted(database, policy, telemetry=ScriptedTelemetry(harms={0: {"latency": 4.0}}))
    ended = scene.drive_to_end()
    assert (ended.state, ended.outcome) == (State.CONCLUDED, Outcome.FAIL)
    assert scene.route().stable_digest == CANDIDATE.digest
    assert states(database)[f"{APP}-1"] == "promoted"
    (incident,) = incidents(database)
    assert f"{CANDIDATE.label} is worse than {STABLE.label}, but keeps serving at topline 1 of 3" in incident


@pytest.mark.parametrize("driven", [False, True], ids=["before it begins", "while it is watched"])
def test_a_person_may_roll_back_meanwhile(database: Database, *, driven: bool) -> None:
    """The command is the one of always, and says which release it undid."""
    scene = promoted(database)
    if driven:
        scene.drive_to(1)
    with database.begin() as session:
        ended = roll_back(session, APP, ANNA, "users complain", NOON)
    assert (ended.release_id, ended.state, ended.serving_digest) == (f"{APP}-1", State.ROLLED_BACK, STABLE.digest)
    assert set(states(database).values()) == {"rolled_back"}
    assert scene.route().revision == ended.route_revision
    with database.begin() as session:
        assert not roll_back(session, APP, ANNA, "again", NOON).changed


def test_a_person_may_stop_the_watching_alone(database: Database) -> None:
    """What was promoted goes on serving."""
    scene = promoted(database)
    scene.drive_to(0)
    with database.begin() as session:
        abort(session, APP, ANNA, "seen enough", NOON)
    assert states(database) == {f"{APP}-1": "promoted", f"{APP}-topline-2": "aborted"}
    assert scene.route().stable_digest == CANDIDATE.digest
    assert aliases(database) == (CANDIDATE.digest, STABLE.digest)


def test_the_next_release_ends_it(database: Database) -> None:
    """It holds the app's lock, and gives it up: the next release is compared with what was promoted."""
    scene = promoted(database)
    scene.drive_to(1)
    with database.begin() as session:
        end_topline(session, APP, Actor("anna", "test"), "another release starts", scene.clock())
        opened = open_in(session, watched(), CANDIDATE, STABLE)
    assert states(database)[f"{APP}-topline-2"] == "aborted"
    again = Scene(database, opened, clock=scene.clock)
    again.drive_to(2)
    assert again.route().stable_digest == CANDIDATE.digest


def test_what_cannot_begin_ends_nothing(database: Database) -> None:
    """A test that is refused leaves the watching as it was."""
    scene = promoted(database)
    scene.drive_to(0)
    with pytest.raises(NotFoundError):
        open_trial(database, TrialRequest(app=APP, changes=Changes(prompt="support@9.0.0")), None, scene.clock())
    assert states(database)[f"{APP}-topline-2"] == "watching"


@pytest.mark.parametrize(
    ("policy", "candidate"),
    [
        pytest.param(make_policy(), CANDIDATE, id="no topline in the policy"),
        pytest.param(watched(), STABLE, id="a rehearsal with what serves already"),
    ],
)
def test_nothing_follows(database: Database, policy: Policy, candidate: Variant) -> None:
    """The app is free once the release is over."""
    record_app(database, policy)
    with database.begin() as session:
        opened = open_in(session, policy, candidate=candidate)
    assert Scene(database, opened).drive_to_end().state is State.PROMOTED
    with database.read() as session:
        assert find_live(session, APP) is None


def test_its_driver_may_die(database: Database) -> None:
    """Users stay on what was promoted; reconcile lets another driver go on, however the policy treats releases."""
    scene = promoted(database, watched(orphaned={"action": "roll_back"}))
    scene.drive_to(1)
    scene.driver("the dead one").acquire_lease(scene.release_id)
    scene.clock.go(7200)
    by = Reconciler(database, Actor("reconcile", "test"), DRIVER_TTL, scene.clock, scene.clock.go)
    (found,) = by.run()
    assert (found.remedy, found.release_id) == (Remedy.RESUME, scene.release_id)
    assert scene.route().stable_digest == CANDIDATE.digest
    assert len(incidents(database)) == 1
    assert scene.drive_to_end().state is State.CONCLUDED


def test_reconcile_begins_it_without_an_alarm(database: Database) -> None:
    """Nobody has driven it before: that is no orphan."""
    scene = promoted(database)
    scene.clock.go(60)
    by = Reconciler(database, Actor("reconcile", "test"), DRIVER_TTL, scene.clock, scene.clock.go)
    (found,) = by.run()
    assert (found.remedy, found.release_id) == (Remedy.RESUME, scene.release_id)
    assert incidents(database) == []


def _snapshot(release: Release, seconds: float, **facts: Any) -> Snapshot:
    return Snapshot(release, NOON + timedelta(seconds=seconds), NOON, requests=ByArm(90, 90), **facts)


@pytest.mark.parametrize(
    ("position", "seconds", "outcome", "role", "action"),
    [
        pytest.param(0, 10, Outcome.PASS, Role.REQUIRED, Hold, id="a pass ends nothing"),
        pytest.param(0, 31, Outcome.PASS, Role.REQUIRED, Enter, id="the next round"),
        pytest.param(0, 31, Outcome.INCONCLUSIVE, Role.REQUIRED, Enter, id="undecided rounds end too"),
        pytest.param(2, 31, Outcome.ERROR, Role.REQUIRED, End, id="the last round"),
        pytest.param(0, 1, Outcome.FAIL, Role.GUARD, End, id="a guard's harm"),
        pytest.param(0, 1, Outcome.FAIL, Role.MUTED, Hold, id="a muted gate's harm"),
    ],
)
def test_it_is_decided_by_harm_and_time(
    position: int, seconds: float, outcome: Outcome, role: Role, action: type
) -> None:
    """Nothing waits for a pass."""
    release = make_release(State.WATCHING, position, policy=watched(), kind=Kind.TOPLINE)
    verdict = make_verdict(outcome, role=role)
    assert isinstance(decide_topline(_snapshot(release, seconds, verdicts=(verdict,))), action)


def test_time_without_copies_is_no_pass() -> None:
    """A night without requests says nothing of what was promoted."""
    release = make_release(State.WATCHING, 2, policy=watched(), kind=Kind.TOPLINE)
    ended = decide_topline(replace(_snapshot(release, 31, verdicts=()), requests=ByArm(0, 0)))
    assert isinstance(ended, End)
    assert (ended.state, ended.outcome) == (State.CONCLUDED, Outcome.INCONCLUSIVE)


def test_quiet_times_are_no_alarm() -> None:
    """It lasts over nights: that nobody asks is nobody's fault, and nothing waits for data."""
    release = make_release(State.WATCHING, 0, policy=watched(), kind=Kind.TOPLINE)
    silent = Observation((), {}, "no copies", has_data=False, seen_until=NOON.timestamp())
    assert examine(_snapshot(release, 10_000), silent) == ()


def test_its_plan_has_a_stage_for_each_round() -> None:
    """Each begins evidence of its own, for its part of the time."""
    stages = topline_plan(watched())
    assert [(stage.kind, stage.name, stage.minimum_time) for stage in stages] == [
        (StageKind.TOPLINE, f"topline {number} of 3", 30.0) for number in (1, 2, 3)
    ]
    assert topline_plan(make_policy()) == ()


def test_the_promotion_opens_it_in_its_transaction(database: Database) -> None:
    """Whoever reads the promoted release can read what follows it."""
    promoted(database)
    with database.read() as session:
        topline = read_release(session, f"{APP}-topline-2")
    assert (topline.kind, topline.state) == (Kind.TOPLINE, State.PENDING)
    assert (topline.stable.digest, topline.candidate.digest) == (STABLE.digest, CANDIDATE.digest)
    assert topline.title == f"{APP}: {STABLE.label} -> {CANDIDATE.label} (topline)"


def test_it_is_shown_like_a_release(database: Database) -> None:
    """With its rounds, what they compared, and how it came there."""
    scene = promoted(database)
    scene.drive_to(1)
    with database.read() as session:
        view = read_view(session, session.get_one(ReleaseRow, scene.release_id), scene.clock())
    shown = to_json(view)
    assert (shown["state"], shown["stage"]) == ("watching", "topline 2 of 3")
    assert [stage["state"] for stage in shown["stages"]] == ["passed", "running", "waiting"]
    assert {verdict["gate"] for verdict in shown["stages"][0]["verdicts"]} == {"errors", "latency", "unusable"}
