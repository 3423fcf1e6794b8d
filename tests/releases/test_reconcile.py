"""Looking after releases that nobody drives, with a clock that is told the time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.core.verdict import Outcome
from softlaunch.ledger.lease import note_run
from softlaunch.ledger.releases import Actor, FencedError
from softlaunch.policy.release import State
from softlaunch.releases.driver import DRIVER_TTL
from softlaunch.releases.orphans import Remedy
from softlaunch.releases.reconcile import CANCELLED, Reconciler
from softlaunch.reports.history import read_history
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, NOON, STABLE, Scene, make_policy, steps_of, told

HALF = 3
BY = Actor("reconcile", "test")


def reconciler(scene: Scene, during: Any = lambda: None, cancelled: Any = lambda runs: ()) -> Reconciler:
    """One by the scene's clock; `during` happens while it watches, `cancelled` says what people cancelled."""

    def pause(seconds: float) -> None:
        scene.clock.go(seconds)
        during()

    return Reconciler(scene.database, BY, DRIVER_TTL, scene.clock, pause, cancelled)


def orphaned(database: Database, **policy: Any) -> Scene:
    """A release at 50 % whose driver has just died."""
    scene = Scene.opened(database, make_policy(**policy))
    scene.drive_to(HALF)
    scene.driver("the dead one").acquire_lease(scene.release_id)
    return scene


def run_by(scene: Scene, holder: str, run: str) -> int:
    """Have a run of an orchestrator drive the release from now on; returns its token."""
    token = scene.driver(holder).acquire_lease(scene.release_id)
    with scene.database.begin() as session:
        note_run(session, scene.release_id, token, run, "")
    return token


def incidents(database: Database) -> list[IncidentRow]:
    """Every incident, oldest first."""
    with database.read() as session:
        return list(session.exec(select(IncidentRow).order_by(col(IncidentRow.id))).all())


def test_a_release_that_is_driven_is_left_alone(database: Database) -> None:
    """Nothing is watched, written or told."""
    scene = orphaned(database)
    scene.clock.go(DRIVER_TTL.total_seconds() - 1)
    assert reconciler(scene).run() == ()
    assert scene.clock.now - NOON < timedelta(minutes=5)
    assert incidents(database) == []


def test_a_release_that_nobody_drives_is_set_free_and_told_of(database: Database) -> None:
    """The finding says where it stood and who drove it last; the next driver may begin at once."""
    scene = orphaned(database)
    scene.clock.go(60)
    (found,) = reconciler(scene).run()
    assert (found.release_id, found.remedy, found.holder) == (scene.release_id, Remedy.RESUME, "the dead one")
    assert "is resumed at canary 50 %" in found.sentence
    (incident,) = incidents(database)
    assert (incident.kind, incident.resolved_at) == ("release_orphaned", None)
    assert scene.drive_to_end().state is State.PROMOTED


def test_what_is_driven_again_is_resolved(database: Database) -> None:
    """The incident closes with the name of the driver that goes on; a second pass changes nothing."""
    scene = orphaned(database)
    scene.clock.go(60)
    reconciler(scene).run()
    scene.driver("the next one").acquire_lease(scene.release_id)
    assert reconciler(scene).run() == ()
    assert reconciler(scene).run() == ()
    (incident,) = incidents(database)
    assert incident.resolution == "the next one drives it"


def test_what_nobody_resumes_stays_one_incident(database: Database) -> None:
    """Pass after pass it is found again, and people are told once."""
    scene = orphaned(database)
    for _ in range(3):
        scene.clock.go(60)
        assert len(reconciler(scene).run()) == 1
    (incident,) = incidents(database)
    assert incident.evidence["silent_seconds"] > 180
    assert sum("has had no driver" in text for text in told(database)) == 1


def test_a_driver_that_lives_by_another_clock_is_left_alone(database: Database) -> None:
    """Its right seems to have run out, but it renews it while the reconciler watches."""
    scene = orphaned(database)
    alive = scene.driver("alive")
    scene.clock.go(60)
    token = alive.acquire_lease(scene.release_id)
    scene.clock.go(3600)

    def renew() -> None:
        scene.clock.go(-3600)
        alive.advance(scene.release_id, token)
        scene.clock.go(3600)

    assert reconciler(scene, renew).run() == ()
    assert incidents(database) == []


def test_a_driver_that_died_before_the_clock_was_set_back_is_replaced(database: Database) -> None:
    """Its right would run on for an hour; the next driver begins at once."""
    scene = orphaned(database)
    scene.clock.go(-3600)
    (found,) = reconciler(scene).run()
    assert (found.remedy, found.silent_seconds) == (Remedy.RESUME, 0)
    scene.driver("the next one").acquire_lease(scene.release_id)


def test_of_two_reconcilers_at_once_one_settles(database: Database) -> None:
    """The other one finds nothing, and there is one incident."""
    scene = orphaned(database)
    scene.clock.go(60)
    others: list[Any] = []
    found = reconciler(scene, lambda: others.append(reconciler(scene).run())).run()
    assert sorted([len(found), len(others[0])]) == [0, 1]
    assert len(incidents(database)) == 1


def test_a_patient_reconciler_leaves_fresh_orphans_to_others(database: Database) -> None:
    """The safety net begins where another one has had its chance."""
    scene = orphaned(database)
    scene.clock.go(60)
    assert reconciler(scene).run(patience=120) == ()
    assert incidents(database) == []
    scene.clock.go(60)
    assert len(reconciler(scene).run(patience=120)) == 1


