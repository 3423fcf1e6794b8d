"""Ending a release by a person: rollback and abort, from every state, more than once, and against a driver."""

import threading
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import select

from softlaunch.catalog.aliases import PREVIOUS, PRODUCTION, read_alias
from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import FencedError, read_release
from softlaunch.policy.release import State
from softlaunch.releases.ending import Ended, abort, roll_back
from softlaunch.store.database import Database
from softlaunch.store.tables import AliasMoveRow, IncidentRow, NoticeRow
from tests.support.builders import (
    ANNA,
    APP,
    CANDIDATE,
    NOON,
    STABLE,
    Scene,
    make_verdict,
    open_in,
    record_app,
    steps_of,
)


def undo(database: Database, reason: str = "users complain") -> Ended:
    """Roll the app back."""
    with database.begin() as session:
        return roll_back(session, APP, ANNA, reason, NOON)


def aliases(database: Database) -> tuple[str | None, str | None]:
    """Where production and previous point."""
    with database.read() as session:
        return read_alias(session, APP, PRODUCTION), read_alias(session, APP, PREVIOUS)


def release_again(database: Database, stable_digest: str) -> Scene:
    """Open the next release: back from what serves to the other variant."""
    stable, candidate = (STABLE, CANDIDATE) if stable_digest == STABLE.digest else (CANDIDATE, STABLE)
    with database.begin() as session:
        return Scene(database, open_in(session, stable=stable, candidate=candidate))


@pytest.mark.parametrize(
    ("position", "state"),
    [
        pytest.param(None, State.ABORTED, id="before anything began"),
        pytest.param(0, State.ABORTED, id="during the eval"),
        pytest.param(1, State.ABORTED, id="in shadow"),
        pytest.param(2, State.ROLLED_BACK, id="at 10 %"),
        pytest.param(4, State.ROLLED_BACK, id="at 100 %"),
    ],
)
def test_a_rollback_ends_a_live_release(database: Database, position: int | None, state: State) -> None:
    """Stable serves alone at once; what users can't have met was only aborted; aliases stay where they were."""
    scene = Scene.opened(database)
    if position is not None:
        scene.drive_to(position)
    ended = undo(database)
    assert (ended.release_id, ended.state, ended.serving_digest) == (scene.release_id, state, STABLE.digest)
    route = scene.route()
    assert (route.stable_digest, route.candidate_digest, route.weight_percent) == (STABLE.digest, None, 0)
    assert route.revision == ended.route_revision
    assert aliases(database) == (None, None)
    release = scene.release()
    assert (release.state, release.reason, release.position) == (state, "users complain", position or 0)


def test_after_a_promotion_the_previous_variant_serves_again(database: Database) -> None:
    """The aliases swap, and the promoted release counts as rolled back."""
    scene = Scene.opened(database)
    scene.drive_to_end()
    ended = undo(database)
    assert (ended.state, ended.serving_digest) == (State.ROLLED_BACK, STABLE.digest)
    assert scene.route().stable_digest == STABLE.digest
    assert aliases(database) == (STABLE.digest, CANDIDATE.digest)
    assert steps_of(database, scene.release_id)[-2:] == [("promoted", 4), ("rolled_back", 4)]


@pytest.mark.parametrize("position", [1, 3, None], ids=["in shadow", "at 50 %", "after the promotion"])
def test_a_repeated_rollback_changes_nothing(database: Database, position: int | None) -> None:
    """An impatient person, or a retry, undoes nothing more than was meant."""
    first = Scene.opened(database)
    first.drive_to_end()
    scene = release_again(database, CANDIDATE.digest)
    if position is None:
        scene.drive_to_end()
    else:
        scene.drive_to(position)
    once = undo(database)
    with database.read() as session:
        before = [len(session.exec(select(table)).all()) for table in (NoticeRow, AliasMoveRow)]
    assert [undo(database) for _ in range(2)] == [once, once]
    assert scene.route().stable_digest == CANDIDATE.digest
    assert first.release().state is State.PROMOTED
    with database.read() as session:
        assert [len(session.exec(select(table)).all()) for table in (NoticeRow, AliasMoveRow)] == before


def test_a_rejected_attempt_does_not_hide_the_promotion_before_it(database: Database) -> None:
    """Who finds production bad after another candidate failed its eval can still go back."""
    first = Scene.opened(database)
    first.drive_to_end()
    second = release_again(database, CANDIDATE.digest)
    second.evaluator.verdicts = (make_verdict(Outcome.FAIL, "accuracy"),)
    assert second.drive_to_end().state is State.REJECTED
    ended = undo(database)
    assert (ended.release_id, ended.serving_digest) == (first.release_id, STABLE.digest)
    assert first.release().state is State.ROLLED_BACK


def test_after_a_rollback_of_a_promotion_the_next_release_can_be_driven(database: Database) -> None:
    """Its drivers' tokens are larger than what the rollback wrote to the route."""
    Scene.opened(database).drive_to_end()
    undo(database)
    scene = release_again(database, STABLE.digest)
    assert scene.drive_to_end().state is State.PROMOTED
    assert aliases(database) == (CANDIDATE.digest, STABLE.digest)


