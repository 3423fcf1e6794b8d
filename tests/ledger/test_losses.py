"""What dies with a gateway is counted once, exactly where its file tells, and by its heartbeats where none does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select

from softlaunch.ledger.counters import CounterFile, Owner
from softlaunch.ledger.gateways import read_gateways
from softlaunch.ledger.losses import LossWatch, Lost, counters_folder, read_lost
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.ledger.routes import read_ledger_id
from softlaunch.reports.history import Event, read_history
from softlaunch.store.database import Database
from softlaunch.store.tables import DropRow, GatewayRow
from softlaunch.telemetry.queries import dropped

NOW = 1_000_000.0
GATEWAY = "web-7-ab"


@dataclass
class Ticks:
    """A monotonic clock that tests set."""

    now: float = 0.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


def beat(database: Database, at: float, begun: int, logged: int, per_second: float = 0.0, **fields: Any) -> None:
    """A heartbeat of the gateway."""
    counts = {"bot": {"begun": begun, "logged": logged, "per_second": per_second}}
    heartbeat = Heartbeat(GATEWAY, "http://web:8800", NOW - 60, at, at, {"bot": 1}, counts=counts, **fields)
    write_batch(database, [], {}, heartbeat)


def look(watch: LossWatch, ticks: Ticks, seconds: float) -> list[str]:
    """What a watch finds so many seconds after its last look."""
    ticks.now += seconds
    return [loss.sentence for loss in watch.look(NOW + ticks.now)]


def leave_file(folder: Path, database: Database, begun: int, ended: int, ledger: str | None = None) -> None:
    """The file of the gateway, as its death leaves it."""
    counts = CounterFile(folder, Owner(GATEWAY, "http://web:8800", NOW - 60, ledger or read_ledger_id(database)))
    for number in range(begun):
        counts.begun("bot")
        if number < ended:
            counts.ended("bot")
    kept = counts.path.read_bytes()
    counts.remove()
    counts.path.write_bytes(kept)


def lost(database: Database) -> Lost:
    """What is missing of the time around NOW."""
    with database.read() as session:
        return read_lost(session, "bot", NOW - 100, NOW + 100)


def told(session: Session) -> list[str]:
    """What the history says of losses."""
    return [entry.what for entry in read_history(session, "bot", 100) if entry.event is Event.LOST]


def test_a_silent_gateway_is_dead_after_ten_seconds_of_watching(database: Database) -> None:
    """What it had told of and not written is lost, and what it may have begun after that is a guess; counted once."""
    beat(database, NOW, begun=120, logged=98, per_second=40.0)
    ticks, other = Ticks(), Ticks()
    watch, second = LossWatch(database, None, ticks), LossWatch(database, None, other)
    assert [look(watch, ticks, 2), look(second, other, 2), look(watch, ticks, 7)] == [[], [], []]
    (said,) = look(watch, ticks, 4)
    assert said == (
        "gateway http://web:8800 on web died: 46 requests are lost from the log of bot "
        "(22 it had reported, about 24 more may have started in the 0.6 s after that)"
    )
    assert [look(second, other, 11), look(watch, ticks, 60)] == [[], []]
    assert lost(database) == Lost(46, 24)
    assert "about 46 requests of this time are lost" in lost(database).sentence
    with database.read() as session:
        assert dropped(session, "bot", NOW, NOW + 100) == 46
        assert told(session) == ["http://web:8800 died: about 46 requests are lost from the log"]


def test_a_gateway_that_comes_back_takes_back_what_was_counted(database: Database) -> None:
    """Only its ledger was away: nothing is missing in the end."""
    beat(database, NOW, begun=120, logged=98, per_second=40.0)
    ticks = Ticks()
    watch = LossWatch(database, None, ticks)
    assert len([*look(watch, ticks, 2), *look(watch, ticks, 11)]) == 1
    beat(database, NOW + 14, begun=160, logged=160)
    assert lost(database) == Lost()
    with database.read() as session:
        assert dropped(session, "bot", NOW, NOW + 100) == 0
        assert told(session)[1] == "http://web:8800 was only silent: 46 requests aren't lost after all"
        assert session.exec(select(GatewayRow.lost_at)).one() is None
    assert look(watch, ticks, 2) == []


@pytest.mark.parametrize(
    "fields", [{"stopped_at": NOW}, {"begun": 50}, {"begun": 50, "per_second": 0.5}], ids=["stopped", "idle", "slow"]
)
def test_where_nothing_is_missing_nothing_is_counted(database: Database, fields: dict[str, float]) -> None:
    """One that stopped in order, or had written all that it had begun."""
    beat(database, NOW, **{"begun": 60, "logged": 50, **fields})  # type: ignore[arg-type]  # mixed fields
    ticks = Ticks()
    watch = LossWatch(database, None, ticks)
    assert [look(watch, ticks, 2), look(watch, ticks, 11)] == [[], []]
    assert lost(database) == Lost()


def test_the_file_of_a_dead_gateway_tells_at_once_and_exactly(database: Database, tmp_path: Path) -> None:
    """Whatever its last heartbeat said; and nobody expects it to follow anything any more."""
    beat(database, NOW, begun=120, logged=98, per_second=40.0)
    leave_file(tmp_path / "counts", database, begun=130, ended=125)
    ticks = Ticks()
    watch = LossWatch(database, tmp_path / "counts", ticks)
    (said,) = look(watch, ticks, 1)
    assert said.startswith("gateway http://web:8800 on web died: 32 requests are lost from the log of bot (27 had been")
    assert said.endswith("(27 had been answered, 5 were under way)")
    assert [look(watch, ticks, 2), look(watch, ticks, 60)] == [[], []]
    assert lost(database) == Lost(32)
    assert list((tmp_path / "counts").iterdir()) == []
    with database.read() as session:
        assert read_gateways(session, "bot", 0.0) == []


def test_the_file_corrects_what_was_guessed(database: Database, tmp_path: Path) -> None:
    """Another machine took it for dead first; then it is started again, and finds its file."""
    beat(database, NOW, begun=120, logged=98, per_second=40.0)
    ticks = Ticks()
    elsewhere = LossWatch(database, None, ticks)
    assert len([*look(elsewhere, ticks, 2), *look(elsewhere, ticks, 11)]) == 1
    leave_file(tmp_path / "counts", database, begun=125, ended=125)
    assert len(look(LossWatch(database, tmp_path / "counts", Ticks()), ticks, 2)) == 1
    assert lost(database) == Lost(27)
    with database.read() as session:
        assert dropped(session, "bot", NOW, NOW + 100) == 27


def test_a_gateway_that_died_before_its_first_heartbeat_is_known_by_its_file(
    database: Database, tmp_path: Path
) -> None:
    """All that it had begun is lost."""
    leave_file(tmp_path, database, begun=3, ended=3)
    assert len(LossWatch(database, tmp_path, Ticks()).look(NOW)) == 1
    with database.read() as session:
        assert session.exec(select(DropRow.count)).all() == [3]
        assert session.exec(select(GatewayRow.id)).all() == [GATEWAY]


def test_what_belongs_to_another_ledger_is_left_alone(database: Database, tmp_path: Path) -> None:
    """Two ledgers may share a folder, and a replaced one has another name."""
    leave_file(tmp_path / "counts", database, begun=3, ended=3, ledger="another")
    assert LossWatch(database, tmp_path / "counts", Ticks()).look(NOW) == []
    assert len(list((tmp_path / "counts").iterdir())) == 1


def test_a_gateway_of_an_older_version_loses_nothing_that_it_did_not_tell_of(database: Database) -> None:
    """Its rows have no counts."""
    beat(database, NOW, begun=9, logged=2)
    with database.begin() as session:
        session.exec(select(GatewayRow)).one().counts = None
    ticks = Ticks()
    watch = LossWatch(database, None, ticks)
    assert [look(watch, ticks, 2), look(watch, ticks, 11)] == [[], []]
    with database.read() as session:
        assert session.exec(select(DropRow).where(col(DropRow.count) > 0)).all() == []


def test_counts_are_kept_beside_a_file_or_in_the_home_folder(tmp_path: Path) -> None:
    """On PostgreSQL the home folder, if there is one."""
    beside = Database(f"sqlite:///{tmp_path / 'here' / 'ledger.db'}")
    assert counters_folder(beside, Path("elsewhere")) == tmp_path / "here" / "gateways"
    distant = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert counters_folder(distant, tmp_path) == tmp_path / "gateways"
    assert counters_folder(distant, None) is None
