"""Starting a release that nobody follows, such as one that a press in Slack asked for."""

from pathlib import Path
from typing import Any

import pytest

from softlaunch.cli import starting
from softlaunch.core.errors import SoftlaunchError
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.store.database import Database
from tests.support.builders import APP
from tests.support.drift_scenes import make_app
from tests.support.endpoints import running_endpoint


@pytest.fixture
def ordered(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What Prefect was asked to run; an app is in the ledger."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("SOFTLAUNCH_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    orders: list[tuple[str, Any]] = []
    monkeypatch.setattr(starting, "prefect_configured", lambda: True)
    monkeypatch.setattr(starting, "order_run", lambda deployment, parameters: orders.append((deployment, parameters)))
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    with running_endpoint() as endpoint:
        make_app(database, endpoint, tmp_path)
    database.close()
    return orders


def test_a_worker_drives_it_where_prefect_is_configured(ordered: list[tuple[str, Any]]) -> None:
    """The deployment gets the request as it was; nobody waits for it."""
    request = ReleaseRequest(app=APP, changes=Changes(), allow_same=True, actor="ben", origin="slack")
    starting.launch_release(request)
    assert ordered == [("release/release", {"request": request.model_dump(mode="json")})]


def test_what_can_not_be_released_is_said_before_a_worker_is_asked(ordered: list[tuple[str, Any]]) -> None:
    """Whoever pressed hears it, instead of a run that fails somewhere else."""
    with pytest.raises(SoftlaunchError):
        starting.launch_release(ReleaseRequest(app=APP, changes=Changes(model="nobody-knows"), actor="ben"))
    assert ordered == []
