"""Where the home folder is found."""

import os
from pathlib import Path

import pytest

from softlaunch.core.settings import Settings, find_home


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder two levels below one with a home; the work is done there."""
    (tmp_path / ".softlaunch").mkdir()
    folder = tmp_path / "apps" / "my-bot"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SOFTLAUNCH_HOME", raising=False)
    return folder


def test_a_command_in_a_subfolder_finds_the_home_above(inside: Path, tmp_path: Path) -> None:
    """What was applied from above is there."""
    assert Settings().home == tmp_path / ".softlaunch"


def test_the_nearest_home_counts(inside: Path) -> None:
    """A folder's own home hides one above it, and is named as it always was."""
    (inside / ".softlaunch").mkdir()
    assert find_home() == Path(".softlaunch")


def test_a_home_that_is_somebody_else_s_is_passed_over(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leaves a folder of that name in /tmp can't have others write into it."""
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert find_home() == Path(".softlaunch")
