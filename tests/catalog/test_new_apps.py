"""New apps made from the example."""

from pathlib import Path

import pytest

from softlaunch.catalog.app_folder import read_app
from softlaunch.catalog.example import InitError, make_app
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.load import golden_set_path


def test_a_new_app_is_sound(tmp_path: Path) -> None:
    """What `init` makes can be applied as it is, under the name that was asked for."""
    make_app(tmp_path / "shop", "shop-bot")
    app = read_app(tmp_path / "shop")
    assert app.policy.app == "shop-bot"
    assert load_suite(golden_set_path(app.policy, app.policy_path)).cases


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file in the way stops everything before the first copy."""
    (tmp_path / "models.yaml").write_text("mine")
    with pytest.raises(InitError, match=r"has models\.yaml already"):
        make_app(tmp_path, "shop-bot")
    assert [path.name for path in tmp_path.iterdir()] == ["models.yaml"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be is explained."""
    (tmp_path / "shop").write_text("")
    with pytest.raises(InitError, match="name a folder that you may write to"):
        make_app(tmp_path / "shop", "shop-bot")
