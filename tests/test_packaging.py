"""What an installed softlaunch brings with it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the checkout builds."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.mark.parametrize(
    "file",
    [
        "softlaunch/examples/support-bot/softlaunch.yaml",
        "softlaunch/examples/support-bot/golden.jsonl",
        "softlaunch/runbooks/rollback_stuck.md",
        "softlaunch/store/migrations/env.py",
        "softlaunch/store/migrations/script.py.mako",
        "softlaunch/store/migrations/versions/0001_first_tables.py",
        "softlaunch/cli/main.py",
        "flows/__init__.py",
        "tasks/__init__.py",
    ],
)
def test_the_wheel_is_complete(wheel: Path, file: str) -> None:
    """Files that aren't modules, such as the example and the migrations, are in the wheel."""
    assert file in zipfile.ZipFile(wheel).namelist()


def test_an_installed_wheel_can_make_an_app(wheel: Path, tmp_path: Path) -> None:
    """`softlaunch init` finds its example where there is no checkout."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "from softlaunch.cli.main import build\n"
        "build()(['init', 'shop', '--app', 'shop'], standalone_mode=False)\n"
        "import softlaunch; print(softlaunch.__file__)"
    )
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert str(tmp_path / "site") in done.stdout.splitlines()[-1]
    assert (tmp_path / "shop" / "softlaunch.yaml").is_file()
