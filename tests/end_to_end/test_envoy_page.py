"""The guide on Envoy, followed word for word: its policy is applied and its commands are run."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.gateway.test_command import environment
from tests.support.envoy import Deployment, deployed, envoy_path, needs_envoy
from tests.support.paths import ROOT
from tests.support.prometheus import free_port
from tests.support.servers import wait_until

pytestmark = [needs_envoy, pytest.mark.long]

PAGE = (ROOT / "docs" / "guide" / "envoy.md").read_text(encoding="utf-8")
ADDRESSES = ("http://support-bot:8080", "http://support-bot-next:8080")


def block(language: str) -> str:
    """The page's first block of a language."""
    return str(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)[0])


def command_line(folder: Path) -> dict[str, str]:
    """An environment that finds our commands and Envoy, in an installation of its own."""
    programs = (Path(sys.executable).parent, Path(envoy_path() or "").parent)
    path = os.pathsep.join([*(str(one) for one in programs), os.environ["PATH"]])
    return {**environment(folder / ".softlaunch"), "PATH": path, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(script: str, folder: Path, settings: dict[str, str]) -> Iterator[None]:
    """A script and all that it leaves behind, which ends with it."""
    with (folder / "script.log").open("wb") as log:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def test_the_page_leads_to_an_envoy_that_serves(tmp_path: Path) -> None:
    """The pieces of the page, with ports that are free here, lead to an Envoy that says whose a request is."""
    stable, candidate = Deployment("stable"), Deployment("candidate")
    listen, admin, control = free_port(), free_port(), free_port()
    settings = {**command_line(tmp_path), "SOFTLAUNCH_ENVOY_PORT": str(control), "SOFTLAUNCH_ENVOY_HEALTH_PORT": "0"}
    subprocess.run(["softlaunch", "init", "support-bot"], cwd=tmp_path, env=settings, check=True, capture_output=True)
    policy = tmp_path / "support-bot" / "softlaunch.yaml"
    written = yaml.safe_load(policy.read_text(encoding="utf-8"))
    said = block("yaml").replace(ADDRESSES[0], stable.url).replace(ADDRESSES[1], candidate.url)
    policy.write_text(yaml.safe_dump({**written, "live": None, "shadow": None, **yaml.safe_load(said)}))
    applied = subprocess.run(
        ["softlaunch", "apply", "support-bot"], cwd=tmp_path, env=settings, check=False, capture_output=True, text=True
    )
    assert applied.returncode == 0, applied.stderr
    script = (
        block("bash")
        .replace("config support-bot", f"config support-bot --listen 127.0.0.1:{listen} --admin 127.0.0.1:{admin}")
        .replace("envoy -c envoy.json", "envoy -c envoy.json --disable-hot-restart")
    )
    with deployed(stable, candidate), running(script, tmp_path, settings):
        url = f"http://127.0.0.1:{listen}/"

        def served() -> bool:
            try:
                return httpx.get(url, headers={"x-user-id": "anna"}).text == "stable"
            except httpx.TransportError:
                return False

        wait_until(served, "Envoy serves stable", 60)
    seen = stable.seen[-1]
    assert (seen["x-softlaunch-arm"], seen["x-softlaunch-app"]) == ("stable", "support-bot")
    assert re.fullmatch("[0-9a-f]{64}", seen["x-softlaunch-variant"])
    assert candidate.seen == []
