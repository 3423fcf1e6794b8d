"""A fixed population whose candidate turns bad after its gates have passed, while people are asked."""

import asyncio
import random
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web

from softlaunch.core.clock import utc_now
from softlaunch.gates.gate_set import GateSet
from softlaunch.ledger.approvals import pending_approvals
from softlaunch.ledger.releases import read_release
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from tests.end_to_end.models_of_arms import await_canaries, drive_all, open_now, record, running
from tests.support.servers import running_gateway, stream_events

pytestmark = [pytest.mark.long, pytest.mark.timeout(420)]

APP = "regulars"
USERS, RATE_RPS = 120, 24.0
KNOWN_SECONDS = 40.0  # how long stable is asked before the release, so that its visits are known
USUAL_SECONDS = 0.03
HARM = {"latency": 60.0, "errors": 75.0}
"""Seconds from its beginning within which harm is to be rolled back: three times as slow, or one in five failed."""


@dataclass
class Provider:
    """Answers alike in both arms until the candidate's `harm` begins."""

    harm: str
    harming: bool = False
    luck: random.Random = field(default_factory=lambda: random.Random(13))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A stream after a while."""
        body = orjson.loads(await request.read())
        harmed = self.harming and body["model"].endswith("/candidate")
        usual = USUAL_SECONDS * self.luck.uniform(0.7, 1.3)
        await asyncio.sleep(usual * (3 if harmed and self.harm == "latency" else 1))
        if harmed and self.harm == "errors" and self.luck.random() < 0.2:
            return web.json_response({"error": {"message": "Service Unavailable"}}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in stream_events(body):
            await response.write(event)
        return response


POLICY = Policy.model_validate(
    {
        "app": APP,
        "eval": {"golden_set": "golden.jsonl"},
        "shadow": None,
        "stages": [
            {"weight_percent": 50, "margin_factor": 1, "minimum_time": 5, "minimum_requests": 50, "deadline": 1200},
            {"weight_percent": 100, "margin_factor": 1, "minimum_time": 5, "deadline": 1200, "approval": True},
        ],
        "gates": [{"metric": "errors", "margin": "10 points"}, {"metric": "latency", "margin": "50 %"}],
    }
)


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


@pytest.mark.parametrize("harm", [pytest.param("latency", marks=pytest.mark.soak), "errors"])
def test_harm_that_begins_while_an_approval_is_open_is_taken_back(
    migrated_file: Path, tmp_path: Path, harm: str
) -> None:
    """The stage's gates have passed and people are asked; within a minute or so of the first harm, all is on stable."""
    database_url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    database, provider, over = Database(database_url), Provider(harm), threading.Event()
    with running(provider.answer) as endpoint, running_gateway(database_url) as url:
        opening = record(database, endpoint, POLICY)
        users = threading.Thread(target=lambda: asyncio.run(come(url, over)))
        users.start()
        time.sleep(KNOWN_SECONDS)
        release = open_now(database, opening)
        driving = threading.Thread(target=drive_all, args=(database, [release], over))
        driving.start()
        try:
            await_canaries(database, {APP: release})
            await_question(database, release)
            began, provider.harming = time.monotonic(), True
            ended = await_end(database, release)
        finally:
            over.set()
            driving.join()
            users.join()
    database.close()
    assert ended == "rolled_back"
    assert time.monotonic() - began < 2 * HARM[harm], "a busy machine is allowed twice the time"


def await_question(database: Database, release: str) -> None:
    """Wait until the gates have passed and people are asked."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with database.read() as session:
            if pending_approvals(session, release, read_release(session, release).position, utc_now()):
                return
        time.sleep(0.2)
    with database.read() as session:
        held = read_stages(session, release)[read_release(session, release).position].evidence
        verdicts = GateSet.load(POLICY, read_release(session, release).stage, held["panel"]).verdicts()
    raise AssertionError(f"the gates did not pass: {verdicts}")


def await_end(database: Database, release: str) -> str:
    """Wait until the release is over, for three minutes at most; returns its state."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with database.read() as session:
            state = read_release(session, release).state
        if not state.live:
            break
        time.sleep(0.2)
    return state.value
