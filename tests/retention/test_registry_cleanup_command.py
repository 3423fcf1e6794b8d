"""`softlaunch registry` and the flow of the same work."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from softlaunch.approvals.deciding import NotAllowedError
from softlaunch.cli.exits import Exit
from softlaunch.cli.main import build
from softlaunch.core.errors import NotFoundError
from softlaunch.core.settings import Settings
from softlaunch.store.database import Database
from softlaunch.store.tables import PromptRow
from tests.support.commands import run, run_json

pytestmark = pytest.mark.long


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


def test_a_large_cleanup_waits_for_an_answer(old_app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 5 and the command that answers; after a yes it goes, and the history shows who said it."""
    _ask_above(old_app, 0)
    refused = CliRunner().invoke(build(), ["registry", "cleanup"])
    assert refused.exit_code == Exit.INCONCLUSIVE
    assert "softlaunch approve shop-bot --approval 1" in " ".join(refused.stderr.split())
    assert "support@1.2.0" in _labels()
    waiting = run_json("registry", "cleanup", "--dry-run")
    assert waiting["question"] == {"id": 1, "answer": "pending"}
    assert "question 1 was asked: not answered yet" in run("registry", "cleanup", "--dry-run")
    with pytest.raises(NotAllowedError, match="you started this"):
        run("approve", "shop-bot", "--approval", "1")
    with monkeypatch.context() as somebody_else:
        somebody_else.setenv("LOGNAME", "berta")
        assert orjson.loads(run("approve", "shop-bot", "--question", "1", "--json"))[0]["question"] == "cleanup"
    assert "approved by" in run("registry", "cleanup")
    assert "support@1.2.0" not in _labels()
    assert {"asked", "answered"} <= {entry["event"] for entry in run_json("history", "shop-bot")}


def test_approve_is_a_vote_like_any_other(old_app: Path) -> None:
    """It counts where the policy lets who cleans up approve that, and is refused where it doesn't or names others."""
    _ask_above(old_app, 0, "approvers: [{name: ben-of-nowhere}]")
    with pytest.raises(NotAllowedError, match="not among its approvers"):
        run("registry", "cleanup", "--approve")
    assert "support@1.2.0" in _labels()
    _ask_above(old_app, 0)
    with pytest.raises(NotAllowedError, match="you started this"):
        run("registry", "cleanup", "--approve")
    policy = old_app / "shop" / "softlaunch.yaml"
    policy.write_text(policy.read_text().replace("starter_may_approve: false", "starter_may_approve: true"))
    run("apply", "shop")
    assert run_json("registry", "cleanup", "--approve")["done"]["prompts"]["deleted"] == 1


def _ask_above(folder: Path, megabytes: float, *lines: str) -> None:
    policy = folder / "shop" / "softlaunch.yaml"
    kept = [line for line in policy.read_text().splitlines() if not line.startswith(("retention:", "approvers:"))]
    kept += [f"retention: {{prompts: {{keep_newest: 0}}, ask_above_mb: {megabytes:g}}}", *lines]
    policy.write_text("\n".join(kept) + "\n")
    run("apply", "shop")
