"""What commands say of a stage that may end early: the plan, the status, and the one that decides it."""

from pathlib import Path

import orjson
import pytest
from sqlmodel import col, select

from softlaunch.cli.exits import Exit
from softlaunch.core.clock import utc_now
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import StageRow
from tests.releases.driven import FIRST, look
from tests.releases.test_early import early_policy
from tests.support.builders import APP, Scene
from tests.support.commands import Run

pytestmark = pytest.mark.long


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A release of somebody else that waits for its first stage's minimum time, in the commands' ledger."""
    database: Database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    made = Scene.opened(database, early_policy())
    made.clock.now = utc_now()
    made.drive_to(FIRST)
    look(made, 3)
    return made


def test_a_stage_is_ended_early_with_a_reason(softlaunch: Run, scene: Scene) -> None:
    """The status offers it; without a reason, or for another stage, nothing is decided; a second time says by whom."""
    status = softlaunch("release", "status", APP)
    assert "Approvers may start the next stage early" in status.out
    assert f"softlaunch release advance {APP} --reason" in status.out
    assert softlaunch("release", "advance", APP).code == Exit.USAGE
    unknown = softlaunch("release", "advance", APP, "--reason", "the fair", "--stage", "canary 7 %")
    assert "it has 'regression eval', 'shadow', 'canary 10 %'" in " ".join(unknown.err.replace("│", " ").split())
    other = softlaunch("release", "advance", APP, "--reason", "the fair", "--stage", "canary 50 %")
    assert other.code != Exit.OK
    assert "canary 10 % is in force by now" in " ".join(other.err.split())
    done = softlaunch("release", "advance", APP, "--reason", "the fair", "--stage", "canary 10 %", "--json")
    assert (done.code, done.err) == (Exit.OK, "")
    said = orjson.loads(done.out)
    assert (said["decided"], said["stage"]) == (True, "canary 10 %")
    again = softlaunch("release", "advance", APP, "--reason", "the fair")
    assert "has already decided this (the fair)" in " ".join(again.err.split())
    look(scene, 1)
    with scene.database.read() as session:
        states = session.exec(select(StageRow.state).order_by(col(StageRow.position))).all()
    scene.database.close()
    assert "ended_early" in states
    assert "decided to advance early (the fair)" in " ".join(softlaunch("history", APP).out.split())
