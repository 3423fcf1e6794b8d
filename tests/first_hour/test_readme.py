"""The first hour of somebody who has only the README, a clean clone, and a model server that isn't ours."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from softlaunch.installation.stack import free_ports
from tests.first_hour import model_server
from tests.support.paths import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

MOST_COMMANDS = 15
_ELSEWHERE = "# in a terminal of its own"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _commands() -> list[str]:
    """The lines of the README's shell blocks, from an empty folder to the first release."""
    readme = (ROOT / "README.md").read_text()
    begun = readme[readme.index("## Your own app") :]
    return [line for block in _BLOCK.findall(begun) for line in block.splitlines()]


class Shell:
    """A terminal in the clone: what is set in one command holds for the next, and others stay open beside it."""

    def __init__(self, clone: Path, environment: dict[str, str]) -> None:
        self._clone = clone
        self._environment = environment
        self._before: list[str] = []
        self._open: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> str:
        """Type a command; returns what it prints, and fails where its exit code isn't 0."""
        if command.endswith(_ELSEWHERE):
            self._open.append(subprocess.Popen(self._line(command), cwd=self._clone, env=self._environment))
            self._await_gateway()
            return ""
        done = subprocess.run(
            self._line(command), cwd=self._clone, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if command.startswith(("source ", "export ")):
            self._before.append(command)
        return done.stdout

    def _await_gateway(self) -> None:
        """Look at the other terminal until the gateway is there."""
        address = f"http://127.0.0.1:{self._environment['SOFTLAUNCH_GATEWAY_PORT']}/healthz"
        for _ in range(120):
            with suppress(httpx.HTTPError):
                if httpx.get(address).is_success:
                    return
            time.sleep(1)
        pytest.fail("the gateway didn't start within two minutes")

    def _line(self, command: str) -> list[str]:
        return ["bash", "-c", "\n".join([*self._before, f"exec {command}" if _ELSEWHERE in command else command])]

    def close(self) -> None:
        """Press Ctrl-C in every other terminal."""
        for process in self._open:
            process.send_signal(signal.SIGINT)
        for process in self._open:
            process.wait(30)


@contextmanager
def _typing(clone: Path, environment: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(clone, environment)
    try:
        yield shell
    finally:
        shell.close()


@contextmanager
def _own_model(port: int) -> Iterator[str]:
    """The model server; yields the address for `--endpoint`."""
    environment = {**os.environ, "MODEL_KEY": "secret"}
    process = subprocess.Popen([sys.executable, model_server.__file__, str(port)], env=environment)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def _edit(clone: Path, command: str) -> None:
    """What a person changes in an editor after a command: their questions, and the new prompt."""
    if command.startswith("softlaunch init"):
        cases = [
            {"id": f"q{number}", "question": f"Repeat the word item{number}", "expected": f"item{number}"}
            for number in range(60)
        ]
        (clone / "my-bot" / "golden.jsonl").write_text("".join(f"{json.dumps(case)}\n" for case in cases))
    if command.startswith("cp "):
        prompt = clone / command.rsplit(" ", 1)[-1]
        prompt.write_text(prompt.read_text().replace("briefly", "in one word"))


def test_the_readme_leads_to_a_promoted_release(tmp_path: Path) -> None:
    """From a clean clone to the first promoted release of one's own app takes its commands and nothing else."""
    clone = tmp_path / "softlaunch"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    model_port, gateway_port = free_ports(2)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOFTLAUNCH_", "PREFECT_"))}
    environment = {**kept, "SOFTLAUNCH_GATEWAY_PORT": str(gateway_port), "PREFECT_HOME": str(tmp_path / "prefect")}
    commands = _commands()
    with _own_model(model_port) as endpoint, _typing(clone, environment) as shell:
        for command in commands:
            mine = command.replace("http://127.0.0.1:8000/v1", endpoint).replace("my-model", model_server.MODEL)
            printed = shell.run(mine.replace("MODEL_KEY=...", "MODEL_KEY=secret"))
            _edit(clone, command)
    assert "my-bot-1 promoted" in printed
    assert "my-bot is served by my-bot@1.1.0" in printed
    assert "Report: .softlaunch/reports/my-bot-1.html" in printed
    assert (clone / ".softlaunch" / "reports" / "my-bot-1.html").is_file()
    assert len(commands) + 1 <= MOST_COMMANDS  # with the clone
