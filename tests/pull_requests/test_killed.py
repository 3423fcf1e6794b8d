"""A check that is killed, and one that is begun twice at once: nothing is paid twice."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.shop_repository import CASES, Shop, answer_as

pytestmark = pytest.mark.chaos

_PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from softlaunch.cli.main import main; main()"


def started(shop: Shop) -> subprocess.Popen[str]:
    """The check as a process of its own."""
    command = [sys.executable, "-c", _PROGRAM, str(ROOT), "check", str(shop.path), "--base", "main", "--format", "json"]
    return subprocess.Popen(command, env=dict(os.environ), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> dict[str, object]:
    """What it found."""
    out, err = process.communicate(timeout=100)
    assert out, err
    found: dict[str, object] = json.loads(out)
    return found


def kept(shop: Shop) -> int:
    """Answers in the ledger."""
    with closing(sqlite3.connect(Path(os.environ["SOFTLAUNCH_HOME"]) / "ledger.db")) as ledger:
        return int(ledger.execute("SELECT count(*) FROM eval_answers WHERE NOT reused").fetchone()[0])


def test_killed_in_the_middle_and_started_again(shop: Shop) -> None:
    """What was recorded is not asked again, what was under way is; a third run asks nothing at all."""
    shop.endpoint.by_request = answer_as("steady-1", delay=0.1)
    shop.branch("better")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    shop.repo.commit("Better")
    killed = started(shop)
    deadline = time.monotonic() + 90
    while kept(shop) < CASES // 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    asked, before = shop.endpoint.asked.total(), kept(shop)
    assert 0 < before < 2 * CASES
    document = ended(started(shop))
    assert document["outcome"] == "pass"
    assert document["calls"] == kept(shop)
    assert shop.endpoint.asked.total() - asked == kept(shop) - before
    shop.endpoint.asked.clear()
    assert ended(started(shop))["outcome"] == "pass"
    assert shop.endpoint.asked.total() == 0


def test_two_at_once_pay_once(shop: Shop) -> None:
    """Two jobs on one ledger share every answer, whichever comes first."""
    shop.branch("better")
    shop.write_prompt("1.1.0", "Nothing is wrong.")
    shop.repo.commit("Better")
    both = [started(shop), started(shop)]
    assert [ended(process)["outcome"] for process in both] == ["pass", "pass"]
    assert shop.endpoint.asked.total() == kept(shop)
    assert shop.endpoint.asked.most_common(1)[0][1] <= 2  # once by each side
