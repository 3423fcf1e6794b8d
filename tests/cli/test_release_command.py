"""What `softlaunch release` and its relatives say, and with which exit code they end."""

from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.database import Database
from tests.support.commands import Run

pytestmark = pytest.mark.long

QUICK_EVAL = "repeats: 1\n  maximum_repeats: 1\n  on_inconclusive: reject\n"


@pytest.fixture
def bot(softlaunch: Run, tmp_path: Path) -> Path:
    """The example as an app of one's own, whose models' endpoint is down."""
    assert softlaunch("init", "bot", "--app", "bot").code == Exit.OK
    (tmp_path / "bot" / "softlaunch.yaml").write_text(
        "app: bot\neval:\n  golden_set: golden.jsonl\n  timeout: 1 s\n  " + QUICK_EVAL
    )
    cases = (tmp_path / "bot" / "golden.jsonl").read_text().splitlines()
    (tmp_path / "bot" / "golden.jsonl").write_text("\n".join(cases[:2]) + "\n")
    models = tmp_path / "bot" / "models.yaml"
    models.write_text(models.read_text().replace("127.0.0.1:8801", "127.0.0.1:9"))
    assert softlaunch("apply", "bot").code == Exit.OK
    return tmp_path / "bot"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("nope", "--variant", "improved"), "no app 'nope' is recorded; recorded: bot", id="unknown app"),
        pytest.param(
            ("bot", "--variant", "zzz"), "its variants: baseline, budget, current, improved", id="unknown variant"
        ),
        pytest.param(("bot", "--prompt", "support@9.0.0"), "recorded: support@1.0.0", id="unknown prompt"),
        pytest.param(("bot", "--model", "gpt-9"), "no model 'gpt-9' is recorded", id="unknown model"),
        pytest.param(("bot", "--variant", "current"), "bot already serves", id="what serves already"),
        pytest.param(("bot",), "name the candidate: a variant", id="nothing to change"),
        pytest.param(("bot", "--temperature", "3"), "should be less than or equal to 2", id="impossible sampling"),
    ],
)
def test_a_release_that_makes_no_sense_is_refused(
    softlaunch: Run, bot: Path, arguments: tuple[str, ...], said: str
) -> None:
    """The message says what to change, the exit code is that of bad input, and nothing was opened."""
    done = softlaunch("release", "start", *arguments, "--without-prefect")
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert said in done.err
    assert orjson.loads(softlaunch("release", "list", "--json").out) == []


def test_bad_input_is_refused_where_no_prefect_is_configured(
    softlaunch: Run, bot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at once, as one message."""
    monkeypatch.setenv("PREFECT_API_URL", "")
    done = softlaunch("release", "start", "bot", "--variant", "zzz", "--json")
    assert done.code == Exit.USAGE
    assert done.err.startswith("softlaunch: bot has no variant 'zzz'; its variants: ")


def test_a_broken_golden_set_is_refused_before_anything_is_opened(softlaunch: Run, bot: Path) -> None:
    """The message names file and line."""
    with (bot / "golden.jsonl").open("a") as golden:
        golden.write('{"id": "x", "question": \n')
    done = softlaunch("release", "start", "bot", "--variant", "improved", "--without-prefect")
    assert done.code == Exit.USAGE
    assert "golden.jsonl, line 3" in done.err


def test_a_required_cost_gate_needs_prices(softlaunch: Run, bot: Path) -> None:
    """A gate that could never pass is refused at the start, not waited for."""
    models = bot / "models.yaml"
    models.write_text(
        models.read_text() + "\n- {name: odd, provider: x, model: odd-1, endpoint: 'http://127.0.0.1:9/v1'}\n"
    )
    softlaunch("apply", "bot")
    done = softlaunch("release", "start", "bot", "--model", "odd", "--without-prefect")
    assert done.code == Exit.USAGE
    assert "the price of odd is unknown" in done.err
    spare = softlaunch("release", "start", "bot", "--fallback", "odd", "--without-prefect")
    assert (spare.code, "the price of odd is unknown" in spare.err) == (Exit.USAGE, True)


def test_an_endpoint_that_is_down_is_inconclusive_not_a_regression(softlaunch: Run, bot: Path) -> None:
    """Neither arm answered, so nothing is known of the candidate; no user met it, and the app is free again."""
    done = softlaunch("release", "start", "bot", "--variant", "improved", "--without-prefect", "--json")
    said = orjson.loads(done.out)
    assert done.code == Exit.INCONCLUSIVE
    assert (said["state"], said["outcome"]) == ("rejected", "error")
    assert "unscored" in said["reason"] or "no case has a score" in said["reason"]


def test_a_second_release_is_told_who_holds_the_app(softlaunch: Run, bot: Path, tmp_path: Path) -> None:
    """One live release per app; abort sets it free."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    request = ReleaseRequest(app="bot", changes=Changes(variant="improved"), actor="anna", origin="test")
    open_release(database, request, utc_now())
    database.close()
    done = softlaunch("release", "start", "bot", "--variant", "budget", "--without-prefect")
    assert done.code == Exit.CONFLICT
    assert "bot-1 (pending), opened by anna" in done.err
    aborted = softlaunch("release", "abort", "bot", "--reason", "wrong one", "--json")
    assert orjson.loads(aborted.out)["state"] == "aborted"
    assert orjson.loads(softlaunch("release", "status", "bot", "--json").out)["reason"] == "wrong one"


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_an_answer_without_a_question_is_refused(softlaunch: Run, bot: Path, command: str) -> None:
    """Nobody approves what was not asked."""
    done = softlaunch(command, "bot")
    assert done.code == Exit.USAGE
    assert "no approval of bot is pending" in done.err


def test_rollback_without_anything_to_take_back_says_how_things_stand(softlaunch: Run, bot: Path) -> None:
    """An app that never released has nothing to go back to."""
    done = softlaunch("rollback", "bot")
    assert done.code == Exit.USAGE
    assert "no release of 'bot' is recorded" in done.err


def test_rollback_to_a_version_by_name(softlaunch: Run, bot: Path) -> None:
    """What serves already is fine, again and again; what never served is refused with what to do."""
    for _ in range(2):
        stays = softlaunch("rollback", "bot", "--to", "current", "--json")
        assert (stays.code, orjson.loads(stays.out)["changed"]) == (Exit.OK, False)
    refused = softlaunch("rollback", "bot", "--to", "improved")
    assert refused.code == Exit.USAGE
    assert "has never served bot's users" in refused.err
    forced = softlaunch("rollback", "bot", "--to", "improved", "--untried", "--reason", "the provider is gone")
    assert (forced.code, "is served by" in forced.out) == (Exit.OK, True)
    assert "the provider is gone" in softlaunch("history", "bot", "--json").out
    assert softlaunch("rollback", "bot", "--untried").code == Exit.USAGE
