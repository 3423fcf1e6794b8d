"""A test from its opening to its conclusion, driven like a release: lock, harm, extension, kills."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from softlaunch.ab.document import read_looks
from softlaunch.ab.opening import NothingMeasuredError, TrialRequest, open_trial
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import Actor, FencedError, ReleaseLockedError, find_latest
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.release import State
from softlaunch.releases.changes import Changes
from softlaunch.releases.driver import DRIVER_TTL, Driver
from softlaunch.releases.ending import abort, roll_back
from softlaunch.releases.opening import NothingChangesError
from softlaunch.releases.orphans import Remedy
from softlaunch.releases.reconcile import Reconciler
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, IncidentRow, NoticeRow, ReleaseRow, ScoreRow
from tests.ab.rows import write_traffic
from tests.support.builders import ANNA, APP, CANDIDATE, NOON, STABLE, Scene, make_policy, open_in, record_app, steps_of

SHORT = {"minimum_time": "150 s", "maximum_time": "300 s", "metrics": ["satisfaction"]}
POLICY = make_policy(ab=SHORT, gates=[{"metric": "errors", "margin": "20 points"}])


def begin(database: Database, **traffic: Any) -> Scene:
    """A test of CANDIDATE on a new app whose users rate, and its traffic in the log."""
    record_app(database, POLICY)
    write_traffic(database, None, units=60, after_seconds=-3600.0)
    trial_id = open_trial(database, _request(), None, NOON)
    write_traffic(database, trial_id, **traffic)
    return Scene(database, trial_id, step_seconds=10)


def _request(**fields: Any) -> TrialRequest:
    return TrialRequest(app=APP, changes=Changes(variant=CANDIDATE.digest), actor="anna", origin="test", **fields)


def _incidents(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.exec(select(IncidentRow.kind)))


def test_a_winner_ends_the_test_and_a_serves_on(database: Database) -> None:
    """Concluded at the planned end, not before; B is only recommended, it is a release that makes it serve."""
    scene = begin(database, good_b=0.95)
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.CONCLUDED, Outcome.PASS)
    assert release.reason.startswith("B is better: satisfaction +")
    assert release.ended_at is not None
    assert release.ended_at >= NOON + timedelta(seconds=150)
    assert steps_of(database, scene.release_id) == [("pending", 0), ("testing", 0), ("concluded", 0)]
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest, route.weight_percent) == (STABLE.digest, None, 0)
    assert _incidents(database) == []


def test_the_split_is_set_for_the_whole_test(database: Database) -> None:
    """Half of the units, by unit, with the lease of the policy."""
    scene = begin(database)
    scene.drive_until(lambda release: release.state is State.TESTING)
    route = scene.route()
    assert (route.candidate_digest, route.weight_percent) == (CANDIDATE.digest, 50)
    assert (route.release_id, route.stage) == (scene.release_id, 0)


def test_too_little_evidence_extends_the_test_up_to_the_limit_and_then_asks_people(database: Database) -> None:
    """The deadline moves once, to the policy's limit; there an incident says what is lacking."""
    scene = begin(database, units=80)
    scene.drive_until(lambda _: any(look.choice == "extend" for look in _looks(scene)))
    with database.read() as session:
        (stage,) = read_stages(session, scene.release_id)
    assert stage.entered_at is not None
    assert stage.deadline_at == stage.entered_at + timedelta(seconds=300)
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.CONCLUDED, Outcome.INCONCLUSIVE)
    assert "undecided at the limit" in release.reason
    assert _incidents(database) == ["ab_inconclusive"]
    assert [look.choice for look in _looks(scene) if look.planned_end] == ["extend", "people"]


def _looks(scene: Scene) -> Any:
    with scene.database.read() as session:
        return read_looks(session, scene.release_id)


def test_it_is_monitored_before_its_end(database: Database) -> None:
    """Looks in between have intervals that hold at any time, and conclude nothing."""
    scene = begin(database)
    scene.drive_to_end()
    monitored = [look for look in _looks(scene) if not look.planned_end]
    assert len(monitored) >= 2
    assert {look.choice for look in monitored} == {""}
    assert all(look.analysis["metrics"][0]["anytime"] for look in monitored)


