"""After a promotion: answers that fail later are taken back by what served before, and equal ones are left alone."""

import asyncio
import random
import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from sqlmodel import select

from softlaunch.catalog.aliases import PRODUCTION, read_alias
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import Actor, find_live, read_release
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind, Release, State
from softlaunch.releases.controller import Controller
from softlaunch.releases.orphans import Remedy
from softlaunch.releases.reconcile import Reconciler
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow, RequestRow, RouteRow
from softlaunch.wiring import build_driver
from tests.end_to_end.models_of_arms import open_now, record, running
from tests.support.servers import running_gateway, stream_events, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

APP = "promoted"
USERS, RATE_RPS = 150, 20.0
ROUND_SECONDS, ROUNDS = 15, 4
USUAL_FAILURES = 0.03

POLICY = Policy.model_validate(
    {
        "app": APP,
        "eval": {"golden_set": None},
        "shadow": None,
        "stages": [{"weight_percent": 100, "minimum_time": 2, "minimum_requests": 30, "deadline": 1200}],
        "control_percent": 50,
        "gates": [{"metric": "errors", "margin": "20 points"}],
        "topline": {
            "time": ROUNDS * ROUND_SECONDS,
            "rounds": ROUNDS,
            "control_percent": 50,
            "action": "roll_back",
        },
    }
)


@dataclass
class Provider:
    """Both arms fail now and then; what was the candidate fails half of the time once it is `failing`."""

    failing: bool = False
    luck: random.Random = field(default_factory=lambda: random.Random(13))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A stream, or an error."""
        body = orjson.loads(await request.read())
        share = 0.5 if self.failing and body["model"].endswith("/candidate") else USUAL_FAILURES
        if self.luck.random() < share:
            return web.json_response({"error": {"message": "Service Unavailable"}}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in stream_events(body):
            await response.write(event)
        return response


async def come(url: str, over: threading.Event) -> None:
    """The same users again and again, in no order."""
    luck = random.Random(7)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as asking:
        while not over.is_set():
            asking.create_task(ask(session, url, f"u{luck.randrange(USERS)}"))
            await asyncio.sleep(1 / RATE_RPS)


async def ask(session: aiohttp.ClientSession, url: str, user: str) -> None:
    """One request, read to its end."""
    body = {"model": APP, "user": user, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.read()
    except aiohttp.ClientError:
        return


def followed(database: Database) -> Release:
    """What follows the promotion."""
    with database.read() as session:
        row = find_live(session, APP)
        assert row is not None
        return read_release(session, row.id)


def drive(database: Database, release_id: str, over: threading.Event) -> threading.Thread:
    """Drive a release to its end in a thread, as any driver does."""
    controller = Controller(build_driver(database, "test"), 0.3, stop=over)
    thread = threading.Thread(target=controller.run, args=(release_id,), daemon=True)
    thread.start()
    return thread


def serving(database: Database) -> str:
    """The model that serves everybody."""
    with database.read() as session:
        route = session.get_one(RouteRow, APP)
        rows = select(RequestRow.variant_digest).where(RequestRow.variant_digest == route.stable_digest)
        assert session.exec(rows.limit(1)).first() is not None
        return route.stable_digest


@pytest.mark.parametrize(
    "fails",
    [pytest.param(True, id="answers fail later"), pytest.param(False, id="both are alike", marks=pytest.mark.soak)],
)
def test_what_was_promoted_is_watched_on(migrated_file: Path, tmp_path: Path, *, fails: bool) -> None:
    """Its driver dies in between and reconcile has it resumed; users stay on what was promoted until harm is shown."""
    database_url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    database, provider, over = Database(database_url), Provider(), threading.Event()
    with running(provider.answer) as endpoint, running_gateway(database_url) as url:
        opening = record(database, endpoint, POLICY)
        users = threading.Thread(target=lambda: asyncio.run(come(url, over)))
        users.start()
        try:
            release = open_now(database, opening)
            drive(database, release, over).join()
            topline = followed(database)
            _watch(database, topline, provider, fails=fails)
            ended = _read(database, topline.id)
        finally:
            over.set()
            users.join()
    first = _read(database, release)
    with database.read() as session:
        production = read_alias(session, APP, PRODUCTION)
        incidents = list(session.exec(select(IncidentRow.kind).where(IncidentRow.release_id == topline.id)))
    if fails:
        assert (ended.state, ended.outcome, first.state) == (State.ROLLED_BACK, Outcome.FAIL, State.ROLLED_BACK)
        assert ended.position >= 1, "harm began in the second round"
        assert serving(database) == production == opening.stable_digest
        assert "gate_errors" in incidents
    else:
        assert (ended.state, ended.outcome, first.state) == (State.CONCLUDED, Outcome.PASS, State.PROMOTED)
        assert serving(database) == production == opening.candidate_digest
        assert "gate_errors" not in incidents
    database.close()


def _watch(database: Database, topline: Release, provider: Provider, *, fails: bool) -> None:
    """Drive what follows: the first driver dies in the second round, and reconcile finds who goes on."""
    assert (topline.kind, topline.state) == (Kind.TOPLINE, State.PENDING)
    dies = threading.Event()
    first = drive(database, topline.id, dies)
    wait_until(lambda: _read(database, topline.id).position == 1, "the second round begins", 120)
    provider.failing = fails
    dies.set()
    first.join()
    assert serving_candidate(database, topline)
    reconciler = Reconciler(database, Actor("reconcile", "test"), timedelta(seconds=1), pause=time.sleep)
    findings = reconciler.run()
    assert [(one.release_id, one.remedy) for one in findings] == [(topline.id, Remedy.RESUME)]
    over = threading.Event()
    second = drive(database, topline.id, over)
    wait_until(lambda: not _read(database, topline.id).state.live, "it is over", 300)
    over.set()
    second.join()


def serving_candidate(database: Database, topline: Release) -> bool:
    """Whether what was promoted serves everybody."""
    with database.read() as session:
        return session.get_one(RouteRow, APP).stable_digest == topline.candidate.digest


def _read(database: Database, release_id: str) -> Release:
    with database.read() as session:
        return read_release(session, release_id)
