"""`softlaunch up`: a whole installation that comes up, heals, and goes down in order; and what stops it says why."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.store.migrate import open_database
from tests.support.envoy import routed_policy
from tests.support.otlp import record_split
from tests.support.paths import ROOT
from tests.support.servers import wait_until
from tests.support.stacks import Up, free_port, running_up, stack_processes

BESIDES = ("OTLP_PORT", "CONFIG_SERVER_PORT", "ENVOY_HEALTH_PORT", "ENVOY_PROCESSOR_HEALTH_PORT")
"""What sets the ports at which services answer that run where they are asked for."""
pytestmark = [pytest.mark.long, pytest.mark.prefect, pytest.mark.timeout(400)]


def names_on(up: Up, what: str) -> set[str]:
    """The names of what Prefect has of a kind; who doesn't show the token that it was given is refused."""
    with httpx.Client(base_url=f"http://127.0.0.1:{up.prefect_port}/api", timeout=90) as client:
        assert client.post(f"/{what}/filter", json={}).status_code == 403
        token = client.get("/csrf-token", params={"client": "test"}).raise_for_status().json()["token"]
        shown = {"Prefect-Csrf-Client": "test", "Prefect-Csrf-Token": token}
        wait_until(lambda: client.post(f"/{what}/filter", json={}, headers=shown).is_success, f"{what} are listed", 60)
        return {one["name"] for one in client.post(f"/{what}/filter", json={}, headers=shown).json()}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc")
def test_a_stack_comes_up_heals_and_goes_down(tmp_path: Path) -> None:
    """Gateway, Prefect and what runs besides answer, flows are deployed, a dead worker comes back, SIGTERM ends all.

    The receiver of spans and Envoy's control plane with its processor run because the policy of an app asks for them.
    """
    (tmp_path / "home").mkdir()
    database = open_database(f"sqlite:///{tmp_path / 'home' / 'ledger.db'}")
    policy = routed_policy("http://a", "http://b", router={"rewrite": True}, sources={"otlp": {}})
    record_split(database, None, since=time.time() - 60, policy=policy)
    database.close()
    ports = {name: str(free_port()) for name in (*BESIDES, "ENVOY_PORT", "ENVOY_PROCESSOR_PORT")}
    settings = {f"SOFTLAUNCH_{name}": port for name, port in ports.items()}
    with running_up(tmp_path / "home", None, ("--config-server",), **settings) as up:
        up.await_everything()
        for name in BESIDES:
            assert httpx.get(f"http://127.0.0.1:{ports[name]}/healthz", timeout=20).is_success
        assert httpx.get(f"http://127.0.0.1:{up.gateway_port}/healthz", timeout=20).is_success
        assert f"OTLP           http://127.0.0.1:{ports['OTLP_PORT']}" in up.said
        assert f"Envoy          127.0.0.1:{ports['ENVOY_PORT']}" in up.said
        assert f"bodies         127.0.0.1:{ports['ENVOY_PROCESSOR_PORT']}" in up.said
        assert {"release", "rollback", "reconcile"} <= names_on(up, "deployments")
        assert any("has crashed" in name for name in names_on(up, "automations"))
        wait_until(lambda: bool(up.pids("worker start")), "the worker runs", 180)
        (killed,) = up.pids("worker start")
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: any(pid != killed for pid in up.pids("worker start")), "another worker runs", 180)
        assert "worker ended with exit code -9" in up.said
        refused = subprocess.run(
            [sys.executable, "-m", "softlaunch.cli", "up"],
            env={**os.environ, "SOFTLAUNCH_HOME": str(up.home)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == Exit.USAGE
        assert f"another 'softlaunch up' (process {up.process.pid})" in " ".join(refused.stderr.split())
        up.process.send_signal(signal.SIGTERM)
        wait_until(lambda: up.process.poll() is not None, "it has stopped", 120)
        assert up.process.returncode == Exit.OK
        assert stack_processes(up.home) == {}
        assert (up.home / "logs" / "gateway.log").exists()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({}, "is taken; stop what listens there", id="a port is taken"),
        pytest.param(
            {"SOFTLAUNCH_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"},
            "can't use the ledger",
            id="the database is unreachable",
        ),
    ],
)
def test_what_keeps_it_from_starting_is_said(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    """One message with what to change, the exit code of bad input, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if not environment else free_port()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "softlaunch.cli",
                "up",
                "--gateway-port",
                str(port),
                "--prefect-port",
                str(free_port()),
                "--console-port",
                str(free_port()),
            ],
            env={**os.environ, "SOFTLAUNCH_HOME": str(tmp_path), **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == Exit.USAGE, done.stderr
    assert message in " ".join(done.stderr.split())
    assert stack_processes(tmp_path) == {}
