"""The registry cleanup as Prefect runs it: a large one asks, waits, and goes on at the answer of the form."""

import subprocess
import sys
from pathlib import Path

import pytest

from softlaunch.core.clock import utc_now
from softlaunch.ledger.approvals import newest_cleanup_approval
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow
from tests.support.builders import APP, make_policy
from tests.support.cleanup_scene import Registry, a_model, a_prompt, make_registry
from tests.support.deployed import environment_of
from tests.support.paths import ROOT
from tests.support.servers import wait_until

pytestmark = [pytest.mark.prefect, pytest.mark.long, pytest.mark.timeout(300)]

CLEAN = "from softlaunch.flows.registry_cleanup import registry_cleanup; print(registry_cleanup())"
ANSWER = f"""
from softlaunch.flows.decide_approval import decide_approval
from softlaunch.approvals.requests import DecisionRequest
decide_approval(DecisionRequest(app="{APP}", question=1, decision="approve", actor="ben"))
"""


@pytest.fixture
def registry(tmp_path: Path, migrated_file: Path) -> Registry:
    """Something old that nothing uses, and a policy that wants to be asked."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    made = make_registry(Database(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "archive")
    made.now = utc_now()
    retention = {"ask_above_mb": 0, "prompts": {"keep_newest": 0}}
    with made.database.begin() as session:
        policy = make_policy(retention=retention, approvers=[{"name": "ben"}])
        session.get_one(AppRow, APP).policy = policy.model_dump(mode="json")
    made.record(days_ago=200, prompt=a_prompt("1.2.0"), model=a_model("old"))
    return made


def test_the_flow_waits_for_the_answer_and_goes_on(
    registry: Registry, prefect_environment: dict[str, str], tmp_path: Path
) -> None:
    """Nothing goes before; the answer comes from the flow behind the form, by the number of the question."""
    environment = environment_of(prefect_environment, tmp_path)

    def start(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def asked() -> bool:
        with registry.database.read() as session:
            return newest_cleanup_approval(session) is not None

    waiting = start(CLEAN)
    try:
        wait_until(lambda: asked() or waiting.poll() is not None, "the cleanup asks", 120)
        assert waiting.poll() is None
        assert "support@1.2.0" in registry.keys(Kind.PROMPTS)
        assert start(ANSWER).wait(120) == 0
        out, _ = waiting.communicate(timeout=120)
    finally:
        waiting.kill()
    assert "archived and deleted 1 prompts" in out
    assert "support@1.2.0" not in registry.keys(Kind.PROMPTS)
    registry.database.close()
