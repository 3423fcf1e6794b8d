"""softlaunch rehearse: the provider and the traffic as a person starts them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
import typer
from typer.testing import CliRunner

from softlaunch.cli import rehearse
from softlaunch.core.errors import SoftlaunchError
from tests.support.paths import ROOT

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "examples" / "support-bot"
PROGRAM = "import typer; from softlaunch.cli import rehearse; a = typer.Typer(); rehearse.register(a); a()"


def invoke(*arguments: str) -> str:
    """What the command prints; its errors are raised."""
    app = typer.Typer()
    rehearse.register(app)
    result = CliRunner().invoke(app, ["rehearse", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def start(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "rehearse", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider that knows the example's traffic, twenty times as fast; yields its URL."""
    process = start("provider", "--knowledge", str(EXAMPLE / "traffic.jsonl"), "--speed", "20", "--port", "0")
    assert process.stdout is not None
    found = re.search(r"http://\S+:\d+(?=/v1)", process.stdout.readline())
    assert found is not None
    yield found[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()


def test_users_can_be_played_against_a_provider(provider: str) -> None:
    """Questions are asked and answered, about as well as the profile says."""
    arguments = ("--app", "steady", "--questions", str(EXAMPLE / "traffic.jsonl"), "--gateway", provider)
    summary = orjson.loads(invoke("traffic", *arguments, "--rate", "150", "--duration", "1", "--json"))
    played = httpx.get(f"{provider}/rehearsal/stats").json()["models"]["steady"]
    assert played["requests"] == summary["requests"] > 50
    assert summary["arms"]["unknown"]["right_share"] > 0.8
    assert played["unknown"] == 0


def test_traffic_without_an_end_ends_with_a_summary_when_interrupted(provider: str) -> None:
    """Ctrl-C is how a person stops it, and the figures are what they want."""
    arguments = ("--app", "steady-v2", "--questions", str(EXAMPLE / "traffic.jsonl"), "--gateway", provider)
    process = start("traffic", *arguments, "--rate", "100", "--duration", "0")
    while "steady-v2" not in httpx.get(f"{provider}/rehearsal/stats").json()["models"]:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert re.search(r"\d+ requests by \d+ users", printed)


def test_profiles_are_listed_with_their_sources() -> None:
    """Published figures name their paper, invented ones say so."""
    printed = invoke("profiles")
    assert re.search(r"gpt-4-0314 +0\.840 +6\.7 / 21\.5", printed)
    assert "Chen, Zaharia, Zou 2023" in printed
    assert "made up" in printed


def test_own_profiles_come_first_and_replace_built_in_ones(tmp_path: Path) -> None:
    """A profile of the same name is the one that is played."""
    path = tmp_path / "mine.yaml"
    path.write_text("- {name: steady, accuracy: 0.5, latency: {p50_s: 1, p95_s: 2}}")
    listed = orjson.loads(invoke("profiles", "--profiles", str(path), "--json"))
    assert [profile["accuracy"] for profile in listed if profile["name"] == "steady"] == [0.5]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("provider", "--map", "question"), "--map is 'question'", id="a mapping without ="),
        pytest.param(("provider", "--alias", "a=gone"), "has no model 'gone'", id="an alias of nothing"),
        pytest.param(("provider", "--knowledge", "gone.jsonl"), "gone.jsonl can't be read", id="a missing file"),
        pytest.param(("provider", "--api-key-env", "SOFTLAUNCH_TEST_UNSET"), "SOFTLAUNCH_TEST_UNSET", id="no key"),
        pytest.param(("provider", "--speed", "0"), "--speed is 0", id="no speed"),
        pytest.param(("profiles", "--profiles", "gone.yaml"), "gone.yaml can't be read", id="missing profiles"),
        pytest.param(("traffic", "--app", "a", "--questions", "gone.jsonl"), "gone.jsonl", id="missing questions"),
        pytest.param(
            ("traffic", "--app", "a", "--questions", "gone.jsonl", "--ratings", "hearts"), "thumbs, stars", id="ratings"
        ),
    ],
)
def test_bad_input_says_what_to_change(arguments: tuple[str, ...], said: str) -> None:
    """Each is one message that names the option or the file."""
    os.environ.pop("SOFTLAUNCH_TEST_UNSET", None)
    with pytest.raises(SoftlaunchError, match=re.escape(said)):
        invoke(*arguments)


def test_a_price_that_is_none_is_refused(tmp_path: Path) -> None:
    """The message shows how a price is written."""
    path = tmp_path / "r.csv"
    path.write_text("model,question,answer,latency\nm,q,a,1\n")
    with pytest.raises(SoftlaunchError, match="m=30/60"):
        invoke("provider", "--recording", str(path), "--price", "m=30")


def test_a_port_in_use_is_one_message(provider: str) -> None:
    """Two providers on one port are a mistake that a person can mend."""
    with pytest.raises(SoftlaunchError, match="choose another with --port"):
        invoke("provider", "--port", provider.rsplit(":", 1)[1])
