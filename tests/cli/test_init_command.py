"""`softlaunch init` as a person types it, and one ledger for what it makes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from softlaunch.catalog.app_folder import read_app
from softlaunch.cli import init
from softlaunch.cli.exits import Exit
from softlaunch.cli.main import build
from tests.support.commands import Run

OWN = ("--endpoint", "http://127.0.0.1:9/v1", "--model", "tiny-1")


def test_the_folder_names_the_app(softlaunch: Run, tmp_path: Path) -> None:
    """`init my-bot` makes an app that clients call my-bot."""
    assert softlaunch("init", "my-bot", *OWN, "--key-env", "MY_KEY").code == Exit.OK
    app = read_app(tmp_path / "my-bot")
    assert (app.policy.app, app.models[0].api_key_env) == ("my-bot", "MY_KEY")


def test_a_person_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal four questions make an app."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(init, "_by_hand", lambda: True)
    answers = "shop\nhttps://llm.example.com/v1\ntiny-1\n\n"
    assert CliRunner().invoke(build(), ["init"], input=answers).exit_code == Exit.OK
    model = read_app(tmp_path / "shop").models[0]
    assert (model.endpoint, model.model, model.api_key_env) == ("https://llm.example.com/v1", "tiny-1", None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--endpoint", "http://h/v1"), "give both", id="no model"),
        pytest.param(("--endpoint", "h/v1", "--model", "m"), "must start with http", id="no address"),
        pytest.param((*OWN, "--key-env", "sk-123"), "never the key itself", id="a key in place of its variable"),
        pytest.param(("--minimal",), "give --endpoint and --model", id="minimal without a model"),
    ],
)
def test_half_a_model_is_refused(softlaunch: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """The message says what is missing, and nothing is made."""
    done = softlaunch("init", "my-bot", *arguments)
    assert (done.code, said in done.err, (tmp_path / "my-bot").exists()) == (Exit.USAGE, True, False)


@pytest.fixture
def homeless(tmp_path: Path, softlaunch: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app whose ledger nobody named."""
    softlaunch("init", "my-bot", *OWN)
    monkeypatch.delenv("SOFTLAUNCH_HOME")
    return tmp_path


def test_an_app_has_one_ledger(softlaunch: Run, homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`apply my-bot`, and then the same inside of it, write into the same; the second says which."""
    assert softlaunch("apply", "my-bot", "--no-probe").code == Exit.OK
    monkeypatch.chdir(homeless / "my-bot")
    done = softlaunch("apply", "--no-probe")
    assert "nothing has changed" in done.out
    assert f"The ledger is that of {homeless}" in done.err
    assert [path.relative_to(homeless) for path in homeless.rglob(".softlaunch")] == [Path(".softlaunch")]


def test_no_second_ledger_is_made_above_the_first(
    softlaunch: Run, homeless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever applied inside the folder first is told where the ledger is, and how to have it here."""
    monkeypatch.chdir(homeless / "my-bot")
    assert softlaunch("apply", "--no-probe").code == Exit.OK
    monkeypatch.chdir(homeless)
    done = softlaunch("apply", "my-bot", "--no-probe")
    assert (done.code, "holds a ledger" in done.err) == (Exit.USAGE, True)
    assert not (homeless / ".softlaunch").exists()
