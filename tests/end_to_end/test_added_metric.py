"""A new metric that judges score is one entry, one runbook page and one test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from softlaunch.cli.exits import Exit
from tests.support.paths import ROOT

ENTRY = """\
    GROUNDEDNESS = (
        "groundedness",
        Entry(
            meaning="how much of an answer its sources say",
            quantity=Quantity.SCORE,
            direction=Direction.HIGHER_IS_BETTER,
            source=Source.SCORES,
            is_ticket=True,
            column="groundedness",
        ),
    )

"""


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A checkout with the entry and the page, and nothing else that differs."""
    leave = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "softlaunch", tmp_path / "softlaunch", ignore=leave)
    shutil.copytree(ROOT / "runbooks", tmp_path / "runbooks")
    table = tmp_path / "softlaunch" / "core" / "live_metrics.py"
    before, named, after = table.read_text().partition("    @classmethod\n    def named")
    table.write_text(before + ENTRY + named + after)
    page = (tmp_path / "runbooks" / "gate_quality.md").read_text()
    (tmp_path / "runbooks" / "gate_groundedness.md").write_text(page.replace("# Quality", "# Groundedness"))
    return tmp_path


def run(installation: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the installation; `tests` come from this checkout."""
    settings = {**os.environ, "PYTHONPATH": f"{installation}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=installation, env=settings, capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_a_metric_is_added_by_an_entry_and_a_page(installation: Path, migrated_file: Path) -> None:
    """Its scores arrive through feedback, roll a candidate back, open its incident, and are read from recordings."""
    ledger = Path(shutil.copy(migrated_file, installation / "ledger.db"))
    done = run(installation, "-m", "tests.support.added_metric", str(ledger), str(installation))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["state"] == "rolled_back"
    assert told["reason"].startswith("groundedness: worse by ")
    ((kind, severity, summary),) = told["incidents"]
    assert (kind, severity) == ("gate_groundedness", "ticket")
    assert "groundedness: worse by " in summary
    assert (told["runbook"], told["shown"]) == ("# Groundedness gate failed", "30.0 %")
    assert "groundedness" in told["schema"]
    command = ("gates", "replay", "samples.csv", "--policy", "policy.yaml", "--weight-percent", "50", "--json")
    replayed = run(installation, "-m", "softlaunch.cli", *command)
    assert replayed.returncode == Exit.ROLLED_BACK, replayed.stderr
    assert json.loads(replayed.stdout)["metric"] == "groundedness"