@pytest.mark.parametrize(
    ("policy", "silent", "reason"),
    [
        pytest.param({"action": "roll_back"}, 60, "its policy says to roll it back", id="because the policy says so"),
        pytest.param({}, 3 * 3600, "3 h, longer than the 60 min", id="because it was forgotten"),
    ],
)
def test_it_is_rolled_back(database: Database, policy: dict[str, Any], silent: float, reason: str) -> None:
    """Stable serves alone, the end says why, nobody can drive it, and its incident is closed."""
    scene = orphaned(database, orphaned=policy)
    scene.clock.go(silent)
    (found,) = reconciler(scene).run()
    assert found.remedy is Remedy.ROLL_BACK
    release = scene.release()
    assert (release.state, release.outcome) == (State.ROLLED_BACK, Outcome.ERROR)
    assert reason in release.reason
    assert (scene.route().stable_digest, scene.route().weight_percent) == (STABLE.digest, 0)
    assert [row.resolved_at is not None for row in incidents(database)] == [True]
    with pytest.raises(FencedError, match="is over"):
        scene.driver().acquire_lease(scene.release_id)


def test_before_users_met_the_candidate_it_is_aborted(database: Database) -> None:
    """Nothing has to be rolled back then; the app is free."""
    scene = Scene.opened(database, make_policy(orphaned={"action": "roll_back"}))
    scene.clock.go(60)
    reconciler(scene).run()
    assert steps_of(database, scene.release_id)[-1] == ("aborted", 0)


def test_a_release_that_kills_its_drivers_is_rolled_back(database: Database) -> None:
    """Each death is an incident of its own; after the fifth within an hour it is not tried again."""
    scene = orphaned(database)
    remedies = []
    for number in range(6):
        scene.clock.go(60)
        (found,) = reconciler(scene).run()
        remedies.append(found.remedy)
        if found.remedy is Remedy.RESUME:
            scene.driver(f"victim {number}").acquire_lease(scene.release_id)
    assert remedies == [Remedy.RESUME] * 5 + [Remedy.ROLL_BACK]
    assert len(incidents(database)) == 6
    assert not scene.release().state.live


@pytest.mark.parametrize("silent", [pytest.param(1, id="still driven"), pytest.param(60, id="its driver was killed")])
def test_a_release_whose_run_was_cancelled_is_ended(database: Database, silent: float) -> None:
    """Whoever presses Cancel wants the candidate out: stable serves alone, the driver is over, the trail says so."""
    scene = Scene.opened(database)
    scene.drive_to(HALF)
    token = run_by(scene, "a flow", "run 1")
    scene.clock.go(silent)
    (found,) = reconciler(scene, cancelled=lambda runs: set(runs) & {"run 1", "run 2"}).run()
    assert found.sentence.startswith(
        f"{scene.release_id} was rolled back at canary 50 %: its run was cancelled in Prefect"
    )
    assert found.cancelled_run == "run 1"
    release = scene.release()
    assert (release.state, release.outcome, release.reason) == (State.ROLLED_BACK, Outcome.FAIL, CANCELLED)
    assert (scene.route().stable_digest, scene.route().weight_percent) == (STABLE.digest, 0)
    with database.read() as session:
        ended = read_history(session, APP, 50)[-1]
    assert (ended.event, ended.by, ended.what) == ("ended", "somebody (prefect)", f"rolled_back: {CANCELLED}")
    assert any(CANCELLED in text for text in told(database))
    assert incidents(database) == []
    assert scene.driver("a flow").advance(scene.release_id, token).over


def test_cancelled_before_users_met_the_candidate_it_is_aborted(database: Database) -> None:
    """As a rollback by hand would."""
    scene = Scene.opened(database)
    run_by(scene, "a flow", "run 1")
    reconciler(scene, cancelled=list).run()
    assert steps_of(database, scene.release_id)[-1] == ("aborted", 0)


def test_where_nobody_knows_of_a_cancelled_run_the_release_is_resumed(database: Database) -> None:
    """An orchestrator that is down, or that has forgotten the run, takes no release back."""
    scene = Scene.opened(database)
    scene.drive_to(HALF)
    run_by(scene, "a flow", "run 1")
    scene.clock.go(60)
    (found,) = reconciler(scene).run()
    assert found.remedy is Remedy.RESUME


def test_a_run_that_somebody_replaced_may_be_cancelled(database: Database) -> None:
    """To tidy up the run of a driver that died long ago, or of one that is replaced at this moment, ends no release."""
    scene = Scene.opened(database)
    scene.drive_to(HALF)
    run_by(scene, "a flow", "run 1")
    scene.clock.go(60)

    def replaced_meanwhile(runs: Any) -> Any:
        run_by(scene, "the next flow", "run 2")
        return runs

    assert reconciler(scene, cancelled=replaced_meanwhile).run() == ()
    asked: list[str] = []

    def nothing_cancelled(runs: Any) -> Any:
        asked.extend(runs)
        return ()

    reconciler(scene, cancelled=nothing_cancelled).run()
    assert asked == ["run 2"]
    scene.clock.go(60)
    scene.driver("the command line").acquire_lease(scene.release_id)
    reconciler(scene, cancelled=nothing_cancelled).run()
    assert asked == ["run 2"]
    assert scene.release().state.live
