"""Ledgers that an earlier softlaunch made: everything in them is there after the upgrade, and a backup restores it."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Column, MetaData, Table, select, text
from sqlmodel import Session, SQLModel

from softlaunch.core.clock import utc_now
from softlaunch.policy.release import State
from softlaunch.releases.views import read_view, to_json
from softlaunch.store.database import Database
from softlaunch.store.migrate import alembic_config, open_database, revisions
from softlaunch.store.tables import ReleaseRow
from tests.support.builders import Scene


def _story(database: Database, release_id: str) -> object:
    """Everything that people are shown of a release."""
    with database.read() as session:
        return to_json(read_view(session, session.get_one(ReleaseRow, release_id), utc_now()))


def _copy_as_of(revision: str, source: Database, url: str) -> None:
    """A ledger at an earlier revision with the rows of another one, as far as that revision had their columns."""
    old = Database(url)
    with old.engine.begin() as connection:
        command.upgrade(alembic_config(connection), revision)
    then = MetaData()
    then.reflect(old.engine)
    with source.engine.connect() as reading, old.engine.begin() as writing:
        for table in SQLModel.metadata.sorted_tables:
            if table.name in then.tables:
                _copy(Session(reading), Session(writing), table, then.tables[table.name])
    old.close()


def _copy(reading: Session, writing: Session, table: Table, then: Table) -> None:
    shared = [column for column in table.columns if column.name in then.columns]
    bare = Table(table.name, MetaData(), *(Column(column.name, column.type) for column in shared))  # without defaults
    for row in reading.execute(select(*shared)).mappings():
        writing.execute(bare.insert().values(dict(row)))
    writing.flush()


def test_an_upgrade_keeps_what_was_recorded(empty_database_url: str, tmp_path: Path) -> None:
    """A release that was promoted under the first revision is shown as before."""
    source = open_database(f"sqlite:///{tmp_path / 'source.db'}")
    scene = Scene.opened(source)
    scene.drive_to_end()
    before = _story(source, scene.release_id)
    _copy_as_of(revisions()[0], source, empty_database_url)
    source.close()
    upgraded = open_database(empty_database_url)
    assert _story(upgraded, scene.release_id) == before
    upgraded.close()


def test_of_several_ratings_the_first_stays(empty_database_url: str) -> None:
    """What was rated twice before ratings were heard once is rated once afterwards, by the word that gates heard."""
    old = Database(empty_database_url)
    with old.engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0017")
        for kind, value in (("thumbs", 0.0), ("thumbs", 1.0), ("stars", 0.5)):
            rating = f"('bot-1', 'bot', {value}, '{kind}', 1.0)"
            connection.execute(
                text(f"INSERT INTO feedback (request_id, app, satisfaction, kind, received_at) VALUES {rating}")
            )
        for source, value in (("feedback", 0.25), ("feedback", 1.0), ("judge", 0.5)):
            score = f"('bot-1', 'bot', 'quality', {value}, '{source}', 1.0)"
            connection.execute(
                text(f"INSERT INTO scores (request_id, app, metric, value, source, received_at) VALUES {score}")
            )
    old.close()
    upgraded = open_database(empty_database_url)
    with upgraded.read() as session:
        ratings = session.execute(text("SELECT kind, satisfaction FROM feedback ORDER BY id")).all()
        scores = session.execute(text("SELECT source, value FROM scores ORDER BY id")).all()
    assert [tuple(row) for row in ratings] == [("thumbs", 0.0), ("stars", 0.5)]
    assert [tuple(row) for row in scores] == [("feedback", 0.25), ("judge", 0.5)]
    upgraded.close()


@pytest.mark.long
def test_a_copy_made_while_a_release_is_driven_goes_on(tmp_path: Path) -> None:
    """A backup of a ledger that is being written is whole: the release goes on from there, to the end."""
    live = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    scene = Scene.opened(live)
    scene.drive_to(2)
    with live.begin() as session:
        session.execute(text(f"UPDATE {ReleaseRow.__tablename__} SET reason = 'not committed yet'"))
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as beside:
            beside.execute("VACUUM INTO ?", [str(tmp_path / "backup.db")])
    live.close()
    restored = replace(scene, database=open_database(f"sqlite:///{tmp_path / 'backup.db'}"))
    assert (restored.release().state, restored.release().position) == (State.CANARY, 2)
    assert "not committed" not in restored.release().reason
    assert restored.drive_to_end().state is State.PROMOTED
    restored.database.close()
