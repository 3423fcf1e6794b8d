"""`softlaunch registry` and the flow of the same work."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from registry.test_registry_commands import run, run_json

from softlaunch.errors import NotFoundError
from softlaunch.settings import Settings
from softlaunch.store.database import Database
from softlaunch.store.tables import PromptRow


@pytest.fixture
def old_app(here: Path) -> Path:
    """An applied app whose newest prompt nothing uses, and which is a year old."""
    run("init", "shop", "--app", "shop-bot")
    policy = here / "shop" / "softlaunch.yaml"
    policy.write_text(policy.read_text() + "\nretention: {prompts: {keep_newest: 0}}\n")
    extra = here / "shop" / "prompts" / "support" / "v1.2.0.md"
    extra.write_text("You are an experiment.\n")
    run("apply", "shop")
    database = Database(Settings().ledger_url)
    with database.begin() as session:
        row = session.get_one(PromptRow, ("support", "1.2.0"))
        row.recorded_at = row.recorded_at - timedelta(days=365)
    database.close()
    return here


def _labels() -> list[Any]:
    return [row["prompt"] for row in run_json("prompts", "list")]


def test_dry_run_cleanup_and_restore(old_app: Path) -> None:
    """A dry run shows and deletes nothing; a cleanup deletes; a restore brings it back."""
    shown = run("registry", "cleanup", "--dry-run")
    assert "prompts support@1.2.0: older than 180 days" in shown
    assert "Nothing was deleted" in shown
    assert run_json("registry", "cleanup", "--dry-run")["plan"]["prompts"]["deleted"] == 1
    assert "support@1.2.0" in _labels()
    assert "archived and deleted 1 prompts" in run("registry", "cleanup")
    assert "support@1.2.0" not in _labels()
    assert [row["key"] for row in run_json("registry", "archived", "--kind", "prompts")] == ["support@1.2.0"]
    assert "back in the ledger" in run("registry", "restore", "prompts", "support@1.2.0")
    assert "support@1.2.0" in _labels()
    assert "support@1.2.0" in run("registry", "archived")


def test_a_tag_protects(old_app: Path) -> None:
    """What is tagged `protected` isn't due, and is again without the tag."""
    assert "is tagged protected" in run("registry", "tag", "prompts", "support@1.2.0", "protected")
    assert run_json("registry", "cleanup")["done"]["prompts"]["deleted"] == 0
    run("registry", "untag", "prompts", "support@1.2.0", "protected")
    assert run_json("registry", "cleanup")["done"]["prompts"]["deleted"] == 1
    with pytest.raises(NotFoundError, match="was archived"):
        run("registry", "restore", "models", "steady")