def test_harm_ends_the_test_at_once(database: Database) -> None:
    """The same gates as a release's, and the same incident."""
    scene = begin(database)
    scene.telemetry.harms = {0: {"errors": 0.6}}
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.ROLLED_BACK, Outcome.FAIL)
    assert release.ended_at is not None
    assert release.ended_at < NOON + timedelta(seconds=140)
    assert scene.route().candidate_digest is None
    assert _incidents(database) == ["gate_errors"]


def test_a_split_that_is_off_voids_the_test(database: Database) -> None:
    """Whatever the metrics say."""
    scene = begin(database, share=0.2, good_b=0.95)
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.CONCLUDED, Outcome.ERROR)
    assert "the split is off" in release.reason


def test_while_nothing_is_seen_nothing_is_concluded(database: Database) -> None:
    """At the planned end the test waits for the log, and the gateways' lease runs out meanwhile."""
    scene = begin(database, good_b=0.95)
    scene.drive_until(lambda release: release.state is State.TESTING)
    scene.telemetry.problem = "no gateway has been heard for 5 s"
    driver = scene.driver("driver two")
    token = driver.acquire_lease(scene.release_id)
    beat = scene.route().beat
    scene.clock.go(200)
    token = driver.acquire_lease(scene.release_id)
    assert driver.advance(scene.release_id, token).state is State.TESTING
    assert scene.route().beat == beat


def test_a_release_and_a_test_exclude_each_other(database: Database) -> None:
    """One owner of the app's traffic at a time, whoever comes first; each is told who holds it."""
    scene = begin(database)
    with pytest.raises(ReleaseLockedError, match=r"has a live A/B test: support-bot-ab-1 .*softlaunch ab stop"):
        _open_release(database)
    with database.begin() as session:
        abort(session, APP, ANNA, "enough", NOON)
    assert scene.release().state is State.ABORTED
    _open_release(database)
    with pytest.raises(ReleaseLockedError, match="has a live release: support-bot-2"):
        open_trial(database, _request(), None, NOON)


def _open_release(database: Database) -> str:
    with database.begin() as session:
        return open_in(session, POLICY)


def test_the_database_itself_refuses_a_second_owner(database: Database) -> None:
    """Also where both looked at the same moment: the lock is a constraint, not a convention."""
    scene = begin(database)
    with database.read() as session:
        row = session.get_one(ReleaseRow, scene.release_id)
        twin = ReleaseRow(**{**row.model_dump(), "id": "support-bot-9", "number": 9, "kind": "release"})
    with pytest.raises(Exception, match=r"(?i)unique"), database.begin() as session:
        session.add(twin)


def test_a_rollback_stops_a_live_test_and_passes_over_one_that_is_over(database: Database) -> None:
    """`softlaunch rollback` takes B from users; once the test is over there is nothing of it to roll back."""
    scene = begin(database)
    scene.drive_until(lambda release: release.state is State.TESTING)
    with database.begin() as session:
        assert roll_back(session, APP, ANNA, "stop", NOON).state is State.ROLLED_BACK
    with database.begin() as session, pytest.raises(Exception, match="no release of 'support-bot'"):
        find_latest(session, APP)


