"""Which gateways run, which follow a split, and what somebody is told who has rolled back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from softlaunch.ledger.gateways import Followed, read_gateways, wait_for_gateways
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.store.database import Database
from tests.support.builders import APP

NOW = 1_000_000.0


def beat(database: Database, name: str, at: float, revision: int = 7, *, port: int = 0, **fields: Any) -> None:
    """A gateway's sign of life. Each listens at a port of its own unless told otherwise."""
    address = f"http://10.0.0.1:{port or 8800 + int(name[-1])}"
    started_at = fields.pop("started_at", NOW - 3600)
    write_batch(database, [], {}, Heartbeat(f"{name}-12-abcd", address, started_at, at, at, {APP: revision}, **fields))


@dataclass
class Wait:
    """Waiting on a clock that goes only as the waiting pauses; `then` happens at so many seconds of it."""

    database: Database
    passed: float = 0.0
    then: dict[float, Callable[[], None]] = field(default_factory=dict)

    def __call__(self, revision: int) -> Followed:
        """Wait for a revision."""
        return wait_for_gateways(
            self.database,
            APP,
            revision,
            clock=lambda: NOW + self.passed,
            ticks=lambda: self.passed,
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self.passed += seconds
        for at in [at for at in self.then if at <= self.passed]:
            self.then.pop(at)()


def test_gateways_that_follow_are_not_waited_for(database: Database) -> None:
    """Their number, and how soon."""
    beat(database, "host1", NOW - 0.4)
    beat(database, "host2", NOW - 0.1)
    followed = Wait(database)(7)
    assert (followed.running, followed.following, followed.seconds) == (2, 2, 0.0)
    assert followed.sentence == "All 2 running gateways follow, after 0.0 s."


def test_where_no_gateway_was_ever_heard_of_none_is_running(database: Database) -> None:
    """Nor one that said that it stops, or that was heard of last an hour ago."""
    beat(database, "host1", NOW - 1.0, 3, stopped_at=NOW - 1.0)
    beat(database, "host2", NOW - 3600, 3)
    followed = Wait(database)(7)
    assert (followed.sentence, followed.seconds) == ("No gateway is running.", 0.0)


def test_a_gateway_whose_heartbeat_is_late_is_waited_for(database: Database) -> None:
    """A disk that stalls for some seconds delays the heartbeat, and not what the gateway serves by."""
    beat(database, "host1", NOW - 4.0)
    followed = Wait(database, then={1.0: lambda: beat(database, "host1", NOW + 1.0)})(7)
    assert followed.sentence == "All 1 running gateways follow, after 1.0 s."


@pytest.mark.parametrize("off", [-90.0, 90.0])
def test_a_gateway_by_another_clock_is_running(database: Database, off: float) -> None:
    """What is heard of while somebody waits runs, whatever its clock shows."""
    beat(database, "host1", NOW + off, 6)
    followed = Wait(database, then={0.5: lambda: beat(database, "host1", NOW + off + 0.5, 7)})(7)
    assert (followed.running, followed.following) == (1, 1)


def test_a_gateway_that_does_not_follow_is_named(database: Database) -> None:
    """After three seconds; what it goes on with, and what to do."""
    wait = Wait(database)
    beat(database, "host1", NOW + 3.0)
    beat(database, "host2", NOW + 3.0, 6)
    followed = wait(7)
    assert (followed.running, followed.following, [one.host for one in followed.behind]) == (2, 1, ["host2"])
    assert followed.sentence.startswith("1 of 2 gateways follow after 3.")
    assert "but not http://10.0.0.1:8802 on host2. None of them serves a candidate for longer than" in followed.sentence


def test_a_gateway_that_went_silent_before_the_split_changed_is_named(database: Database) -> None:
    """Killed, or cut off from the ledger: nobody can tell which, and a gateway that is cut off still has users."""
    beat(database, "host1", NOW - 0.1)
    beat(database, "host2", NOW - 40.0, 6)
    followed = Wait(database)(7)
    assert (followed.running, followed.following) == (1, 1)
    assert "1 of 2 gateways follow" in followed.sentence
    assert "but not http://10.0.0.1:8802 on host2 (silent for 43 s)." in followed.sentence


def test_a_killed_gateway_that_was_started_again_is_not_missed(database: Database) -> None:
    """The later one has its address."""
    beat(database, "host1", NOW - 40.0, 6, port=8800)
    beat(database, "host1", NOW - 40.0, 6, port=8801)
    write_batch(
        database, [], {}, Heartbeat("host1-13-ef01", "http://10.0.0.1:8800", NOW - 30, NOW - 0.2, NOW, {APP: 7})
    )
    with database.read() as session:
        known = read_gateways(session, APP, NOW - 600)
    assert [(one.id, one.revision) for one in known] == [("host1-13-ef01", 7)]


def test_a_gateway_that_does_not_serve_an_app_is_not_behind(database: Database) -> None:
    """An app that is new to it has no users there."""
    beat(database, "host1", NOW)
    write_batch(database, [], {}, Heartbeat("host2-1-a", "http://10.0.0.2:1", NOW - 60, NOW, NOW, {"another": 1}))
    assert Wait(database)(7).sentence == "All 2 running gateways follow, after 0.0 s."


def test_what_a_silent_gateway_serves_is_not_known(database: Database) -> None:
    """It may read another ledger by now, so that nothing is promised of it; of the one that is heard, its lease is."""
    wait = Wait(database)
    beat(database, "host1", NOW - 0.2, 6)
    beat(database, "host2", NOW - 0.2, 6)
    wait.then[1.0] = lambda: beat(database, "host2", NOW + 1.0, 6)
    followed = wait(7)
    assert [one.host for one in followed.silent] == ["host1"]
    said = followed.sentence
    assert "None of those that were heard (http://10.0.0.1:8802 on host2) serves a candidate for longer than" in said
    assert "Nothing came from http://10.0.0.1:8801 on host1 meanwhile, so what it serves can't be known" in said
    assert "None of them" not in said
