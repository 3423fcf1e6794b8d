"""`softlaunch metrics import`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from softlaunch.cli.exits import Exit
from softlaunch.cli.main import build
from softlaunch.core.clock import utc_now
from softlaunch.core.split import unit_hash
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import AppRow
from tests.support.builders import APP, make_policy, request_row


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A ledger of an app that declares a metric, and whose user ann has just asked."""
    monkeypatch.setenv("SOFTLAUNCH_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    policy = make_policy(metrics=[{"name": "solved", "kind": "share", "better": "up", "unit": "user"}])
    now = utc_now()
    with database.begin() as session:
        kept = policy.model_dump(mode="json")
        session.add(AppRow(name=APP, policy=kept, policy_path="", salt="s", recorded_at=now))
        session.add(request_row(request_id=f"{APP}-1", unit=unit_hash("ann", "s"), started_at=now.timestamp() - 5))
    return database


def test_a_file_is_taken_and_what_is_not_is_said(database: Database, tmp_path: Path) -> None:
    """The exit code tells that a row is missing; the same file again takes nothing twice."""
    path = tmp_path / "values.csv"
    path.write_text("unit,solved,team\nann,true,a\nbob,true,b\n")
    done = CliRunner().invoke(build(), ["metrics", "import", str(path), "--app", APP])
    assert done.exit_code == Exit.INCONCLUSIVE
    assert done.stdout.splitlines() == [
        "values taken: 1, known before: 0, rows refused: 1",
        "  row 2: this unit has asked nothing lately, or not since the metric's window",
        "columns that mean nothing here: team",
    ]
    again = CliRunner().invoke(build(), ["metrics", "import", str(path), "--app", APP, "--json"])
    told = json.loads(again.stdout)
    assert (told["accepted"], told["known"], [one["row"] for one in told["refused"]]) == (0, 1, [2])
    assert database.url.database == str(tmp_path / "ledger.db")
