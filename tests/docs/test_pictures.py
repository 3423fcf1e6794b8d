"""The pictures of the README, made by the product's own functions: here of a release that a test rolls back."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from softlaunch.ledger.stages import StageState
from softlaunch.store.migrate import open_database
from tests.support.builders import Scene
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """The script that `make pictures` runs."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_terminal_shows_how_the_demo_began_and_ended(pictures: ModuleType, tmp_path: Path) -> None:
    """What lies between is left out, and the picture names no font of another server."""
    lines = ["Starting", "Models answer", "1. one", "\x1b[2Kmoving", "\x1b[3mWhat happened", "promoted", "Logs: here"]
    (tmp_path / "demo.ansi").write_text("\n".join(lines), encoding="utf-8")
    drawn = pictures._terminal(tmp_path / "demo.ansi", DEFAULT_TERMINAL_THEME)
    assert "What&#160;happened" in drawn
    assert "moving" not in drawn
    assert "Logs" not in drawn
    assert "url(" not in drawn.replace("url(#", "")


def test_a_thread_shows_the_release_and_its_incident(pictures: ModuleType, migrated_file: Path, tmp_path: Path) -> None:
    """The release that was rolled back is found, and shown as people see it in Slack."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    scene = Scene.opened(database)
    scene.telemetry.harms = {3: {"latency": 5.0}}
    scene.drive_to_end()
    database.close()
    release_id, thread = pictures._rolled_back(tmp_path)
    assert release_id == scene.release_id
    assert "rolled back" in thread
    assert "Runbook" in thread


def test_the_console_is_pictured_while_half_of_the_users_meet_a_candidate(
    pictures: ModuleType, migrated_file: Path, tmp_path: Path
) -> None:
    """Its pages are opened in the stage before; where nothing is live there is no picture."""
    assert pictures._live_at_half(tmp_path, 0.0, StageState.WAITING) is None
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    scene = Scene.opened(database)
    scene.drive_to(2)
    assert pictures._live_at_half(tmp_path, 0.0, StageState.WAITING) == scene.release_id
    assert pictures._live_at_half(tmp_path, 6.0, StageState.RUNNING) is None
    scene.drive_to(3)
    assert pictures._live_at_half(tmp_path, 6.0, StageState.RUNNING) == scene.release_id
    scene.drive_to_end()
    database.close()
    assert pictures._live_at_half(tmp_path, 6.0, StageState.RUNNING) is None
