"""The commands about apps, policies and what is recorded, as a person or a program runs them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from softlaunch.cli.main import build
from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.policy.load import PolicyError
from tests.support.commands import run, run_json


def test_a_new_app_goes_from_init_to_variants(here: Path) -> None:
    """The commands that `init` proposes work one after the other."""
    assert run_json("init", "shop", "--app", "shop-bot")["app"] == "shop-bot"
    assert run_json("policy", "check", "shop/softlaunch.yaml")["policy"]["app"] == "shop-bot"
    applied = run_json("apply", "shop")
    assert (applied["app"], applied["created"], applied["changed"]) == ("shop-bot", True, True)
    assert run_json("apply", "shop")["changed"] is False
    assert [row["prompt"] for row in run_json("prompts", "list")] == applied["prompts"]
    assert {row["name"] for row in run_json("models", "list")} == set(applied["models"])
    names = [row["names"] for row in run_json("variants", "list", "--app", "shop-bot")]
    assert "baseline, current, production" in names


def test_text_output_names_what_was_done(here: Path) -> None:
    """People read sentences and tables, with what to do next."""
    assert "softlaunch apply shop" in run("init", "shop", "--app", "shop-bot")
    assert "shop-bot is new in the ledger" in run("apply", "shop")
    assert "nothing has changed" in run("apply", "shop")
    assert "is sound; shop/golden.jsonl has" in run("policy", "check", "shop/softlaunch.yaml")
    assert "## system" in run("prompts", "show", "support@1.0.0")
    assert "endpoint" in run("models", "show", "steady")
    assert "support@1.0.0" in run("variants", "show", "production")


def test_a_variant_is_added_from_another(here: Path) -> None:
    """A change of prompt and sampling becomes a variant with a name that later commands know."""
    run("init", "shop", "--app", "shop-bot")
    run("apply", "shop")
    added = run_json("variants", "add", "hot", "--prompt", "1.1.0", "--set", "temperature=1.2", "--set", "seed=7")
    assert (added["prompt"]["version"], added["sampling"]["temperature"], added["sampling"]["seed"]) == (
        "1.1.0",
        1.2,
        7,
    )
    assert run_json("variants", "show", "hot")["digest"] == added["digest"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        pytest.param(["init", "--app", "Shop Bot"], SoftlaunchError, "--app: 'Shop Bot' is not a name", id="app name"),
        pytest.param(["init", "shop"], SoftlaunchError, "nothing is overwritten", id="init in a folder that is taken"),
        pytest.param(["apply", "elsewhere"], SoftlaunchError, "softlaunch init", id="apply where no app is"),
        pytest.param(["policy", "check", "shop/bad.yaml"], PolicyError, "line 1: ap: unknown key", id="a typo"),
        pytest.param(
            ["policy", "check", "shop/lost.yaml"], SoftlaunchError, "golden set .* can't be read", id="no set"
        ),
        pytest.param(["prompts", "show", "support"], NotFoundError, "support@1.0.0, support@1.1.0", id="no version"),
        pytest.param(["models", "show", "gpt"], NotFoundError, "recorded: cheap-and-wrong", id="unknown model"),
        pytest.param(["variants", "show", "nope"], NotFoundError, "its variants: baseline", id="unknown variant"),
        pytest.param(["variants", "list", "--app", "x"], NotFoundError, "recorded: shop-bot", id="unknown app"),
        pytest.param(["variants", "add", "previous"], SoftlaunchError, "only releases move", id="a reserved name"),
        pytest.param(
            ["variants", "add", "Too Hot"], SoftlaunchError, "'Too Hot' is not a name", id="a name with a space"
        ),
        pytest.param(["variants", "add", "hot"], SoftlaunchError, "name the candidate: a variant", id="no change"),
        pytest.param(["variants", "add", "a", "--set", "x"], SoftlaunchError, "expected KEY=VALUE", id="no value"),
    ],
)
def test_bad_input_is_answered(here: Path, arguments: list[str], error: type[Exception], said: str) -> None:
    """A mistake is one message that says what to do; nothing of it reaches the ledger."""
    run("init", "shop", "--app", "shop-bot")
    run("apply", "shop")
    (here / "shop" / "bad.yaml").write_text("ap: shop-bot\ngolden_set: golden.jsonl\n")
    (here / "shop" / "lost.yaml").write_text("app: shop-bot\ngolden_set: lost.jsonl\n")
    with pytest.raises(error, match=said):
        run(*arguments)


def test_the_schema_is_one_json_document(here: Path) -> None:
    """Editors can be pointed at what the command prints."""
    assert json.loads(run("policy", "schema"))["title"] == "Policy"


def test_several_apps_ask_for_a_name(here: Path) -> None:
    """Where two apps are recorded a command about variants wants to know which is meant."""
    for name in ("one", "two"):
        run("init", name, "--app", name)
        run("apply", name)
    with pytest.raises(SoftlaunchError, match="name the app with --app; recorded: one, two"):
        run("variants", "show", "production")


def test_apply_says_which_endpoints_do_not_answer(here: Path) -> None:
    """Everything is recorded all the same; `--no-probe` asks nobody, and `policy check --probe` fails by it."""
    run("init", "shop", "--app", "shop-bot")
    models = Path("shop/models.yaml")
    models.write_text(models.read_text().replace("http://127.0.0.1:8801/v1", "http://127.0.0.1:9/v1"))
    done = CliRunner().invoke(build(), ["apply", "shop"])
    assert (done.exit_code, "shop-bot is new in the ledger" in done.stdout) == (0, True)
    assert "model steady at http://127.0.0.1:9/v1: can't be reached: connection refused" in done.stderr
    assert CliRunner().invoke(build(), ["apply", "shop", "--no-probe"]).stderr == ""
    asked = CliRunner().invoke(build(), ["policy", "check", "shop/softlaunch.yaml", "--probe", "--json"])
    assert asked.exit_code == 1
    assert {one["model"] for one in json.loads(asked.stdout)["endpoints"] if one["problem"]} >= {"steady"}
    assert CliRunner().invoke(build(), ["policy", "check", "shop/softlaunch.yaml"]).exit_code == 0


def test_a_wrong_first_endpoint_is_repaired_by_apply(here: Path) -> None:
    """Under the model's own name, before any user asked: its endpoint doesn't answer."""
    run("init", "shop", "--app", "shop-bot")
    models = Path("shop/models.yaml")
    models.write_text(models.read_text().replace("http://127.0.0.1:8801/v1", "http://127.0.0.1:9/v1"))
    first = run_json("apply", "shop")["production"]
    models.write_text(models.read_text().replace("http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"))
    repaired = run_json("apply", "shop")
    assert repaired["production"] != first
    assert "model steady never gave a good answer, so its record was replaced" in repaired["notes"]
