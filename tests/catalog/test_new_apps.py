"""New apps made from the example."""

from pathlib import Path

import pytest

from softlaunch.catalog.app_folder import read_app
from softlaunch.catalog.example import REHEARSAL_FILE, InitError, OwnModel, make_app, make_own_app
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.load import golden_set_path, load_policy
from tests.support.paths import ROOT


def test_a_new_app_is_sound(tmp_path: Path) -> None:
    """What `init` makes can be applied as it is, under the name that was asked for."""
    make_app(tmp_path / "shop", "shop-bot")
    app = read_app(tmp_path / "shop")
    assert app.policy.app == "shop-bot"
    assert load_suite(golden_set_path(app.policy, app.policy_path)).cases


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file in the way stops everything before the first copy."""
    (tmp_path / "models.yaml").write_text("mine")
    with pytest.raises(InitError, match=r"has models\.yaml already"):
        make_app(tmp_path, "shop-bot")
    assert [path.name for path in tmp_path.iterdir()] == ["models.yaml"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be is explained."""
    (tmp_path / "shop").write_text("")
    with pytest.raises(InitError, match="name a folder that you may write to"):
        make_app(tmp_path / "shop", "shop-bot")


OWN = OwnModel("https://llm.example.com/v1", "meta-llama/Llama-3.1 8B", "LLM_KEY")


@pytest.mark.parametrize("minimal", [pytest.param(False, id="with comments"), pytest.param(True, id="minimal")])
def test_an_app_of_one_s_own_is_sound(tmp_path: Path, *, minimal: bool) -> None:
    """Its files can be applied as they are, and name the model, the endpoint and the key that were given."""
    make_own_app(tmp_path / "bot", "my-bot", OWN, minimal=minimal)
    app = read_app(tmp_path / "bot")
    assert (app.policy.app, app.stable, app.prompts[0].prompt.label) == ("my-bot", "current", "my-bot@1.0.0")
    (model,) = app.models
    assert (model.endpoint, model.model, model.api_key_env) == (OWN.endpoint, OWN.model, OWN.api_key_env)
    assert len(load_suite(golden_set_path(app.policy, app.policy_path)).cases) == 20
    assert load_policy(tmp_path / "bot" / REHEARSAL_FILE).app == "my-bot"
    assert not any("MY_" in path.read_text() for path in (tmp_path / "bot").rglob("*") if path.is_file())


def test_a_minimal_policy_has_five_lines(tmp_path: Path) -> None:
    """They are those of the README."""
    make_own_app(tmp_path, "my-bot", OWN, minimal=True)
    policy = (tmp_path / "softlaunch.yaml").read_text()
    assert len(policy.splitlines()) == 5
    assert policy in (ROOT / "README.md").read_text()


def test_a_model_without_a_key_names_none(tmp_path: Path) -> None:
    """A server on one's own machine often wants none."""
    make_own_app(tmp_path, "my-bot", OwnModel("http://127.0.0.1:8000/v1", "tiny"))
    (model,) = read_app(tmp_path).models
    assert (model.api_key_env, model.provider) == (None, "127.0.0.1")


@pytest.mark.parametrize(
    ("endpoint", "provider"),
    [
        pytest.param("https://api.openai.com/v1", "openai", id="known by its domain"),
        pytest.param("https://api.anthropic.com/v1", "anthropic", id="another protocol"),
        pytest.param("https://notopenai.com/v1", "notopenai.com", id="a domain that only ends alike"),
    ],
)
def test_who_runs_a_model_is_told_by_its_host(endpoint: str, provider: str) -> None:
    """The provider decides by which protocols a model is asked."""
    assert OwnModel(endpoint, "m").provider == provider
