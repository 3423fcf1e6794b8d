"""Texts through a real gateway and a real evaluator: judged, then nowhere; and where nobody judges, never anywhere."""

import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from softlaunch.catalog.records import record_model, record_variant
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.gateway.limits import Limits
from softlaunch.integrations.archives.folder import FolderArchive
from softlaunch.ledger.releases import Actor
from softlaunch.ledger.routes import serving_to_json
from softlaunch.live.evaluator import Evaluator
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Serving
from softlaunch.retention.cleanup_run import RegistryCleanup
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.servers import running_gateway, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

APP = "support-bot"
ASKED, ANSWERED = "ZEBRA-asked-5c1", "ZEBRA-answered-9e2"
SECRET = "anna@example.com"
REQUESTS = 60


@pytest.fixture
def models() -> Iterator[Endpoint]:
    """One that answers users, and one that judges; of some answers it says nothing readable, and quotes them."""
    with running_endpoint() as endpoint:
        endpoint.behaviour = _behave
        yield endpoint


def _behave(model: str, prompt: str, _before: int) -> Reply:
    if model != "judge":
        return Reply(f"{ANSWERED}: {prompt[-40:]}")
    assert SECRET not in prompt, "judges see the redacted text"
    assert "[email]" in prompt
    return Reply(f"What is {prompt[-60:]}?" if "number 7" in prompt else "[[4]]")


def _variant(endpoint: str, model: str) -> Variant:
    prompt = PromptVersion(name="p", version="1.0.0", messages=(PromptMessage(role="system", content="Answer."),))
    return Variant(prompt=prompt, model=ModelVersion(name=model, provider="test", model=model, endpoint=endpoint))


def _open(database: Database, endpoint: str, **changes: Any) -> None:
    """An app that serves a model, with a judge beside it."""
    policy = Policy.model_validate({"app": APP, "eval": {"golden_set": None}, **changes})
    stable, judge, now = _variant(endpoint, "stable"), _variant(endpoint, "judge"), utc_now()
    with database.begin() as session:
        session.add(
            AppRow(name=APP, policy=policy.model_dump(mode="json"), policy_path="p", salt="salt", recorded_at=now)
        )
        record_variant(session, stable, now)
        record_model(session, judge.model, "models.yaml", now)
        session.flush()
        serving = serving_to_json(Serving.of("salt", policy))
        session.add(RouteRow(app=APP, revision=1, stable_digest=stable.digest, serving=serving, changed_at=now))


def _ask(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        for number in range(REQUESTS):
            asked = f"{ASKED}, mail {SECRET}, number {number}"
            body = {"model": APP, "user": f"u{number}", "messages": [{"role": "user", "content": asked}]}
            assert client.post("/v1/chat/completions", json=body).status_code == 200


def _count(database: Database, table: str) -> int:
    with database.read() as session:
        return int(session.execute(text(f"select count(*) from {table}")).scalar_one())


def _marks(folder: Path) -> list[tuple[str, str]]:
    """In which files below a folder which mark stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (path.name, mark) for path in files for mark in (ASKED, ANSWERED, SECRET) if mark.encode() in path.read_bytes()
    ]


def _archive(database: Database, folder: Path) -> None:
    """Archive and delete what is due in a hundred days."""
    later = utc_now() + timedelta(days=100)
    archive = FolderArchive(folder)
    cleanup = RegistryCleanup(database, archive, 0.1, Actor("test", "test"), lambda: later, lambda _: None)
    cleanup.clean(cleanup.plan())


@pytest.fixture
def home(migrated_file: Path, tmp_path: Path) -> Path:
    """A folder with a migrated ledger and nothing else."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(migrated_file, folder / "ledger.db")
    return folder


def test_texts_are_judged_and_then_nowhere(home: Path, models: Endpoint) -> None:
    """Not in the ledger, not in its log, not in an archive, and what was to be redacted was never written."""
    database = Database(f"sqlite:///{home / 'ledger.db'}")
    live = {"metrics": [{"metric": "quality"}], "sample_percent": {"afterwards": 100}, "judge": {"models": ["judge"]}}
    _open(database, models.url, live=live, texts={"keep": "until_judged", "redact": {}})
    evaluator = Evaluator(database, lambda said: None, every=0.2)
    working = threading.Thread(target=evaluator.run, daemon=True)
    with running_gateway(str(database.url), limits=Limits(route_poll_seconds=0.05, heartbeat_seconds=0.1)) as url:
        _ask(url)
        wait_until(lambda: _count(database, "texts") == REQUESTS, "the texts wait for judges")
        found = _marks(home)
        assert {mark for _, mark in found} == {ASKED, ANSWERED}, "texts are there, and secrets aren't"
        working.start()
        wait_until(lambda: _count(database, "texts") == 0, "all are judged", 120)
        wait_until(lambda: _marks(home) == [], "the log beside the ledger is emptied", 60)
        evaluator.stopping.set()
        working.join()
    assert _count(database, "live_judgements") == REQUESTS
    assert _count(database, "scores") == REQUESTS - 1
    _archive(database, home / "archive")
    assert _count(database, "requests") == 0
    assert any((home / "archive").rglob("*"))
    database.close()
    assert _marks(home) == []


def test_without_judges_no_text_is_ever_written(home: Path, models: Endpoint) -> None:
    """keep: false, at any moment: not even for as long as a batch of the log waits."""
    database, over, seen = Database(f"sqlite:///{home / 'ledger.db'}"), threading.Event(), []
    _open(database, models.url)

    def look() -> None:
        while not over.wait(0.05):
            seen.extend(_marks(home))

    looking = threading.Thread(target=look, daemon=True)
    with running_gateway(str(database.url)) as url:
        looking.start()
        _ask(url)
        wait_until(lambda: _count(database, "requests") == REQUESTS, "the rows are written")
        over.set()
        looking.join()
    _archive(database, home / "archive")
    database.close()
    assert seen == []
    assert _marks(home) == []
