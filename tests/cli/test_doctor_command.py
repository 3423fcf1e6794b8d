"""What the doctor finds, and with which exit code it ends."""

from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.installation.doctor.of_app import fewest_cases
from tests.support.commands import Done, Run
from tests.support.endpoints import running_endpoint


def _levels(done: Done) -> dict[str, str]:
    return {one["check"]: one["level"] for one in orjson.loads(done.out)["findings"]}


@pytest.fixture
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Prefect nor Slack is configured."""
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)


@pytest.mark.usefixtures("nobody_else")
def test_a_first_day_is_told_what_is_missing(softlaunch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint answers; the key, a gateway, traffic and cases are still missing, each with what to do."""
    with running_endpoint() as endpoint:
        softlaunch("init", "my-bot", "--endpoint", endpoint.url, "--model", "tiny-1", "--key-env", "MY_TEST_KEY")
        softlaunch("apply", "my-bot", "--no-probe")
        monkeypatch.delenv("MY_TEST_KEY", raising=False)
        without = softlaunch("doctor", "my-bot", "--json")
        monkeypatch.setenv("MY_TEST_KEY", "k")
        done = softlaunch("doctor", "my-bot", "--json")
    assert (_levels(without)["key"], _levels(without)["endpoint"]) == ("problem", "problem")
    assert done.code == Exit.FAILED
    assert _levels(done) == {
        "ledger": "ok",
        "endpoint": "ok",
        "key": "ok",
        "golden set": "warning",
        "gateway": "problem",
        "traffic": "warning",
        "prefect": "ok",
        "slack": "ok",
        "clock": "ok",
    }
    assert all(one["advice"] for one in orjson.loads(done.out)["findings"] if one["level"] != "ok")


@pytest.mark.usefixtures("nobody_else")
def test_without_an_app_it_says_how_to_make_one(softlaunch: Run) -> None:
    """An empty ledger is a problem with a way out."""
    done = softlaunch("doctor")
    assert (done.code, "softlaunch init" in done.out) == (Exit.FAILED, True)


def test_a_prefect_that_is_away_is_a_problem(softlaunch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to start it, and how to do without."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    done = softlaunch("doctor", "--json")
    found = next(one for one in orjson.loads(done.out)["findings"] if one["check"] == "prefect")
    assert (found["level"], "--without-prefect" in found["advice"]) == ("problem", True)


@pytest.mark.parametrize(
    ("tolerance", "cases"),
    [pytest.param(0.02, 80, id="2 points"), pytest.param(0.1, 16, id="10 points"), pytest.param(1.0, 1, id="all")],
)
def test_the_fewest_cases_show_the_tolerance_in_four_of_five(tolerance: float, cases: int) -> None:
    """Among so many cases one that the loss would flip is there with 80 % probability, and among one fewer it isn't."""
    assert fewest_cases(tolerance) == cases
    assert 1 - (1 - tolerance) ** cases >= 0.8
    assert cases == 1 or 1 - (1 - tolerance) ** (cases - 1) < 0.8


@pytest.mark.usefixtures("nobody_else")
def test_a_release_begins_with_the_same_warnings(softlaunch: Run, tmp_path: Path) -> None:
    """Before anything is opened they are on the standard error, also where the release is refused."""
    softlaunch("init", "my-bot", "--endpoint", "http://127.0.0.1:9/v1", "--model", "tiny-1")
    softlaunch("apply", "my-bot", "--no-probe")
    done = softlaunch("release", "start", "my-bot")
    assert done.code == Exit.USAGE
    assert "! my-bot: no gateway is running; start one" in done.err
    assert "! my-bot: its golden set has 20 cases" in done.err
