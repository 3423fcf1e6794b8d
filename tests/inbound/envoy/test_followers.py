"""What an Envoy was told, and what it has confirmed."""

from sqlmodel import select

from softlaunch.inbound.envoy.followers import Follower, Followers
from softlaunch.inbound.envoy.layers import Layer
from softlaunch.ledger.gateways import read_gateways, wait_for_gateways
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow
from tests.support.builders import APP


def layer(revision: int, weight: float) -> Layer:
    """A layer with a weight."""
    return Layer(APP, revision, {"key": 1} if weight else {}, weight, 100.0)


def test_an_envoy_that_refuses_is_behind() -> None:
    """It goes on with what it had, and its revision says so."""
    follower = Follower("n1", APP)
    follower.tell(layer(1, 5.0), 100.0)
    follower.confirm(100.1)
    follower.tell(layer(2, 50.0), 110.0)
    follower.refuse("bad value")
    assert (follower.revision, follower.problem) == (1, "bad value")


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
    follower.confirm(now)
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
    assert followers.connected == 1


def test_envoys_of_one_name_do_what_all_of_them_do(database: Database) -> None:
    """While one of them is behind the name is."""
    now = 1000.0
    followers = Followers(database, lambda: now)
    both = [followers.meet("n1", APP) for _ in range(2)]
    for one in both:
        one.tell(layer(1, 5.0), now)
        one.confirm(now)
    now = 1010.0
    both[0].tell(layer(2, 50.0), now)
    both[0].confirm(now)
    followers.report()
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [1]
    both[1].tell(layer(2, 50.0), now)
    both[1].confirm(now)
    followers.report()
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [2]


def test_an_envoy_is_where_it_was_heard_of_last(database: Database) -> None:
    """It went from one control plane to another and back, and the other one was killed: nobody is behind."""
    now = 1000.0
    first, second = (Followers(database, lambda: now) for _ in range(2))
    for followers, revision in ((first, 1), (second, 2), (first, 3)):
        follower = followers.meet("n1", APP)
        follower.tell(layer(revision, 5.0), now)
        follower.confirm(now)
        followers.report()
        followers.lose(follower)
        now += 5.0
    with database.read() as session:
        assert [one.revision for one in read_gateways(session, APP, 0.0)] == [3]
