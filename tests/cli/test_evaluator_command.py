"""`softlaunch evaluator`, as a health check."""

import time
from pathlib import Path

from sqlalchemy import update

from softlaunch.store.database import Database
from softlaunch.store.tables import LiveJudgingRow
from tests.support.builders import APP, record_app
from tests.support.commands import Run
from tests.support.live_scene import live_policy


def test_the_check_fails_where_nobody_judges(softlaunch: Run, tmp_path: Path) -> None:
    """Nobody was ever heard, or not for a minute; without live judges there is nothing to fail at."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert softlaunch("evaluator", "--check").code == 0
    record_app(database, live_policy())
    never = softlaunch("evaluator", "--check")
    assert never.code == 1
    assert never.err == f"softlaunch: {APP}: no evaluator was ever heard; start one with 'softlaunch evaluator'"
    with database.begin() as session:
        session.add(LiveJudgingRow(app=APP, searched_until=0.0, heard_at=time.time()))
    assert softlaunch("evaluator", "--check").code == 0
    with database.begin() as session:
        session.execute(update(LiveJudgingRow).values(heard_at=time.time() - 300))
    assert "no evaluator was heard for 30" in softlaunch("evaluator", "--check").err
    database.close()
