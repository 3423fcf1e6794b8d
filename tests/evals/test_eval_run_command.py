"""`softlaunch eval run` as a process of its own: finished, killed, resumed, out of budget."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.endpoints import Endpoint, Reply

Command = Callable[..., subprocess.Popen[str]]
CASES = 160


@pytest.fixture
def softlaunch(tmp_path: Path, endpoint: Endpoint) -> Command:
    """Start `softlaunch` in a folder with the example app on the test's endpoint and a golden set of 160 cases."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "SOFTLAUNCH_HOME": str(tmp_path / "home")}
        root = Path(__file__).parents[2]
        program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from softlaunch.cli.main import main; main()"
        command = [sys.executable, "-c", program, str(root), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stdout=pipe, stderr=pipe)

    assert start("init", "bot", "--app", "bot").wait(60) == 0
    lines = [{"id": f"c{number}", "question": f"question {number}", "expected": "yes"} for number in range(CASES)]
    (tmp_path / "bot" / "golden.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    models = tmp_path / "bot" / "models.yaml"
    models.write_text(models.read_text().replace("http://127.0.0.1:8801/v1", endpoint.url))
    done = start("apply", "bot")
    assert done.wait(60) == 0, done.communicate()
    endpoint.asked.clear()  # apply has asked each model once
    return start


def finished(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a command that was started with --json."""
    out, err = process.communicate(timeout=100)
    assert out, err
    document: dict[str, Any] = json.loads(out)
    return process.returncode, document


@pytest.mark.long
def test_what_serves_against_itself_and_a_budget_that_ends(
    softlaunch: Command, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Out of budget is exit 5 and says so; the same command with more goes on, pays the rest only, and passes."""
    once = ("eval", "run", "bot", "--repeats", "1", "--maximum-repeats", "1", "--json")
    code, short = finished(softlaunch(*once, "--budget-calls", "100"))
    assert (code, short["outcome"], endpoint.asked.total()) == (5, "inconclusive", 100)
    assert "the budget of 100 calls is used up" in short["reason"]
    code, whole = finished(softlaunch(*once))
    assert (code, whole["outcome"], endpoint.asked.total()) == (0, "pass", 2 * CASES)
    assert (whole["run"], whole["n_cases"], whole["halted"]) == (short["run"], CASES, None)
    page = tmp_path / "page.html"
    assert softlaunch("review", whole["run"], "--page", str(page)).wait(60) == 0
    assert f"softlaunch review {whole['run']}" in page.read_text()
    assert page.read_text().count("<details") == CASES
    code, another = finished(softlaunch(*once))
    assert another["run"] != whole["run"]


@pytest.mark.chaos
def test_killed_at_sixty_percent_and_started_again(softlaunch: Command, endpoint: Endpoint, tmp_path: Path) -> None:
    """No finished call is made again, and the result is that of a run that nobody killed."""
    endpoint.behaviour = lambda model, question, before: Reply(
        "no" if int(question.split()[-1]) % 20 == 0 else "yes", delay=0.02
    )
    once = ("eval", "run", "bot", "--repeats", "1", "--maximum-repeats", "1", "--concurrency", "4", "--json")
    killed = softlaunch(*once)
    deadline = time.monotonic() + 60
    while endpoint.asked.total() < 0.6 * 2 * CASES and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = endpoint.asked.total()
    with closing(sqlite3.connect(tmp_path / "home" / "ledger.db")) as ledger:
        (kept,) = ledger.execute("SELECT count(*) FROM eval_answers").fetchone()
    assert 0 < kept <= before < 2 * CASES
    _, resumed = finished(softlaunch(*once))
    assert endpoint.asked.total() == before + 2 * CASES - kept
    _, whole = finished(softlaunch(*once, "--fresh"))
    counts = ("outcome", "n_cases", "left_out_cases")
    assert [resumed[key] for key in counts] == [whole[key] for key in counts]
    figures = ("stable", "candidate", "difference", "lower", "upper", "n_unscored")
    assert [[one[key] for key in figures] for one in resumed["metrics"]] == [
        [one[key] for key in figures] for one in whole["metrics"]
    ]
