"""`softlaunch prompts`, from an empty folder to what served on a day."""

from pathlib import Path

import pytest

from softlaunch.catalog.prompt_files import NewPromptError
from softlaunch.catalog.prompt_history import PromptHistoryError
from softlaunch.core.errors import NotFoundError, SoftlaunchError
from tests.support.commands import run, run_json
from tests.support.git_prompts import PromptRepo, prompt


@pytest.fixture
def repo(here: Path) -> PromptRepo:
    """A repository of prompts beside the ledger."""
    made = PromptRepo.make(here / "repo")
    made.commit("Begin", v1_0_0=prompt("Answer shortly."))
    made.commit("Second", v1_1_0=prompt("Answer briefly.", purpose="clearer"))
    return made


def test_from_git_to_a_diff(repo: PromptRepo) -> None:
    """Check, sync, list and compare."""
    assert run_json("prompts", "check", "repo") == {"sound": True, "files": 2}
    assert run_json("prompts", "sync", "repo")["recorded"] == ["support@1.0.0", "support@1.1.0"]
    assert "nothing new" in run("prompts", "sync", "repo")
    assert [row["prompt"] for row in run_json("prompts", "list")] == ["support@1.0.0", "support@1.1.0"]
    assert "Answer [-shortly-]{+briefly+}." in run("prompts", "diff", "support@1.0.0", "1.1.0")
    assert [part["part"] for part in run_json("prompts", "diff", "support@1.0.0", "1.1.0")["parts"]] == [
        "message 1 (system)",
        "purpose",
    ]
    assert [row["version"] for row in run_json("prompts", "log", "support")] == ["1.0.0", "1.1.0"]


def test_a_broken_history_stops_both(repo: PromptRepo) -> None:
    """Check and sync say the same, and a sync writes nothing."""
    repo.commit("Rewrite", v1_0_0=prompt("Other."))
    for command in ("check", "sync"):
        with pytest.raises(PromptHistoryError, match=r"support@1.0.0 is changed here"):
            run("prompts", command, "repo")
    assert run_json("prompts", "list") == []


def test_new_bumps_the_newest_file(repo: PromptRepo) -> None:
    """The next version has the newest one's text, today's date and an empty purpose, and passes once that is said."""
    folder = repo.path / "prompts"
    made = Path(run_json("prompts", "new", "support", "--folder", str(folder), "--patch")["file"])
    assert made.name == "v1.1.1.md"
    text = made.read_text()
    assert "Answer briefly." in text
    repo.git("add", "--all")
    with pytest.raises(PromptHistoryError, match="purpose: is missing"):
        run("prompts", "check", "repo", "--staged")
    made.write_text(text.replace('purpose: ""', "purpose: a new word"))
    repo.git("add", "--all")
    assert run_json("prompts", "check", "repo", "--staged")["files"] == 1


def test_new_begins_a_prompt(here: Path) -> None:
    """A name without versions gets 1.0.0; two bumps at once are refused, and so is a file in the way."""
    assert "v1.0.0.md" in run("prompts", "new", "greeting")
    with pytest.raises(SoftlaunchError, match="bump one number"):
        run("prompts", "new", "greeting", "--major", "--minor")
    (here / "blocked").write_text("a file")
    with pytest.raises(NewPromptError, match="name another folder"):
        run("prompts", "new", "greeting", "--folder", "blocked")


def test_what_served_when(here: Path) -> None:
    """A day in the future of an applied app shows its production, a day before it nothing."""
    run("init", "shop", "--app", "shop-bot")
    run("apply", "shop")
    [row] = run_json("prompts", "at", "2999-01-01", "--app", "shop-bot")
    assert (row["prompt"], row["share"], row["until"]) == ("support@1.0.0", "100 %", None)
    assert "nothing served" in run("prompts", "at", "2001-01-01T10:00")
    assert {"production of shop-bot", "baseline of shop-bot"} <= {
        event["what"] for event in run_json("prompts", "log", "support")
    }
    with pytest.raises(SoftlaunchError, match="neither a day"):
        run("prompts", "at", "yesterday")
    with pytest.raises(NotFoundError, match="recorded: support"):
        run("prompts", "log", "greeting")
