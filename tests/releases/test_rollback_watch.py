"""A rollback that a gateway doesn't follow: told of once, and resolved when it follows, stops or is replaced."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.notices import resolve_incident
from softlaunch.ledger.releases import Actor
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.releases.ending import roll_back
from softlaunch.releases.rollback_watch import watch_rollbacks
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, Scene, make_policy

AT_ONCE = make_policy(stages=[{"weight_percent": 100, "minimum_requests": 20, "minimum_time": 5, "deadline": 600}])
BERT = Actor("bert", "command line")


class Fleet:
    """A release that was promoted and then rolled back by hand, and gateways that follow it or don't."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.scene = Scene.opened(database, AT_ONCE)
        self.scene.drive_to_end()
        self.promoted = self.scene.route().revision
        with database.begin() as session:
            self.taken_back = roll_back(session, APP, BERT, "users complain", self.at(0)).route_revision

    def at(self, seconds: float) -> datetime:
        """The time so long after the rollback."""
        return self.scene.clock() + timedelta(seconds=seconds)

    def beat(self, host: str, seconds: float, revision: int, *, number: int = 1, stops: bool = False) -> None:
        """A sign of life of a host's gateway, the first one or a later one."""
        now = self.at(seconds).timestamp()
        began = self.at(number - 1000).timestamp()
        stopped_at = now if stops else None
        address = f"http://{host}:8800"
        beat = Heartbeat(f"{host}-{number}-ab", address, began, now, now, {APP: revision}, stopped_at)
        write_batch(self.database, [], {}, beat)

    def look(self, seconds: float) -> list[tuple[str, bool]]:
        """A reconciler's look."""
        return watch_rollbacks(self.database, self.at(seconds))

    def incidents(self) -> list[IncidentRow]:
        """All of this kind."""
        with self.database.read() as session:
            return list(session.exec(select(IncidentRow).where(IncidentRow.kind == IncidentKind.ROLLBACK_STUCK)).all())


@pytest.fixture
def fleet(database: Database) -> Fleet:
    """Two gateways, of which the second doesn't follow."""
    fleet = Fleet(database)
    fleet.beat("web-1", 14, fleet.taken_back)
    fleet.beat("web-2", 14, fleet.promoted)
    return fleet


def test_it_is_told_of_once_and_resolves_itself(fleet: Fleet) -> None:
    """Not before the lease and five seconds are over; who doesn't follow is named."""
    assert fleet.look(14) == []
    ((sentence, worse),) = fleet.look(16)
    assert worse
    assert sentence == (
        "support-bot: support-bot-1 was rolled back, but 1 of 2 gateways doesn't follow: http://web-2:8800 on web-2."
    )
    assert fleet.look(31) == []
    (held,) = fleet.incidents()
    assert (held.app, held.release_id, held.severity, held.seen) == (APP, "support-bot-1", "page", 2)
    assert held.evidence["behind"] == {"web-2-1-ab": "http://web-2:8800"}
    fleet.beat("web-2", 60, fleet.taken_back)
    assert fleet.look(61) == [(f"every gateway of {APP} follows, or has stopped", False)]
    assert fleet.look(76) == []


def test_a_gateway_that_was_cut_off_before_the_rollback_is_missed(fleet: Fleet) -> None:
    """It may go on with what was promoted; since when nothing was heard of it is said."""
    fleet.beat("web-2", 14, fleet.taken_back)
    fleet.beat("web-3", -120, fleet.promoted)
    fleet.beat("web-4", -601, fleet.promoted)
    ((sentence, _),) = fleet.look(20)
    assert sentence.endswith("1 of 3 gateways doesn't follow: http://web-3:8800 on web-3 (silent for 140 s).")


@pytest.mark.parametrize("gone", ["stopped", "replaced"])
def test_a_gateway_that_is_gone_settles_it(fleet: Fleet, gone: str) -> None:
    """It said that it stops, or another one has its address."""
    assert len(fleet.look(20)) == 1
    if gone == "stopped":
        fleet.beat("web-2", 30, fleet.promoted, stops=True)
    else:
        fleet.beat("web-2", 30, fleet.taken_back, number=2)
    assert [worse for _, worse in fleet.look(31)] == [False]


def test_what_a_person_has_resolved_stays_resolved(fleet: Fleet) -> None:
    """A gateway that was killed will never follow."""
    fleet.look(20)
    with fleet.database.begin() as session:
        resolve_incident(session, fleet.incidents()[0].dedup_key, "bert", "it is switched off", fleet.at(30))
    assert fleet.look(45) == []
    with fleet.database.begin() as session:
        assert roll_back(session, APP, BERT, "once more", fleet.at(50)).route_revision == fleet.taken_back
    assert fleet.look(90) == []


def test_a_promotion_that_a_gateway_does_not_follow_is_no_rollback(database: Database) -> None:
    """It serves what was stable before, until it reads the ledger again."""
    scene = Scene.opened(database, AT_ONCE)
    scene.drive_to_end()
    now = scene.clock().timestamp() + 60
    write_batch(database, [], {}, Heartbeat("web-1-1-a", "http://web-1:8800", now - 99, now, now, {APP: 1}))
    assert watch_rollbacks(database, scene.clock() + timedelta(seconds=61)) == []
