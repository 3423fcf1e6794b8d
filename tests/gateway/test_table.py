"""The route table: what gateways act by while the ledger changes, breaks and comes back."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from softlaunch.core.clock import utc_now
from softlaunch.core.variant import Variant
from softlaunch.gateway.table import RouteTable
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import RouteRow
from tests.gateway.worlds import APP, record, variant

STABLE, CANDIDATE = variant("stable", "http://127.0.0.1:1/v1"), variant("candidate", "http://127.0.0.1:1/v1")


class Routed:
    """A ledger with one route, and a table that is told when to look."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)
        record(self.database, STABLE, CANDIDATE, Serving(salt="s", gateway=GatewayPolicy()))
        self.now = 0.0
        self.table = RouteTable(self.database, clock=lambda: self.now)
        self.look()

    def change(self, **columns: object) -> None:
        """Write a new revision."""
        with self.database.begin() as session:
            session.execute(update(RouteRow).values(revision=RouteRow.revision + 1, **columns))

    def beat(self) -> None:
        """Write a sign of life."""
        with self.database.begin() as session:
            session.execute(update(RouteRow).values(beat=RouteRow.beat + 1))

    def look(self, seconds: float = 0.2) -> bool:
        """Let the table look again, so much later."""
        self.now += seconds
        return self.table.refresh()

    def allowed(self) -> bool:
        """Whether the candidate may be served."""
        served = self.table.get(APP)
        assert served is not None
        return served.candidate_allowed()

    def start_canary(self) -> None:
        """Give the candidate half, and let the gateway see two beats."""
        self.change(candidate_digest=CANDIDATE.digest, release_id="r", weight_percent=50.0)
        self.look()
        self.beat()
        self.look()


@pytest.fixture
def routed(tmp_path: Path) -> Routed:
    """A route that serves stable alone."""
    return Routed(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_change_is_seen_at_the_next_look(routed: Routed) -> None:
    """A new revision is in force as soon as it was read."""
    routed.change(weight_percent=7.0)
    routed.look()
    served = routed.table.get(APP)
    assert served is not None
    assert served.route.weight_percent == 7.0
    assert routed.table.revisions() == {APP: 2}


def test_a_change_of_the_split_keeps_the_lease(routed: Routed) -> None:
    """The next stage doesn't make the gateway wait for a new beat."""
    routed.start_canary()
    routed.change(weight_percent=100.0)
    routed.look()
    assert routed.allowed()


def test_without_beats_the_candidate_goes(routed: Routed) -> None:
    """The lease runs out although the route still names the candidate."""
    routed.start_canary()
    assert routed.allowed()
    for _ in range(45):
        routed.look()
    assert routed.allowed()
    for _ in range(10):
        routed.look()
    assert not routed.allowed()


def test_a_lost_database_leaves_the_routes_and_lets_the_lease_run_out(routed: Routed) -> None:
    """Stable goes on by the last route; the candidate only as long as its lease."""
    routed.start_canary()
    with routed.database.begin() as session:
        session.execute(text("alter table routes rename to elsewhere"))
    assert not routed.look()
    assert routed.allowed()
    assert routed.table.seconds_since_read == pytest.approx(0.2)
    assert not routed.look(10.0)
    assert not routed.allowed()
    served = routed.table.get(APP)
    assert served is not None
    assert served.route.stable == STABLE


def test_an_unreadable_change_ends_the_candidate(routed: Routed) -> None:
    """A split that can't be understood is never guessed: stable alone, until it can be."""
    routed.start_canary()
    routed.change(serving={"salt": "s", "speed": 1, "unit": {"colour": "red"}})
    assert routed.look()
    assert not routed.allowed()
    routed.change(serving={"salt": "s"})
    routed.look()
    routed.beat()
    routed.look()
    assert routed.allowed()


def test_a_breaker_is_of_one_revision(routed: Routed) -> None:
    """A breaker that has tripped stops this candidate at this revision, and not at the next."""
    routed.start_canary()
    before = routed.table.get(APP)
    assert before is not None
    before.breaker.reason = "it failed"
    assert not routed.allowed()
    routed.change(weight_percent=5.0)
    routed.look()
    assert routed.allowed()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"weight_percent": 5.0}, id="another stage"),
        pytest.param({"candidate_digest": None, "release_id": None, "weight_percent": 0.0}, id="a rollback"),
    ],
)
def test_requests_under_way_make_no_copies_once_their_route_has_changed(routed: Routed, change: Any) -> None:
    """They hold the route that they came with, whose candidate was watched and in service."""
    routed.start_canary()
    before = routed.table.get(APP)
    assert before is not None
    assert before.candidate_allowed()
    routed.change(**change)
    routed.look()
    assert before.lease_holds()
    assert not before.breaker.tripped
    assert not before.candidate_allowed()


