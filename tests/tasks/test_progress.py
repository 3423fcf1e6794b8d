"""The progress bar of a stage: it tells, and never holds a release up."""

import threading
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from softlaunch.store.database import Database
from softlaunch.tasks import progress
from softlaunch.tasks.ledger import Standing, standing
from softlaunch.tasks.progress import artifact_key
from tests.support.builders import Scene
from tests.support.servers import wait_until


class Shelf:
    """Stands in for Prefect: keeps what a bar was told, or never answers."""

    def __init__(self) -> None:
        self.made: list[tuple[float, str]] = []
        self.moved: list[float] = []
        self.answers = threading.Event()
        self.answers.set()

    def create(self, percent: float, *, key: str, description: str) -> UUID:
        """Put a bar up."""
        self.answers.wait()
        self.made.append((percent, key))
        return uuid4()

    def update(self, artifact: UUID, percent: float, *, description: str) -> None:
        """Move it."""
        self.answers.wait()
        self.moved.append(percent)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Where bars go that look every hundredth of a second."""
    put = Shelf()
    monkeypatch.setattr(progress, "create_progress_artifact", put.create)
    monkeypatch.setattr(progress, "update_progress_artifact", put.update)
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0.01)
    return put


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, migrated_file: Path) -> Standing:
    """A release that has begun its eval, in the ledger of this installation."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("SOFTLAUNCH_HOME", str(tmp_path))
    monkeypatch.delenv("SOFTLAUNCH_DATABASE_URL", raising=False)
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    scene: Any = Scene.opened(database)
    scene.drive_to(0)
    database.close()
    return standing(scene.release_id)


def test_a_stage_has_one_bar_that_moves_seldom(shelf: Shelf, stage: Standing) -> None:
    """It is made once under a key of the stage's own; while nothing changes it isn't touched, and at the end once."""
    with progress.shown_progress(stage):
        wait_until(lambda: shelf.made, "the bar is shown")
    wait_until(lambda: shelf.moved, "the bar tells how the stage ended")
    assert [key for _, key in shelf.made] == [f"{stage.release_id}-0-progress"]
    assert len(shelf.moved) == 1


def test_a_server_that_does_not_answer_holds_nothing_up(shelf: Shelf, stage: Standing) -> None:
    """The watching goes on and the stage ends while the bar still waits for Prefect."""
    shelf.answers.clear()
    with progress.shown_progress(stage):
        pass
    assert shelf.made == []
    shelf.answers.set()


def test_prefect_accepts_every_app_in_a_key() -> None:
    """Apps may have dots and underscores in their names, keys of artifacts may not."""
    assert artifact_key("shop.bot_2-7", "3", "gates") == "shop-bot-2-7-3-gates"
