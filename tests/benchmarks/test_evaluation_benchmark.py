"""The benchmark of a look does what a driver does."""

from pathlib import Path

import pytest

from benchmarks.gates.evaluation import USERS, Watcher
from softlaunch.policy.evals import EvalPolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from softlaunch.store.database import Database

POLICY = Policy(app="bot", eval=EvalPolicy(golden_set="golden.jsonl"))
HALF = next(stage for stage in plan(POLICY) if stage.weight_percent == 50)


@pytest.mark.parametrize("users", USERS)
def test_a_driver_that_is_replaced_goes_on_as_the_one_before(tmp_path: Path, migrated_file: Path, users: str) -> None:
    """Both judge the same requests with the same result."""
    path = tmp_path / "ledger.db"
    path.write_bytes(migrated_file.read_bytes())
    watcher = Watcher(Database(f"sqlite:///{path}"), POLICY, HALF, users)
    for _ in range(3):
        watcher.fill(2000)
        watcher.look()
    held = watcher.evidence, watcher.panel
    watcher.fill(2000)
    watcher.look()
    stayed = watcher.evidence
    watcher.evidence, watcher.panel = held
    watcher.restart()
    watcher.look()
    assert watcher.evidence == stayed
    assert watcher.held_bytes > 0
    assert max(gate.counts.candidate + gate.counts.stable for gate in watcher.panel.gates) > 1000
