"""Faults that hit both arms alike take no candidate back; the same faults of the candidate alone do.

Thirty-six releases a fault, side by side through one real gateway: thirty whose arms are the same and, as a guard, six
whose candidate alone is at fault. Users come once, stream, and close as soon as they have read the end.
"""

import asyncio
import random
import shutil
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web

from softlaunch.ledger.releases import read_release
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from tests.end_to_end.models_of_arms import await_canaries, drive_all, open_now, record, running
from tests.support.servers import running_gateway, stream_events

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ALIKE, ALONE = 30, 6
SECONDS = 75.0
RATE_RPS = 3.0  # a hundred a second over all apps, which a busy machine can still serve
OUTAGE = (0.3, 0.6)
"""Of the time that users come, as shares: when nobody is answered; the candidate alone stays away for good."""


@dataclass
class Provider:
    """Models named `<app>/<arm>`; `fault` strikes by a draw that the app and the request's number seed."""

    fault: str
    began: float = field(default_factory=time.monotonic)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A stream, or the fault."""
        body = orjson.loads(await request.read())
        app, _, arm = body["model"].partition("/")
        strikes = self._strikes(app, arm, body["messages"][-1]["content"])
        if strikes and self.fault == "random 400":
            error = {"message": "The model's answer could not be parsed.", "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=400)
        if strikes and self.fault == "outage":
            return web.json_response({"error": {"message": "Service Unavailable"}}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, event in enumerate(stream_events(body)):
            if number == 2 and strikes:
                await response.write(b'data: {"error": {"message": "overloaded"}}\n\n')
                return response
            await response.write(event)
        await asyncio.sleep(0.02)  # the end of the body comes a moment after the end of the answer
        return response

    def _strikes(self, app: str, arm: str, question: str) -> bool:
        if self.fault == "none" or (app.startswith("alone") and arm == "stable"):
            return False
        if self.fault == "outage":
            share = (time.monotonic() - self.began) / SECONDS
            return share >= OUTAGE[0] and (share <= OUTAGE[1] or app.startswith("alone"))
        rate = 0.1 if app.startswith("alike") else 0.7
        return random.Random(zlib.crc32(f"{app}/{arm}/{question}".encode())).random() < rate


def policy_of(app: str) -> Policy:
    """One stage that lasts longer than the users come: only harm ends it."""
    stage = {"weight_percent": 50, "margin_factor": 1, "minimum_time": 600, "deadline": 1200}
    return Policy.model_validate(
        {
            "app": app,
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": None,
            "stages": [stage, {**stage, "weight_percent": 100}],
            "gates": [{"metric": "errors", "margin": "2 points"}],
            "gateway": {"breaker": {"minimum_requests": 5}},
        }
    )


async def ask(session: aiohttp.ClientSession, url: str, app: str, number: int) -> None:
    """One user, who closes at the end of the answer."""
    question = f"question {number}"
    body = {"model": app, "user": f"u{number}", "stream": True, "messages": [{"role": "user", "content": question}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            async for line in response.content:
                if b"[DONE]" in line or b'"error"' in line:
                    response.close()
                    return
    except aiohttp.ClientError:
        return


async def come(url: str, apps: list[str]) -> None:
    """Users of every app, at a steady rate."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as users:
        for number in range(round(SECONDS * RATE_RPS)):
            for place, app in enumerate(apps):
                users.create_task(ask(session, url, app, number))
                if place % 6 == 0:
                    await asyncio.sleep(6 / RATE_RPS / len(apps))


@pytest.mark.parametrize(
    "fault",
    ["outage", *(pytest.param(one, marks=pytest.mark.soak) for one in ("none", "random 400", "error in the stream"))],
)
def test_only_the_candidates_own_faults_take_it_back(migrated_file: Path, tmp_path: Path, fault: str) -> None:
    """No release whose arms are alike is rolled back; each whose candidate alone is at fault is."""
    apps = [f"alike-{number}" for number in range(ALIKE)] + [f"alone-{number}" for number in range(ALONE)]
    database_url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    database = Database(database_url)
    provider = Provider(fault)
    over = threading.Event()
    with running(provider.answer) as endpoint, running_gateway(database_url) as url:
        releases = {app: open_now(database, record(database, endpoint, policy_of(app))) for app in apps}
        driving = threading.Thread(target=drive_all, args=(database, list(releases.values()), over))
        driving.start()
        try:
            await_canaries(database, releases)
            provider.began = time.monotonic()
            asyncio.run(come(url, apps))
            time.sleep(3)
        finally:
            over.set()
            driving.join()
    with database.read() as session:
        ends = {app: read_release(session, release).state.value for app, release in releases.items()}
    database.close()
    assert {ends[app] for app in apps if app.startswith("alike")} == {"canary"}
    assert {ends[app] for app in apps if app.startswith("alone")} == {"canary" if fault == "none" else "rolled_back"}
