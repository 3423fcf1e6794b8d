"""What an Envoy was told, and what it has confirmed."""

import pytest
from sqlmodel import select

from softlaunch.inbound.envoy.followers import Follower, Followers
from softlaunch.inbound.envoy.layers import Layer
from softlaunch.ledger.gateways import Problem, read_gateways, wait_for_gateways
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow
from tests.support.builders import APP


def layer(revision: int, weight: float) -> Layer:
    """A layer with a weight."""
    return Layer(APP, revision, {"key": 1} if weight else {}, 100.0)


def test_an_envoy_that_refuses_is_behind() -> None:
    """It goes on with what it had, and its revision says so."""
    follower = refusing()
    assert (follower.revision, follower.problem(111.0)) == (1, Problem(2, 110.1, "bad value"))


def refusing() -> Follower:
    """An Envoy that has confirmed 5 % by the first revision, and refuses 50 % by the second."""
    follower = Follower("n1", APP)
    follower.tell(layer(1, 5.0), 100.0)
    follower.confirm()
    follower.tell(layer(2, 50.0), 110.0)
    follower.refuse("bad value", 110.1)
    return follower


def test_an_end_of_the_lease_hides_no_refusal() -> None:
    """That it takes stable's layer, which is empty, doesn't mean that it can use the weights of that revision."""
    follower = refusing()
    follower.tell(layer(2, 0.0), 120.0)
    follower.confirm()
    assert follower.problem(121.0) == Problem(2, 110.1, "bad value")


@pytest.mark.parametrize(("revision", "weight"), [(2, 50.0), (3, 0.0)], ids=["the same weights", "a later revision"])
def test_what_it_takes_at_last_settles_a_refusal(revision: int, weight: float) -> None:
    """Nothing is known against it any more; how often it refused stays counted."""
    follower = refusing()
    follower.tell(layer(revision, weight), 120.0)
    follower.confirm()
    assert follower.problem(121.0) is None
    assert follower.refusals == {(APP, "n1"): 1}


def test_an_envoy_that_says_nothing_is_noticed() -> None:
    """It has three seconds, counted from the oldest of what it hasn't answered; its word ends that."""
    follower = Follower("n1", APP)
    follower.tell(layer(1, 5.0), 100.0)
    follower.tell(layer(1, 5.0), 102.0)
    assert follower.problem(102.9) is None
    assert follower.problem(103.0) == Problem(1, 100.0)
    follower.confirm()
    assert follower.problem(110.0) is None


def test_the_ledger_knows_which_envoys_follow(database: Database) -> None:
    """Each is there like a gateway; one whose connection is lost is silent, and gone once its lease is over."""
    now = 1000.0
    followers = Followers(database, lambda: now)
    follower = followers.meet("n1", APP)
    follower.lease_seconds = 10.0
    follower.tell(layer(3, 5.0), now)
    followers.report()
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [0]
    follower.confirm()
    followers.report()
    followed = wait_for_gateways(database, APP, 3, clock=lambda: now)
    assert (followed.running, followed.following) == (1, 1)
    followers.lose(follower)
    now = 1005.0
    followers.report()
    with database.read() as session:
        assert [one.heard_at for one in read_gateways(session, APP, 0.0)] == [1000.0]
    now = 1011.0
    followers.report()
    with database.read() as session:
        assert read_gateways(session, APP, 0.0) == []
        assert [row.kind for row in session.exec(select(GatewayRow)).all()] == ["router"]


def test_a_connection_may_take_the_place_of_another(database: Database) -> None:
    """The old one ends after the new one has begun: the Envoy is still there."""
    followers = Followers(database)
    old, _ = followers.meet("n1", APP), followers.meet("n1", APP)
    followers.lose(old)
    assert len(followers.present) == 1


def test_envoys_of_one_name_do_what_all_of_them_do(database: Database) -> None:
    """While one of them is behind the name is."""
    now = 1000.0
    followers = Followers(database, lambda: now)
    both = [followers.meet("n1", APP) for _ in range(2)]
    for one in both:
        one.tell(layer(1, 5.0), now)
        one.confirm()
    now = 1010.0
    both[0].tell(layer(2, 50.0), now)
    both[0].confirm()
    followers.report()
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [1]
    both[1].tell(layer(2, 50.0), now)
    both[1].confirm()
    followers.report()
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [2]


def test_the_ledger_is_told_what_an_envoy_refuses(database: Database) -> None:
    """Who waits for it reads its own words; a refusal is told rather than the silence of another of its name."""
    now = 1000.0
    followers = Followers(database, lambda: now)
    refuses, hangs = (followers.meet("n1", APP) for _ in range(2))
    for one in (refuses, hangs):
        one.tell(layer(3, 5.0), now)
    refuses.refuse("bad value", now)
    now = 1010.0
    followers.report()
    followed = wait_for_gateways(database, APP, 3, clock=lambda: now, ticks=iter([0.0, 9.0]).__next__)
    assert "(refuses revision 3: bad value)" in followed.sentence
    with database.read() as session:
        assert [one.problem for one in read_gateways(session, APP, 0.0)] == [Problem(3, 1000.0, "bad value")]
    followers.lose(refuses)
    followers.report()
    with database.read() as session:
        assert [one.problem for one in read_gateways(session, APP, 0.0)] == [Problem(3, 1000.0)]


def test_an_envoy_is_where_it_was_heard_of_last(database: Database) -> None:
    """It went from one control plane to another and back, and the other one was killed: nobody is behind."""
    now = 1000.0
    first, second = (Followers(database, lambda: now) for _ in range(2))
    for followers, revision in ((first, 1), (second, 2), (first, 3)):
        follower = followers.meet("n1", APP)
        follower.tell(layer(revision, 5.0), now)
        follower.confirm()
        followers.report()
        followers.lose(follower)
        now += 5.0
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [3]
