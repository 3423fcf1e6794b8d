"""What served when."""

from datetime import datetime, timedelta

from sqlmodel import col, select

from softlaunch.catalog.aliases import PRODUCTION, MovedBy, move_alias
from softlaunch.catalog.served import Served, served_between
from softlaunch.store.database import Database
from softlaunch.store.tables import StageRow
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, open_in_new_app

HOUR = timedelta(hours=1)


def _at(database: Database, begin: datetime, length: timedelta = timedelta(seconds=1)) -> list[tuple[str, float]]:
    with database.read() as session:
        return [(one.prompt, one.share_percent) for one in served_between(session, begin, begin + length, APP)]


def test_production_and_canaries(database: Database) -> None:
    """Production from move to move, and candidates for as long as their stages lasted."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), NOON)
        stages = select(StageRow).where(StageRow.release_id == release_id, StageRow.kind == "canary")
        canary = session.exec(stages.order_by(col(StageRow.position))).all()[0]
        canary.entered_at, canary.ended_at = NOON + HOUR, NOON + 2 * HOUR
        move_alias(session, APP, PRODUCTION, CANDIDATE.digest, MovedBy("driver", release_id), NOON + 3 * HOUR)
    assert _at(database, NOON - HOUR) == []
    assert _at(database, NOON) == [("support@1.0.0", 100)]
    assert _at(database, NOON + 1.5 * HOUR) == [("support@1.0.0", 100), ("support@1.1.0", 10)]
    assert _at(database, NOON + 2 * HOUR) == [("support@1.0.0", 100)]
    assert _at(database, NOON + 3 * HOUR) == [("support@1.1.0", 100)]
    assert _at(database, NOON, 24 * HOUR) == [
        ("support@1.0.0", 100),
        ("support@1.1.0", 10),
        ("support@1.1.0", 100),
    ]
    with database.read() as session:
        last = served_between(session, NOON + 4 * HOUR, NOON + 5 * HOUR)[0]
    assert last == Served(
        APP, "support@1.1.0", "steady", CANDIDATE.digest, 100.0, NOON + 3 * HOUR, None, "driver", release_id
    )
