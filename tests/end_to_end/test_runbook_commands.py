"""Every command of every runbook page, pasted in order on a running installation that has the page's incident."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from softlaunch.catalog.apps import apply
from softlaunch.catalog.example import make_app
from softlaunch.cli.main import main
from softlaunch.core.clock import utc_now
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.notices import Incident, open_incident
from softlaunch.ledger.releases import Actor, read_release
from softlaunch.policy.release import State
from softlaunch.releases.changes import Changes
from softlaunch.releases.decision import End
from softlaunch.releases.ending import end_release
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.simulator.cases import read_cases
from softlaunch.store.database import Database
from tests.support.builders import Clock, Scene
from tests.support.paths import ROOT
from tests.support.providers import RunningProvider, running_provider
from tests.support.runbook_pages import Step, steps_of
from tests.support.servers import running_gateway

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

APP, RELEASE = "support-bot", "support-bot-1"
LIVE = {
    IncidentKind.NO_DATA,
    IncidentKind.SPLIT_OFF,
    IncidentKind.RELEASE_ORPHANED,
    IncidentKind.PROVIDER_DOWN,
    IncidentKind.JUDGES_AWAY,
    IncidentKind.ENVOY_NOT_FOLLOWING,
}
ON_COPIES = {IncidentKind.of_metric(Metric.AGREEMENT), IncidentKind.of_metric(Metric.PREFERENCE)}
TAKEN_BACK = {
    IncidentKind.BREAKER_TRIPPED: "a gateway's breaker tripped: 12 of 14 candidate answers failed within 5 s",
    IncidentKind.ROLLBACK_STUCK: "rolled back by hand",
    IncidentKind.APPROVAL_EXPIRED: "nobody answered in time: canary 5 % passed. Start canary 50 %?",
}


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    """A provider that plays the example's models."""
    with running_provider(read_cases(ROOT / "examples" / APP / "answers.jsonl"), speed=100.0) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, migrated_file: Path, provider: RunningProvider, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in a folder, where somebody opens a terminal: the example's app, and a ledger that knows it."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    make_app(tmp_path / APP, APP)
    models = tmp_path / APP / "models.yaml"
    models.write_text(models.read_text().replace("http://127.0.0.1:8801", provider.origin))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOFTLAUNCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SOFTLAUNCH_DATABASE_URL", raising=False)
    return tmp_path


def happen(kind: IncidentKind, database: Database) -> None:
    """Bring a release to where the incident finds it, and open the incident."""
    request = ReleaseRequest(app=APP, changes=Changes(variant="improved"), actor="anna", origin="test")
    clock = Clock(utc_now() - timedelta(hours=12))
    release_id = open_release(database, request, clock())
    driver = Scene(database, release_id, clock).driver()
    token = driver.acquire_lease(release_id)
    found_in = State.SHADOWING if kind in ON_COPIES else State.CANARY
    while driver.advance(release_id, token).state is not found_in:
        clock.go(300)
    driver.release_lease(release_id, token)
    with database.begin() as session:
        release = read_release(session, release_id)
        if kind not in LIVE:
            end_release(session, release, _end(kind), Actor("driver", "test"), clock())
        incident = Incident(
            kind, APP, release_id, f"{release_id}:test:{kind}", f"{APP}: {kind.words}", {"stage": "canary 1 %"}
        )
        open_incident(session, incident, clock())


def _end(kind: IncidentKind) -> End:
    if kind in TAKEN_BACK:
        return End(State.ROLLED_BACK, Outcome.FAIL, TAKEN_BACK[kind])
    if kind.is_gate:
        gate = kind.metric or Metric.reported("ticket_resolved")
        ended = State.REJECTED if kind in ON_COPIES else State.ROLLED_BACK
        return End(ended, Outcome.FAIL, f"{gate}: worse by 412 %, more than the acceptable 10 %", gate)
    return End(State.PROMOTED, Outcome.PASS, "every stage passed")


@pytest.fixture
def paste(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Step, str], str]:
    """Run a command as somebody would who pasted it; returns what it printed. It must succeed."""

    def run(step: Step, gateway: str) -> str:
        words = shlex.split(step.command.replace("http://localhost:8800", gateway).replace("localhost:8800", gateway))
        if words[0] != "softlaunch":
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"$ {step.command}\n{done.stdout}{done.stderr}"
            return done.stdout
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert not ended.value.code, f"$ {step.command}\n{printed.out}{printed.err}"
        return printed.out

    return run


@pytest.mark.parametrize("kind", IncidentKind)
def test_every_command_of_the_page_runs(kind: IncidentKind, folder: Path, paste: Callable[[Step, str], str]) -> None:
    """It succeeds and prints what the page shows; so a page names nothing that does not exist."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    url = f"sqlite:///{folder / 'ledger.db'}"
    database = Database(url)
    apply(folder / APP, database, "test")
    happen(kind, database)
    steps = steps_of(ROOT / kind.runbook)
    assert steps
    with running_gateway(url) as gateway:
        for step in steps:
            printed = paste(step, gateway)
            missed = step.missed(printed)
            assert not missed, f"$ {step.command}\nlacks {missed!r} in:\n{printed}"
    database.close()