def test_without_any_release_there_is_nothing_to_go_back_to(database: Database) -> None:
    """And the answer says which apps there are, also to who mistypes one."""
    with pytest.raises(NotFoundError, match="no app 'support-bot' is recorded"):
        undo(database)
    record_app(database)
    with pytest.raises(NotFoundError, match="apps: support-bot"):
        undo(database)


def test_a_rejected_release_alone_leaves_everything_as_it_is(database: Database) -> None:
    """No user met it, so there is nothing to undo."""
    scene = Scene.opened(database)
    scene.evaluator.verdicts = (make_verdict(Outcome.FAIL, "accuracy"),)
    scene.drive_to_end()
    revision = scene.route().revision
    assert undo(database) == Ended(scene.release_id, State.REJECTED, revision, STABLE.digest)


@pytest.mark.parametrize("position", [0, 1, 3], ids=["during the eval", "in shadow", "at 50 %"])
def test_an_abort_ends_a_live_release(database: Database, position: int) -> None:
    """Stable serves alone, nobody is woken, and the reason is the person's."""
    scene = Scene.opened(database)
    scene.drive_to(position)
    with database.begin() as session:
        ended = abort(session, APP, ANNA, "tea", NOON)
    assert (ended.state, scene.route().candidate_digest) == (State.ABORTED, None)
    assert scene.release().reason == "tea"
    with database.read() as session:
        assert session.exec(select(IncidentRow)).all() == []


def test_an_abort_without_a_live_release_says_so(database: Database) -> None:
    """With the name and state of the newest one."""
    scene = Scene.opened(database)
    scene.drive_to_end()
    with (
        pytest.raises(NotFoundError, match="no live release; the newest, support-bot-1, is promoted"),
        database.begin() as session,
    ):
        abort(session, APP, ANNA, "tea", NOON)


def test_the_driver_is_fenced_off_by_a_rollback(database: Database) -> None:
    """Its next step writes nothing and tells how the release ended."""
    scene = Scene.opened(database)
    scene.drive_to(3)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    undo(database)
    revision = scene.route().revision
    progress = driver.advance(scene.release_id, token)
    assert (progress.over, progress.state) == (True, State.ROLLED_BACK)
    assert scene.route().revision == revision
    with pytest.raises(FencedError, match="is over"):
        scene.driver("next").acquire_lease(scene.release_id)


def test_a_rollback_wins_against_a_driver_in_full_swing(database: Database) -> None:
    """While a driver steps as fast as it can, one command ends the release, and it stays ended."""
    scene = Scene.opened(database)
    scene.drive_to(2)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    stepping = threading.Event()
    ends: list[object] = []

    def step_on() -> None:
        try:
            while not driver.advance(scene.release_id, token).over:
                stepping.set()
        except FencedError as error:
            ends.append(error)
        else:
            ends.append("over")

    thread = threading.Thread(target=step_on)
    thread.start()
    stepping.wait(30)
    ended = undo(database)
    thread.join(30)
    assert len(ends) == 1
    assert (ended.state, scene.release().state) == (State.ROLLED_BACK, State.ROLLED_BACK)
    assert scene.route().revision == ended.route_revision


def test_no_driver_moves_a_release_between_a_rollbacks_look_and_its_end(database: Database) -> None:
    """Else the rollback would find another stage than the one that it read, and fail when it is needed."""
    scene = Scene.opened(database)
    scene.drive_to(2)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    stepped = threading.Event()

    def step_on() -> None:
        with suppress(FencedError):
            while not (progress := driver.advance(scene.release_id, token)).over and progress.next_position == 2:
                scene.clock.go(3)
        stepped.set()

    thread = threading.Thread(target=step_on)

    def once_it_has_looked(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if not thread.ident and "FROM releases" in sql:
            thread.start()
            stepped.wait(2)

    event.listen(database.engine, "after_cursor_execute", once_it_has_looked)
    ended = undo(database)
    event.remove(database.engine, "after_cursor_execute", once_it_has_looked)
    thread.join(30)
    assert stepped.is_set()
    assert (ended.state, scene.release().state, scene.release().position) == (State.ROLLED_BACK, State.ROLLED_BACK, 2)


def test_a_rollback_that_meets_a_new_release_asks_to_be_repeated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that was opened between two looks isn't left live on what was to be rolled back."""
    Scene.opened(database).drive_to_end()
    second = release_again(database, CANDIDATE.digest)
    monkeypatch.setattr("softlaunch.releases.ending.find_live", lambda *_, **__: None)
    with pytest.raises(ConflictError, match="roll back again"):
        undo(database)
    monkeypatch.undo()
    assert undo(database).release_id == second.release_id
    with database.read() as session:
        assert read_release(session, second.release_id).state is State.ABORTED
