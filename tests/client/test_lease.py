"""How long a candidate may be served: counted from before the question, and prolonged by no clock."""

import json

import pytest

from softlaunch.client.feed import Feed
from softlaunch.client.known import SETTLING_SECONDS, KnownApp
from softlaunch.client.lease import Clocks, LocalLease
from softlaunch.client.wire import Answered, Server, UnreachableError
from tests.support.config_server import APP, route


class Times:
    """Two clocks that go on when they are told."""

    def __init__(self) -> None:
        self.running, self.wall = 1000.0, 1_790_000_000.0
        self.clocks = Clocks(lambda: self.running, lambda: self.wall)

    def pass_(self, seconds: float) -> None:
        """Both go on."""
        self.running += seconds
        self.wall += seconds


class Said(Server):
    """A server whose answers are given; each takes the time that it is told to take."""

    def __init__(self, times: Times) -> None:
        super().__init__("http://127.0.0.1:1")
        self.times = times
        self.route = route(100.0)
        self.ledger = "ledger"
        self.left: float | None = 10.0
        self.takes = 0.0
        self.is_away = False
        self.waits: list[float] = []

    def get(self, path: str, headers: dict[str, str], timeout: float) -> Answered:  # type: ignore[override]
        """Answer what is said now."""
        self.waits.append(float(path.rpartition("wait=")[2]))
        self.times.pass_(self.takes)
        if self.is_away:
            raise UnreachableError("away")
        if headers.get("If-None-Match") == self.etag:
            return Answered(304, {"x-softlaunch-lease-left": json.dumps({APP: self.left})}, b"")
        said = {"ledger": self.ledger, "apps": {APP: {**self.route, "lease_left_seconds": self.left}}}
        return Answered(200, {"etag": self.etag}, json.dumps(said).encode())

    @property
    def etag(self) -> str:
        """What names what is said."""
        return f"{self.route['revision']}-{self.ledger}"


@pytest.fixture
def times() -> Times:
    """Clocks at some moment."""
    return Times()


@pytest.fixture
def said(times: Times) -> Said:
    """A server with a candidate at 100 %."""
    return Said(times)


@pytest.fixture
def app(said: Said, times: Times) -> KnownApp:
    """An app that was asked about once."""
    known = KnownApp(APP, times.clocks)
    feed = Feed(said, clocks=times.clocks)
    feed._apps = {APP: known}
    feed.look()
    said.feed = feed  # type: ignore[attr-defined]
    return known


def look(said: Said) -> float:
    """Ask once more."""
    feed: Feed = said.feed  # type: ignore[attr-defined]
    return feed.look()


def holds(app: KnownApp) -> bool:
    """Whether the candidate may be served."""
    assert app.current is not None
    return app.current.lease.holds()


def test_it_counts_from_before_the_question(said: Said, app: KnownApp, times: Times) -> None:
    """What took four seconds to come has four seconds less."""
    said.takes = 4.0
    look(said)
    times.pass_(5.9)
    assert holds(app)
    times.pass_(0.2)
    assert not holds(app)


def test_an_answer_that_took_too_long_renews_nothing(said: Said, app: KnownApp) -> None:
    """A process that was stopped in the midst of a question comes back to stable, and asks again at once."""
    said.takes = 3600.0
    look(said)
    assert not holds(app)
    said.takes = 0.0
    look(said)
    assert said.waits[-1] == 0.0
    assert holds(app)


def test_nobody_watches(said: Said, app: KnownApp) -> None:
    """Nothing left at the server is nothing left here."""
    said.left = 0.0
    look(said)
    assert not holds(app)


def test_a_server_that_does_not_know_who_watches(said: Said, app: KnownApp, times: Times) -> None:
    """What another one behind the same address said is left goes on, into the next stage too, and then is over."""
    said.left = None
    look(said)
    assert holds(app)
    said.route = {**route(100.0), "revision": 2}
    look(said)
    times.pass_(9.9)
    assert holds(app)
    times.pass_(0.2)
    assert not holds(app)


def test_a_server_that_saw_an_earlier_sign_of_life(said: Said, app: KnownApp, times: Times) -> None:
    """Less than another one said takes nothing away."""
    said.left = 1.0
    look(said)
    times.pass_(9.9)
    assert holds(app)


def test_the_server_is_away(said: Said, app: KnownApp, times: Times) -> None:
    """The candidate goes when what was left is over, and not before."""
    said.is_away = True
    look(said)
    assert holds(app)
    times.pass_(9.9)
    assert holds(app)
    times.pass_(0.2)
    assert not holds(app)
    assert app.current is not None
    assert app.current.route.stable.model == "stable"


def test_questions_are_so_close_that_the_lease_never_runs_out(said: Said, app: KnownApp, times: Times) -> None:
    """As long as somebody watches, a candidate is served without a gap."""
    for _ in range(50):
        said.takes = 2.0
        look(said)
        assert said.waits[-1] <= 2.0
        assert holds(app)
    said.route = {**route(), "revision": 2}
    look(said)
    look(said)
    assert said.waits[-1] == 30.0


def test_a_machine_that_sleeps(app: KnownApp, times: Times) -> None:
    """Either clock ends the lease: one that stood still, and the other that went on."""
    times.wall += 11.0
    assert not holds(app)
    times.wall -= 11.0
    times.running += 11.0
    assert not holds(app)


def test_a_clock_that_is_set_back_prolongs_nothing(app: KnownApp, times: Times) -> None:
    """The wall clock a day earlier changes nothing."""
    times.wall -= 86_400.0
    times.running += 9.9
    assert holds(app)
    times.running += 0.2
    assert not holds(app)


def test_more_than_the_lease_is_never_granted(said: Said, app: KnownApp, times: Times) -> None:
    """A server that says more than the policy is not believed."""
    said.left = 1e9
    look(said)
    times.pass_(10.1)
    assert not holds(app)


def test_what_was_left_belongs_to_its_own_route(said: Said, app: KnownApp) -> None:
    """A release that follows another has to be seen watched itself."""
    said.route, said.left = {**route(100.0), "revision": 2, "release_id": "support-bot-2"}, None
    look(said)
    assert not holds(app)


def test_a_server_that_lags_behind(said: Said, app: KnownApp, times: Times) -> None:
    """An older revision neither counts nor renews, until nothing newer was heard for a while."""
    said.route = {**route(), "revision": 2}
    look(said)
    said.route = {**route(100.0), "revision": 1}
    look(said)
    assert not app.is_live
    times.pass_(SETTLING_SECONDS + 1)
    look(said)
    assert app.is_live


def test_another_ledger(said: Said, app: KnownApp, times: Times) -> None:
    """Another ledger's word renews nothing; it is followed when it stays."""
    said.ledger, said.route = "another", {**route(100.0), "revision": 9}
    times.pass_(8.0)
    look(said)
    times.pass_(2.1)
    assert not holds(app)
    times.pass_(SETTLING_SECONDS)
    look(said)
    assert holds(app)


def test_nothing_left_is_no_lease() -> None:
    """None, zero and what is no number leave no lease."""
    lease = LocalLease()
    for left in (None, 0.0, -1.0, float("nan")):
        lease.renew(left, Times().clocks.now())
        assert not lease.holds()
        assert lease.left() == 0.0