def test_a_route_taken_away_is_gone(routed: Routed) -> None:
    """An app without route isn't served any more."""
    with routed.database.begin() as session:
        session.execute(text("delete from routes"))
    routed.look()
    assert routed.table.get(APP) is None


def test_nothing_is_known_before_the_first_reading(tmp_path: Path) -> None:
    """A gateway that has never read its routes says so."""
    table = RouteTable(Database(f"sqlite:///{tmp_path / 'empty.db'}"))
    assert not table.refresh()
    assert not table.has_been_read
    assert table.seconds_since_read == float("inf")


def test_a_replaced_ledger_proves_nothing(routed: Routed, caplog: pytest.LogCaptureFixture) -> None:
    """The candidate goes when the lease runs out, whoever beats in which file; it is said once, and shown."""
    routed.start_canary()
    path = routed.database.path
    assert path is not None
    copied = path.with_name("copy.db")
    with routed.database.engine.connect() as connection:
        connection.connection.cursor().execute("VACUUM INTO ?", (str(copied),))
    copied.rename(path)
    for _ in range(60):
        assert not routed.look()
    assert not routed.allowed()
    assert "ledger.db was replaced by another one" in routed.table.problem
    assert len([record for record in caplog.records if "replaced" in record.message]) == 1
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "backwards", [pytest.param("beat", id="a beat"), pytest.param("revision", id="a revision of the route")]
)
def test_a_ledger_that_went_back_proves_nothing(routed: Routed, backwards: str) -> None:
    """A backup that was put into the very file: a beat that differs is no sign of life."""
    routed.start_canary()
    column = getattr(RouteRow, backwards)
    with routed.database.begin() as session:
        session.execute(update(RouteRow).values({backwards: column - 1}))
    for _ in range(60):
        assert not routed.look()
    assert not routed.allowed()
    assert "the ledger went back in time" in routed.table.problem


@pytest.mark.postgres
@pytest.mark.long
def test_after_a_standby_took_over_newer_beats_alone_prove_something(
    migrated_postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it says is in force at once; beats up to those that were seen before may be as old as the takeover."""
    routed = Routed(migrated_postgres)
    routed.start_canary()
    for _ in range(5):
        routed.beat()
        routed.look()
    with routed.database.begin() as session:
        session.execute(update(RouteRow).values(beat=RouteRow.beat - 3, weight_percent=7.0, changed_at=utc_now()))
    for _ in range(3):
        assert routed.look(seconds=4)
        routed.beat()
    served = routed.table.get(APP)
    assert served is not None
    assert served.route.weight_percent == 7.0
    assert not routed.allowed()
    for _ in range(3):
        routed.beat()
        routed.look()
    assert routed.allowed()
    assert len([one for one in caplog.records if "a standby took over" in one.message]) == 1
    routed.database.close()


def test_a_revision_that_was_given_twice_is_read_again(routed: Routed) -> None:
    """A standby that took over without the last change gives its number to another one: a rollback, say."""
    routed.start_canary()
    with routed.database.begin() as session:
        again = {"candidate_digest": None, "weight_percent": 0.0, "changed_at": utc_now(), "beat": RouteRow.beat + 1}
        session.execute(update(RouteRow).values(again))
    assert routed.look()
    served = routed.table.get(APP)
    assert served is not None
    assert served.route.candidate is None


def test_another_ledger_at_the_same_address_proves_nothing(routed: Routed) -> None:
    """Its routes may be called the same."""
    routed.start_canary()
    with routed.database.begin() as session:
        session.execute(text("update ledger set id = 'another'"))
    routed.beat()
    assert not routed.look()
    assert "the ledger was replaced by another one; restart this gateway" in routed.table.problem


def test_prices_are_known_before_the_first_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the published ones takes half a second, for which every other request would wait, too."""
    asked: list[str] = []
    monkeypatch.setattr("softlaunch.gateway.table.is_priced", lambda model: asked.append(model.name))
    spare = variant("spare", "http://127.0.0.1:1/v1").model
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    record(database, Variant(prompt=STABLE.prompt, model=STABLE.model, fallbacks=(spare,)), None, Serving(salt="s"))
    RouteTable(database).refresh()
    assert asked == ["stable", "spare"]
