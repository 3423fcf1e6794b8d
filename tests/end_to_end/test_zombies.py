"""Runs whose process and worker are gone: the automation that ships makes Prefect say so."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployed import Server, prefect, running_prefect
from tests.support.paths import ROOT
from tests.support.servers import wait_until
from tests.support.stacks import kill_all

pytestmark = [pytest.mark.prefect, pytest.mark.long, pytest.mark.timeout(500)]

NAP = """
import time
from prefect import flow

@flow
def nap():
    time.sleep(3600)
"""
DEPLOYMENTS = {
    "name": "naps",
    "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "FOLDER"}}],
    "deployments": [{"name": "nap", "entrypoint": "nap.py:nap", "work_pool": {"name": "softlaunch"}}],
}
APPLY = """
import sys
from pathlib import Path
from prefect.client.orchestration import get_client
from softlaunch.installation.deploying import apply_automations
with get_client(sync_client=True) as client:
    apply_automations(client, Path(sys.argv[1]))
"""
WITHIN_SECONDS = 75


@pytest.mark.soak
def test_a_run_whose_process_and_worker_are_gone_is_crashed(tmp_path: Path) -> None:
    """As it ships, but with quick heartbeats and little patience: Running doesn't stay for good."""
    (tmp_path / "prefect").mkdir()
    with running_prefect(tmp_path / "prefect") as found:
        told = {"SOFTLAUNCH_HOME": str(tmp_path)}  # by which its processes are found
        environment = {**found, **told, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "PREFECT_WORKER_QUERY_SECONDS": "1"}
        server = Server(environment)
        prefect(environment, "work-pool", "create", "softlaunch", "--type", "process")
        deploy_nap(environment, tmp_path)
        automation = tmp_path / "automations.yaml"
        automation.write_text(yaml.safe_dump({"automations": [hasty()]}))
        subprocess.run([sys.executable, "-c", APPLY, str(automation)], env=environment, cwd=ROOT, check=True)
        with (tmp_path / "worker.log").open("wb") as log:
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "softlaunch"]
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            prefect(environment, "deployment", "run", "nap/nap")
            wait_until(lambda: state(server) == "RUNNING", "it runs", 120)
            wait_until(lambda: heartbeats(server) > 0, "its heart has beaten", 120)
        finally:
            kill_all(tmp_path)  # Prefect gives a run a session of its own: it would outlive its worker's group
            worker.wait()
        wait_until(lambda: state(server) == "CRASHED", "Prefect says that it has crashed", 240)


def hasty() -> dict[str, Any]:
    """The automation that ships, with less patience."""
    shipped = yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text(encoding="utf-8"))["automations"]
    (zombies,) = [one for one in shipped if "has crashed" in one["name"]]
    assert (
        zombies["trigger"]["within"] >= 540
    )  # three heartbeats of 180 s: with less, runs that live are taken for dead
    zombies["trigger"]["within"] = WITHIN_SECONDS
    return dict(zombies)


def deploy_nap(environment: dict[str, str], folder: Path) -> None:
    """Deploy a flow that sleeps."""
    (folder / "nap.py").write_text(NAP)
    file = folder / "prefect.yaml"
    file.write_text(yaml.safe_dump(DEPLOYMENTS).replace("FOLDER", str(folder)))
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file.name]
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)


def state(server: Server) -> str:
    """The state of the newest run."""
    runs = server.runs_of("nap/nap")
    return str(runs[-1]["state_type"]) if runs else ""


def heartbeats(server: Server) -> int:
    """How many heartbeats the server has seen."""
    wanted = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
    return int(server.post("/events/filter", wanted)["total"])
