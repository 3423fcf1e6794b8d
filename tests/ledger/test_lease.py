"""The right to drive a release, and its transitions."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, col, select

from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.lease import Transition, apply_transition, claim, release_claim, renew, set_free, unattended
from softlaunch.ledger.releases import FencedError, read_release
from softlaunch.policy.release import IllegalTransitionError, State
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from softlaunch.store.tables import DriveRow
from tests.support.builders import ANNA, NOON, open_in_new_app, steps_of

TTL = timedelta(seconds=15)
LATER = NOON + TTL


def test_only_one_driver_at_a_time(database: Database) -> None:
    """Until the right runs out it is the holder's, whom the refusal names; afterwards the next token is larger."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        first = claim(session, release_id, "one", TTL, NOON)
    with pytest.raises(FencedError, match="driven by one"), database.begin() as session:
        claim(session, release_id, "two", TTL, LATER - timedelta(microseconds=1))
    with database.begin() as session:
        assert claim(session, release_id, "two", TTL, LATER) > first


def test_a_right_that_is_renewed_does_not_run_out(database: Database) -> None:
    """And one that was let go is free at once."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        token = claim(session, release_id, "one", TTL, NOON)
        renew(session, release_id, token, TTL, NOON + timedelta(seconds=10))
    with pytest.raises(FencedError), database.begin() as session:
        claim(session, release_id, "two", TTL, LATER)
    with database.begin() as session:
        release_claim(session, release_id, token, LATER)
        claim(session, release_id, "two", TTL, LATER)


def test_a_stale_token_is_refused_everywhere(database: Database) -> None:
    """A driver that was replaced can't renew, move the release on, or shorten its successor's right."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        stale = claim(session, release_id, "one", TTL, NOON)
        claim(session, release_id, "two", TTL, LATER)
        release = read_release(session, release_id)
    with pytest.raises(FencedError, match="was replaced"), database.begin() as session:
        renew(session, release_id, stale, TTL, LATER)
    with pytest.raises(FencedError, match="has changed"), database.begin() as session:
        apply_transition(session, Transition(release, State.EVALUATING, 0, "go"), ANNA, LATER, stale)
    with database.begin() as session:
        release_claim(session, release_id, stale, NOON)
        assert unattended(session, TTL, LATER) == []
    assert steps_of(database, release_id) == [("pending", 0)]


def test_a_release_that_is_over_can_not_be_driven(database: Database) -> None:
    """The refusal says how it ended."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        token = claim(session, release_id, "one", TTL, NOON)
        abort(session, "support-bot", ANNA, "tea", NOON)
    with pytest.raises(FencedError, match=r"is over: aborted \(tea\)"), database.begin() as session:
        claim(session, release_id, "two", TTL, LATER)
    with pytest.raises(FencedError), database.begin() as session:
        renew(session, release_id, token, TTL, NOON)


def test_nobody_drives_what_was_never_opened(database: Database) -> None:
    """A wrong id is said to be one."""
    with pytest.raises(NotFoundError), database.begin() as session:
        claim(session, "support-bot-7", "one", TTL, NOON)


def test_a_transition_is_written_once(database: Database) -> None:
    """Whoever read the release before somebody else moved it is refused."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        token = claim(session, release_id, "one", TTL, NOON)
        release = read_release(session, release_id)
        step = Transition(release, State.EVALUATING, 0, "go")
        apply_transition(session, step, ANNA, NOON, token)
    with pytest.raises(FencedError, match="revision 0"), database.begin() as session:
        apply_transition(session, step, ANNA, NOON, token)
    assert steps_of(database, release_id) == [("pending", 0), ("evaluating", 0)]


def test_an_illegal_transition_is_refused_before_it_is_tried(database: Database) -> None:
    """The state machine holds in the ledger too."""
    release_id = open_in_new_app(database)
    with database.read() as session:
        step = Transition(read_release(session, release_id), State.PROMOTED, 4, "hurry")
    with pytest.raises(IllegalTransitionError), database.begin() as session:
        apply_transition(session, step, ANNA, NOON)


def test_a_person_who_writes_fences_the_driver_off(database: Database) -> None:
    """Without a token the right to drive ends with the write."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        token = claim(session, release_id, "one", TTL, NOON)
        step = Transition(read_release(session, release_id), State.EVALUATING, 0, "go")
        apply_transition(session, step, ANNA, NOON)
    with pytest.raises(FencedError), database.begin() as session:
        renew(session, release_id, token, TTL, NOON)


def unattended_ids(session: Session, now: datetime) -> list[str]:
    """Releases that look as if nobody drove them."""
    return [right.release_id for right in unattended(session, TTL, now)]


def test_a_release_looks_unattended_when_its_driver_is_silent(database: Database) -> None:
    """One that was opened a moment ago is left to whoever opened it; one that is over isn't looked after."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        assert unattended_ids(session, LATER - timedelta(seconds=1)) == []
        assert unattended_ids(session, LATER) == [release_id]
        claim(session, release_id, "one", TTL, NOON)
        assert unattended_ids(session, NOON) == []
        assert unattended_ids(session, LATER) == [release_id]
        abort(session, "support-bot", ANNA, "tea", NOON)
        assert unattended_ids(session, LATER) == []


def test_a_right_from_the_future_looks_unattended(database: Database) -> None:
    """Its driver died before the clock was set back: nobody may have to wait for an hour."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        claim(session, release_id, "one", TTL, NOON + timedelta(hours=1))
        assert unattended_ids(session, NOON) == [release_id]


def test_a_right_is_set_free_once_and_only_as_it_was_read(database: Database) -> None:
    """Of two who read it one sets it free; a driver that renewed it keeps it, and one that wakes up gets it back."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        token = claim(session, release_id, "one", TTL, NOON)
        (right,) = unattended(session, TTL, LATER)
        renew(session, release_id, token, TTL, LATER)
        assert not set_free(session, right, LATER)
    late = LATER + TTL
    with database.begin() as session:
        (right,) = unattended(session, TTL, late)
        assert set_free(session, right, late + timedelta(seconds=1))
        assert not set_free(session, right, late + timedelta(seconds=2))
        renew(session, release_id, token, TTL, late + timedelta(seconds=3))
    with pytest.raises(FencedError, match="driven by one"), database.begin() as session:
        claim(session, release_id, "two", TTL, late + timedelta(seconds=4))


def test_it_is_kept_who_drove(database: Database) -> None:
    """Each take-over is a row with holder and time."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        first = claim(session, release_id, "one", TTL, NOON)
        second = claim(session, release_id, "two", TTL, LATER)
    with database.read() as session:
        rows = session.exec(select(DriveRow).order_by(col(DriveRow.id))).all()
    assert [(row.token, row.holder, row.began_at) for row in rows] == [(first, "one", NOON), (second, "two", LATER)]
