"""The list of commands, which is shown and looked up without importing them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from softlaunch.cli.main import build
from tests.support.commands import Run
from tests.support.paths import ROOT

HEAVY = {"alembic", "aiohttp", "fastapi", "genai_prices", "httpx", "numpy", "pandas", "prefect", "pyarrow", "scipy"}
PROGRAM = """
import sys
from softlaunch.cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def _imported(folder: Path, *arguments: str) -> set[str]:
    """What a command imports, on the ledger in a folder."""
    environment = {"PYTHONPATH": str(ROOT), "SOFTLAUNCH_HOME": str(folder)}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 2}, done.stderr
    return set(done.stderr.split())


def test_each_line_of_the_list_is_the_command_s_own() -> None:
    """What `softlaunch --help` says of a command is the first line of what its own help says."""
    command = typer.main.get_command(build())
    assert isinstance(command, typer.core.TyperGroup)
    context = typer.Context(command)
    listed = {name: one.get_short_help_str(200) for name, one in command.commands.items()}
    loaded: dict[str, Any] = {name: command.get_command(context, name) for name in listed}
    own = {name: one.get_short_help_str(200) for name, one in loaded.items()}
    assert listed == own


def test_every_module_of_commands_is_listed() -> None:
    """A module with a `register` adds commands, and each of them can be found."""
    folder = ROOT / "softlaunch" / "cli"
    modules = [path for path in folder.rglob("*.py") if "\ndef register(" in path.read_text(encoding="utf-8")]
    listed = (folder / "lazy_group.py").read_text(encoding="utf-8")
    names = [".".join(path.relative_to(folder).with_suffix("").parts) for path in modules]
    assert [name for name in names if f'("{name}", ' not in listed] == []


def test_a_typing_mistake_gets_a_proposal(softlaunch: Run) -> None:
    """Names that aren't loaded are proposed too."""
    done = softlaunch("relase")
    assert done.code == 2
    assert "Did you mean 'release'" in done.err


def test_help_imports_no_library_but_the_one_for_commands(tmp_path: Path) -> None:
    """The list of commands needs neither the database, nor tables in colours, nor any command's module."""
    imported = _imported(tmp_path, "--help")
    assert not imported & {*HEAVY, "jinja2", "pydantic", "rich", "sqlalchemy", "sqlmodel", "yaml"}
    assert {name for name in imported if name.startswith("softlaunch.cli.")} <= {
        f"softlaunch.cli.{name}" for name in ("exits", "lazy_group", "main")
    }


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("rollback", "nobody"), id="a rollback"),
        pytest.param(("release", "list"), id="a list of releases"),
        pytest.param(("release", "status", "nobody"), id="how a release stands"),
    ],
)
def test_what_must_not_wait_imports_little(arguments: tuple[str, ...], tmp_path: Path, migrated_file: Path) -> None:
    """A ledger that is up to date is read without migrations, clients, statistics, metrics and Prefect."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    assert not _imported(tmp_path, *arguments) & {*HEAVY, "softlaunch.gates.gate", "softlaunch.metrics.registry"}