def test_what_does_not_change_or_was_never_measured_is_refused(database: Database) -> None:
    """Said before anything is written."""
    record_app(database, POLICY)
    with pytest.raises(NothingMeasuredError, match="has had no satisfaction lately"):
        open_trial(database, _request(), None, NOON)
    with pytest.raises(NothingChangesError, match="already serves"):
        open_trial(database, TrialRequest(app=APP, changes=Changes(variant=STABLE.digest)), None, NOON)
    with database.read() as session:
        assert session.exec(select(ReleaseRow)).all() == []


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("keep_evidence", marks=pytest.mark.long),
        "record_look",
        pytest.param("record_verdicts", marks=pytest.mark.long),
        pytest.param("apply_transition", marks=pytest.mark.long),
        "set_split",
    ],
)
def test_a_driver_killed_at_any_point_of_a_step_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Kills in the middle of steps: the next driver repeats them, and everything happens exactly once."""
    scene = begin(database, good_b=0.95, after_seconds=140.0, units=800)
    killed = _die_once_in_a_while(monkeypatch, point)
    driver = _persistent(scene)
    for _ in range(200):
        if not scene.release().state.live:
            break
        driver()
    assert killed()
    assert scene.release().state is State.CONCLUDED
    assert steps_of(database, scene.release_id) == [("pending", 0), ("testing", 0), ("concluded", 0)]
    numbers = [look.number for look in _looks(scene)]
    assert numbers == list(range(len(numbers)))
    assert [look.choice for look in _looks(scene) if look.planned_end] == ["b"]
    with database.read() as session:
        told = [text for text in session.exec(select(NoticeRow.text)) if "concluded" in text]
    assert len(told) == 1


class KilledError(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def _die_once_in_a_while(monkeypatch: pytest.MonkeyPatch, point: str) -> Callable[[], int]:
    """The first two calls at this point of a step end the driver, after what they do was done."""
    deaths = 0
    for module in ("softlaunch.releases.driver", "softlaunch.releases.ending", "softlaunch.ab.strategy"):
        original = getattr(__import__(module, fromlist=["_"]), point, None)
        if original is None:
            continue

        def dying(*arguments: Any, original: Any = original, **named: Any) -> Any:
            nonlocal deaths
            result = original(*arguments, **named)
            if deaths < 2:
                deaths += 1
                raise KilledError
            return result

        monkeypatch.setattr(f"{module}.{point}", dying)
    return lambda: deaths


def _persistent(scene: Scene) -> Callable[[], None]:
    """One step by whichever driver lives; after a kill the next one takes over when the right has run out."""
    living: list[tuple[Driver, int]] = []

    def step() -> None:
        scene.clock.go(10)
        if not living:
            scene.clock.go(10)
            driver = scene.driver("the next driver")
            living.append((driver, driver.acquire_lease(scene.release_id)))
        try:
            living[0][0].advance(scene.release_id, living[0][1])
        except KilledError:
            living.clear()

    return step


def test_a_replaced_driver_can_write_nothing(database: Database) -> None:
    """Its token is stale."""
    scene = begin(database)
    scene.drive_until(lambda release: release.state is State.TESTING)
    slow, quick = scene.driver("slow"), scene.driver("quick")
    old = slow.acquire_lease(scene.release_id)
    scene.clock.go(60)
    quick.acquire_lease(scene.release_id)
    with pytest.raises(FencedError):
        slow.advance(scene.release_id, old)


def test_a_test_that_nobody_drives_is_found(database: Database) -> None:
    """Reconciliation finds it like a release."""
    scene = begin(database)
    scene.drive_until(lambda release: release.state is State.TESTING)
    scene.driver("the dead one").acquire_lease(scene.release_id)
    scene.clock.go(60)
    by = Actor("reconcile", "test")
    (found,) = Reconciler(database, by, DRIVER_TTL, scene.clock, scene.clock.go).run()
    assert (found.release_id, found.remedy) == (scene.release_id, Remedy.RESUME)
    driver = scene.driver("the next one")
    assert driver.advance(scene.release_id, driver.acquire_lease(scene.release_id)).state is State.TESTING


def test_a_metric_of_the_apps_own_decides(database: Database) -> None:
    """What is reported under its name is compared like ratings are."""
    named = {"name": "solved", "kind": "share", "better": "up"}
    policy = make_policy(
        metrics=[named], ab={**SHORT, "metrics": ["solved"]}, gates=[{"metric": "errors", "margin": "20 points"}]
    )
    record_app(database, policy)
    write_traffic(database, None, units=60, after_seconds=-3600.0)
    _report(database)
    trial_id = open_trial(database, _request(), None, NOON)
    write_traffic(database, trial_id, good_b=0.95)
    _report(database)
    scene = Scene(database, trial_id, step_seconds=10)
    release = scene.drive_to_end()
    assert (release.state, release.outcome) == (State.CONCLUDED, Outcome.PASS)
    assert release.reason.startswith("B is better: solved +")
    with database.read() as session:
        looks = read_looks(session, trial_id)
    assert [one["metric"] for one in looks[-1].analysis["metrics"]] == ["solved"]


def _report(database: Database) -> None:
    """Turn all ratings into values that the app reports."""
    with database.begin() as session:
        for row in session.exec(select(FeedbackRow)).all():
            value, at = row.satisfaction, row.received_at
            session.add(
                ScoreRow(
                    request_id=row.request_id, app=APP, metric="solved", value=value, source="reported", received_at=at
                )
            )
            session.delete(row)
