"""The right to drive a release, and its transitions."""

from datetime import timedelta

import pytest
from builders import ANNA, NOON, open_in_new_app, steps_of

from softlaunch.ending import abort
from softlaunch.errors import NotFoundError
from softlaunch.release import IllegalTransitionError, State
from softlaunch.store.database import Database
from softlaunch.store.driving import Transition, apply_transition, claim, orphans, release_claim, renew
from softlaunch.store.releases import FencedError, read_release

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
        assert orphans(session, LATER) == []
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


def test_orphans_are_live_releases_whose_driver_is_silent(database: Database) -> None:
    """One that nobody has driven yet is one, one that is over isn't."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        assert orphans(session, NOON) == [release_id]
        claim(session, release_id, "one", TTL, NOON)
        assert orphans(session, NOON) == []
        assert orphans(session, LATER) == [release_id]
        abort(session, "support-bot", ANNA, "tea", NOON)
        assert orphans(session, LATER) == []
