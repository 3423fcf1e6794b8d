"""The command line in this process, on a ledger of the test's own."""

import shutil
import sys
from pathlib import Path

import pytest

from softlaunch.cli.main import main
from tests.support.commands import Done, Run


@pytest.fixture
def softlaunch(
    tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `softlaunch` with arguments."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOFTLAUNCH_HOME", str(tmp_path))
    monkeypatch.setenv("SOFTLAUNCH_POLL_SECONDS", "0.05")
    monkeypatch.delenv("SOFTLAUNCH_DATABASE_URL", raising=False)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["softlaunch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, " ".join(printed.err.split()))

    return run
