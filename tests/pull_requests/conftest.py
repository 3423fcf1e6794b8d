"""A repository with an app, its model, and the check as a command."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from softlaunch.cli.main import build
from tests.support.endpoints import running_endpoint
from tests.support.shop_repository import Shop

Check = Callable[..., tuple[int, Any]]


@pytest.fixture
def shop(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A team's repository, and a ledger beside it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "ledger.db").write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("SOFTLAUNCH_HOME", str(home))
    monkeypatch.delenv("SOFTLAUNCH_DATABASE_URL", raising=False)
    with running_endpoint() as endpoint:
        yield Shop.make(tmp_path / "repo", endpoint)


@pytest.fixture
def check(shop: Shop) -> Check:
    """Check the checkout against `main`: the exit code, and the document, or with another --format what is printed."""

    def run(*options: str, base: str = "main") -> tuple[int, Any]:
        formatted = "--format" in options
        given = ["check", str(shop.path), "--base", base, *options, *([] if formatted else ["--format", "json"])]
        result = CliRunner().invoke(build(), given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout if formatted else json.loads(result.stdout)

    return run
