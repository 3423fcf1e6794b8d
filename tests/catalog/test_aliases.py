"""Aliases move, and their moves are kept."""

from datetime import timedelta

from sqlmodel import select

from softlaunch.catalog.aliases import PREVIOUS, PRODUCTION, MovedBy, move_alias, read_alias
from softlaunch.store.database import Database
from softlaunch.store.tables import AliasMoveRow
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, record_app

LATER = NOON + timedelta(minutes=1)


def test_an_alias_points_where_it_was_moved_last(database: Database) -> None:
    """Each alias by itself; one that was never set points nowhere."""
    record_app(database)
    with database.begin() as session:
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), NOON)
        move_alias(session, APP, PRODUCTION, CANDIDATE.digest, MovedBy("ben", "support-bot-1"), LATER)
    with database.read() as session:
        assert read_alias(session, APP, PRODUCTION) == CANDIDATE.digest
        assert read_alias(session, APP, PREVIOUS) is None
        moves = [(move.variant_digest, move.moved_by, move.release_id) for move in session.exec(select(AliasMoveRow))]
    assert moves == [(STABLE.digest, "anna", None), (CANDIDATE.digest, "ben", "support-bot-1")]


def test_moving_an_alias_to_where_it_points_changes_nothing(database: Database) -> None:
    """A step that is repeated leaves one move."""
    record_app(database)
    for moment in (NOON, LATER):
        with database.begin() as session:
            move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), moment)
    with database.read() as session:
        assert len(session.exec(select(AliasMoveRow)).all()) == 1
