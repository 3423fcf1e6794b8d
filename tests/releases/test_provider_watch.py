"""A provider that stops answering while nothing is released: told of once, and resolved when it answers again."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from softlaunch.releases.provider_watch import watch_providers
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, NOON, Scene, record_app, request_row

NOW = NOON + timedelta(minutes=10)


def answers(database: Database, good: int, bad: int, ago: float = 30, **columns: Any) -> None:
    """So many answers of stable, so many seconds ago, of which some failed."""
    outcomes = ["answered"] * good + [columns.pop("outcome", "provider_failed")] * bad
    plain = {"release_id": None, "stage": 0, "weight_percent": 0.0, "started_at": NOW.timestamp() - ago, **columns}
    with database.begin() as session:
        session.add_all(request_row(outcome=outcome, **plain) for outcome in outcomes)


def incidents(database: Database) -> list[IncidentRow]:
    """Every incident."""
    with database.read() as session:
        return list(session.exec(select(IncidentRow)).all())


def test_an_outage_is_told_of_once_and_resolves_itself(database: Database) -> None:
    """Brought up to date quietly meanwhile; in between of well and ill nothing is said."""
    record_app(database)
    answers(database, good=9, bad=31)
    assert watch_providers(database, NOW) == [
        (f"{APP}: 31 of 40 answers of stable failed within the last minute (31 provider_failed).", True)
    ]
    answers(database, good=0, bad=10)
    assert watch_providers(database, NOW) == []
    answers(database, good=50, bad=0)
    assert watch_providers(database, NOW) == []
    (held,) = incidents(database)
    assert (held.kind, held.release_id, held.seen, held.evidence) == (
        "provider_down",
        None,
        2,
        {"answers": 50, "failed": 41, "outcomes": {"provider_failed": 41}},
    )
    later = NOW + timedelta(minutes=2)
    answers(database, good=39, bad=1, ago=-100)
    assert watch_providers(database, later) == [
        (f"{APP}: 1 of 40 answers of stable failed within the last minute (1 provider_failed).", False)
    ]
    assert watch_providers(database, later) == []
    (held,) = incidents(database)
    assert held.resolved_at == later


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        pytest.param(
            {"good": 5, "bad": 15, "ago": 200}, "15 of 20 answers of stable failed within the last 5 m", id="few"
        ),
        pytest.param({"good": 0, "bad": 19}, "", id="too few to tell"),
        pytest.param({"good": 0, "bad": 40, "ago": 301}, "", id="long ago"),
        pytest.param({"good": 0, "bad": 40, "outcome": "request_at_fault"}, "", id="the clients' own fault"),
        pytest.param({"good": 0, "bad": 40, "outcome": "client_gone"}, "", id="clients that left"),
        pytest.param({"good": 0, "bad": 40, "arm": "candidate"}, "", id="another arm's answers"),
        pytest.param({"good": 0, "bad": 40, "app": "another-bot"}, "", id="another app's answers"),
        pytest.param({"good": 21, "bad": 20}, "", id="not clearly ill"),
    ],
)
def test_what_counts(database: Database, seen: dict[str, Any], told: str) -> None:
    """Enough answers of stable under the split in force, of which half failed; a busy app's minute is enough."""
    record_app(database)
    answers(database, **seen)
    found = watch_providers(database, NOW)
    assert [sentence[: len(f"{APP}: {told}")] for sentence, _ in found] == ([f"{APP}: {told}"] if told else [])


def test_while_a_driver_looks_it_tells(database: Database) -> None:
    """Two judges of the same would contradict each other; when the driver is silent nobody else would tell."""
    scene = Scene.opened(database)
    scene.drive_to(3)
    scene.driver().acquire_lease(scene.release_id)
    now = scene.clock.now
    answers(database, good=0, bad=40, release_id=scene.release_id, stage=3, started_at=now.timestamp() - 10, app=APP)
    assert watch_providers(database, now) == []
    assert len(watch_providers(database, now + timedelta(seconds=20))) == 1
