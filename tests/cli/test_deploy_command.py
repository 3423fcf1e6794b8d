"""What `softlaunch deploy` says where there is no Prefect server to deploy to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from softlaunch.cli.exits import Exit
from tests.support.commands import Run
from tests.support.paths import ROOT


def test_without_a_server_it_says_what_to_set(softlaunch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is deployed to a server that Prefect would start for the occasion and forget."""
    monkeypatch.setenv("PREFECT_API_URL", "")
    done = softlaunch("deploy")
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert "set PREFECT_API_URL, such as http://127.0.0.1:4200/api" in done.err


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments", [("deploy",), ("release", "start", "bot", "--variant", "improved", "--json")], ids=" ".join
)
def test_a_server_that_is_down_is_a_message_and_no_traceback(
    softlaunch: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """It names the address, and what works without Prefect."""
    assert softlaunch("init", "bot", "--app", "bot").code == Exit.OK
    assert softlaunch("apply", "bot").code == Exit.OK
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    command = [sys.executable, "-m", "softlaunch.cli", *arguments]
    done = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    said = " ".join(done.stderr.split())
    assert done.returncode == Exit.USAGE, said
    assert "Prefect at http://127.0.0.1:9/api can't be reached" in said
    assert "--without-prefect" in said
    assert "Traceback" not in said
