"""What a driven release has left in the ledger."""

from sqlmodel import select

from softlaunch.catalog.aliases import PREVIOUS, PRODUCTION, read_alias
from softlaunch.store.database import Database
from softlaunch.store.tables import (
    ApprovalRow,
    IncidentRow,
    StageRow,
)
from tests.support.builders import APP, Scene

WHOLE_WAY = [
    ("pending", 0),
    ("evaluating", 0),
    ("shadowing", 1),
    ("canary", 2),
    ("canary", 3),
    ("canary", 4),
    ("promoted", 4),
]
SHADOW, FIRST, HALF, ALL = 1, 2, 3, 4
BRIEF = {"minimum_time": 5, "minimum_requests": 20, "deadline": 600}


def aliases(database: Database) -> tuple[str | None, str | None]:
    """Where production and previous point."""
    with database.read() as session:
        return read_alias(session, APP, PRODUCTION), read_alias(session, APP, PREVIOUS)


def incidents(database: Database) -> list[IncidentRow]:
    """Every incident."""
    with database.read() as session:
        return list(session.exec(select(IncidentRow)).all())


def was_asked(database: Database) -> bool:
    """Whether a person was asked anything."""
    with database.read() as session:
        return session.exec(select(ApprovalRow)).first() is not None


def look(scene: Scene, times: int, holder: str = "driver one") -> None:
    """Drive for so many steps, by a driver that begins and stops."""
    driver = scene.driver(holder)
    token = driver.acquire_lease(scene.release_id)
    for _ in range(times):
        scene.clock.go(scene.step_seconds)
        driver.advance(scene.release_id, token)
    driver.release_lease(scene.release_id, token)


def stage_of(scene: Scene) -> StageRow:
    """The stage in force."""
    with scene.database.read() as session:
        return session.get_one(StageRow, (scene.release_id, scene.release().position))
