"""Releases in the ledger: opening, the lock, reading."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import select

from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.lease import Transition, apply_transition, claim
from softlaunch.ledger.releases import (
    Actor,
    ReleaseLockedError,
    find_latest,
    find_live,
    find_newest,
    find_opened_from,
    list_releases,
    read_release,
)
from softlaunch.ledger.splits import Split, set_split
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.release import State
from softlaunch.releases.decision import End
from softlaunch.releases.ending import abort, end_release
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow, RouteRow
from tests.support.builders import (
    ANNA,
    APP,
    CANDIDATE,
    NOON,
    STABLE,
    make_policy,
    open_in,
    open_in_new_app,
    record_app,
    steps_of,
)

TTL = timedelta(seconds=15)


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each work returned or raised when all began at the same moment, in threads of their own."""
    barrier = threading.Barrier(len(works))
    ends: list[object] = [None] * len(works)

    def run(index: int, work: Callable[[], object]) -> None:
        barrier.wait(10)
        try:
            ends[index] = work()
        except Exception as error:  # the test looks at it
            ends[index] = error

    threads = [threading.Thread(target=run, args=(index, work)) for index, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return ends


def test_what_was_frozen_is_read_back(database: Database) -> None:
    """Variants and policy are whole, and every stage of the plan waits."""
    policy = make_policy(alpha=0.02)
    release_id = open_in_new_app(database, policy)
    with database.read() as session:
        release = read_release(session, release_id)
        stages = read_stages(session, release_id)
    assert (release.id, release.number, release.state, release.position) == ("support-bot-1", 1, State.PENDING, 0)
    assert (release.stable, release.candidate, release.policy) == (STABLE, CANDIDATE, policy)
    assert (release.opened_at, release.opened_by, release.outcome) == (NOON, "anna", None)
    assert [(stage.position, stage.state, stage.evidence) for stage in stages] == [(n, "waiting", {}) for n in range(5)]
    assert steps_of(database, release_id) == [("pending", 0)]


def test_a_second_release_is_refused_and_told_who_holds_the_app(database: Database) -> None:
    """The message names the holder and both ways on."""
    open_in_new_app(database)
    with pytest.raises(ReleaseLockedError) as refused, database.begin() as session:
        open_in(session)
    for part in ("support-bot-1 (pending)", "anna from command line", "release watch support-bot", "release abort"):
        assert part in str(refused.value)


def test_of_two_that_open_at_the_same_moment_exactly_one_wins(database: Database) -> None:
    """The lock is a constraint of the database, not a look before."""
    record_app(database)

    def open_now() -> str:
        with database.begin() as session:
            return open_in(session)

    ends = at_once(*[open_now] * 4)
    assert sorted(str(end) for end in ends if isinstance(end, str)) == ["support-bot-1"]
    assert sum(isinstance(end, ReleaseLockedError) for end in ends) == 3, ends


def test_a_release_is_not_opened_against_a_stable_that_serves_no_longer(database: Database) -> None:
    """Otherwise its first split would hand all users another variant, past every gate."""
    record_app(database)
    with pytest.raises(ConflictError, match="start the release again"), database.begin() as session:
        open_in(session, stable=CANDIDATE, candidate=STABLE)


def test_numbers_and_tokens_grow_over_the_releases_of_an_app(database: Database) -> None:
    """A driver of an earlier release can't write for a later one."""
    open_in_new_app(database)
    with database.begin() as session:
        first = claim(session, "support-bot-1", "one", TTL, NOON)
        set_split(session, APP, STABLE.digest, Split(), first, NOON)
        abort(session, APP, ANNA, "tea", NOON)
        fence = session.get_one(RouteRow, APP, populate_existing=True).fence
    with database.begin() as session:
        second_id = open_in(session)
        second = claim(session, second_id, "two", TTL, NOON)
    assert second_id == "support-bot-2"
    assert second > fence > first


def test_an_ended_release_leaves_the_lock(database: Database) -> None:
    """The next one may begin at once."""
    open_in_new_app(database)
    with database.begin() as session:
        abort(session, APP, ANNA, "tea", NOON)
        assert find_live(session, APP) is None
        open_in(session)
        live = find_live(session, APP)
    assert live is not None


def test_the_newest_release_is_found_by_what_became_of_it(database: Database) -> None:
    """Of all, or of those in certain states."""
    open_in_new_app(database)
    with database.begin() as session:
        abort(session, APP, ANNA, "tea", NOON)
        open_in(session)
    with database.read() as session:
        assert find_latest(session, APP).id == "support-bot-2"
        aborted = find_newest(session, APP, {State.ABORTED, State.REJECTED})
        assert aborted is not None
        assert aborted.id == "support-bot-1"
        assert find_newest(session, APP, {State.PROMOTED}) is None
        assert [release.number for release in list_releases(session, APP, 10)] == [2, 1]
        assert [release.number for release in list_releases(session, None, 1)] == [2]
        assert list_releases(session, "other", 10) == []


def test_a_release_is_found_by_the_request_that_opened_it(database: Database) -> None:
    """A request that is repeated finds its release."""
    open_in_new_app(database)
    with database.read() as session:
        assert find_opened_from(session, APP, "command line") == "support-bot-1"
        assert find_opened_from(session, APP, "flow run 1") is None


def test_names_that_are_not_recorded_are_answered_with_what_is(database: Database) -> None:
    """A typo shows at once."""
    record_app(database)
    with database.read() as session:
        with pytest.raises(NotFoundError, match="apps: support-bot"):
            find_latest(session, "suport-bot")
        with pytest.raises(NotFoundError, match="release list"):
            read_release(session, "support-bot-9")


def test_the_constraint_alone_keeps_two_live_releases_apart(database: Database) -> None:
    """Even a writer that doesn't look can't make a second one."""
    open_in_new_app(database)
    with database.read() as session:
        columns = session.exec(select(ReleaseRow)).one().model_dump()
    with pytest.raises(Exception, match=r"(?i)unique"), database.begin() as session:
        session.add(ReleaseRow(**{**columns, "id": "support-bot-2", "number": 2}))


def test_a_release_ends_with_outcome_reason_and_time(database: Database) -> None:
    """What the ledger keeps of the end is read back."""
    release_id = open_in_new_app(database)
    later = NOON + timedelta(minutes=5)
    with database.begin() as session:
        release = read_release(session, release_id)
        apply_transition(session, Transition(release, State.EVALUATING, 0, "begins"), ANNA, NOON)
        release = read_release(session, release_id)
        end = End(State.REJECTED, Outcome.FAIL, "accuracy fell", "accuracy")
        end_release(session, release, end, Actor("driver one", "driver"), later)
    with database.read() as session:
        ended = read_release(session, release_id)
    assert (ended.state, ended.outcome, ended.reason) == (State.REJECTED, Outcome.FAIL, "accuracy fell")
    assert ended.ended_at == later
