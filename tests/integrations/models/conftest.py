"""A real MLflow server, where `make mlflow` has installed one."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.support.paths import ROOT
from tests.support.servers import wait_until

START_SECONDS = 240.0  # the first start compiles 600 MB of packages, on a busy machine


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server started for this session, or a skip that says how to get it."""
    program = ROOT / ".venv-mlflow" / "bin" / "mlflow"
    if not program.is_file():
        pytest.skip("MLflow isn't installed beside the project; run 'make mlflow'")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    store = f"--backend-store-uri=sqlite:///{folder}/mlflow.db"
    command = [str(program), "server", store, f"--artifacts-destination={folder}/artifacts", "--host=127.0.0.1"]
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",  # it starts uvicorn by name
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, f"--port={port}", "--workers=1"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    try:
        wait_until(lambda: _ready(url) or server.poll() is not None, "MLflow answers", START_SECONDS)
        if server.poll() is not None:
            pytest.fail(f"MLflow ended at once: {(folder / 'log').read_text()[-2000:]}")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False
