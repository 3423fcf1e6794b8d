"""Candidates whose answers alone get worse: as fast, as cheap and as free of errors as stable, and taken back.

Nine releases side by side through one real gateway, which keeps no texts. Three candidates refuse more, three give JSON
that doesn't fit, and three change nothing.
"""

import asyncio
import random
import shutil
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from softlaunch.ledger.releases import read_release
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from tests.end_to_end.models_of_arms import await_canaries, drive_all, open_now, record, running
from tests.support.servers import completion, running_gateway

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

KINDS = ("refusing", "malformed", "alike")
RUNS = 3
USUAL, HARMED = 0.02, 0.10
SECONDS, RATE_RPS = 120.0, 8.0
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "delivery", "schema": SCHEMA}}
WORDS = ["parcel", "order", "invoice", "refund", "address", "courier", "delivery", "voucher", "account", "receipt"]


async def answer(request: web.Request) -> web.StreamResponse:
    """An answer of a model named `<app>/<arm>`, after the same while in both arms."""
    body = orjson.loads(await request.read())
    app, _, arm = body["model"].partition("/")
    question = body["messages"][-1]["content"]
    luck = random.Random(zlib.crc32(f"{app}/{arm}/{question}".encode()))
    level = HARMED if arm == "candidate" and not app.startswith("alike") else USUAL
    await asyncio.sleep(luck.uniform(0.01, 0.03))
    document = completion(body["model"])
    document["choices"][0]["message"]["content"] = said(app, question, harmed=luck.random() < level)
    return web.json_response(document)


def said(app: str, question: str, *, harmed: bool) -> str:
    """What is answered; it has the same length either way, so that it costs the same."""
    if app.startswith("malformed"):
        return '{"days":"x"}' if harmed else '{"days": 12}'
    if harmed:
        return "I'm sorry, but I can't help you with that."
    return f"The {WORDS[zlib.crc32(question.encode()) % len(WORDS)]} that you ask about will be with you."


def policy_of(app: str) -> Policy:
    """One stage that lasts longer than the users come: only harm ends it."""
    stage = {"weight_percent": 50, "margin_factor": 1, "minimum_time": 600, "deadline": 1200}
    return Policy.model_validate(
        {
            "app": app,
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": None,
            "stages": [stage, {**stage, "weight_percent": 100}],
            "gates": [
                {"metric": "errors", "margin": "2 points"},
                {"metric": "latency", "margin": "30 %"},
                {"metric": "refused", "margin": "2 points", "role": "guard"},
                {"metric": "malformed_output", "margin": "2 points", "role": "guard"},
            ],
        }
    )


async def ask(session: aiohttp.ClientSession, url: str, app: str, number: int) -> None:
    """One user."""
    question = f"Where is the {WORDS[number % len(WORDS)]} number {number} that I am waiting for?"
    body: dict[str, Any] = {"model": app, "user": f"u{number}", "messages": [{"role": "user", "content": question}]}
    if app.startswith("malformed"):
        body["response_format"] = FORMAT
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.read()
    except aiohttp.ClientError:
        return


async def come(url: str, apps: list[str]) -> None:
    """Users of every app, at a steady rate."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as users:
        for number in range(round(SECONDS * RATE_RPS)):
            for app in apps:
                users.create_task(ask(session, url, app, number))
                await asyncio.sleep(1 / RATE_RPS / len(apps))


def test_a_candidate_whose_answers_alone_are_worse_is_taken_back(migrated_file: Path, tmp_path: Path) -> None:
    """From the canary, by the gate that says what is wrong; where nothing changed, nothing happens."""
    apps = [f"{kind}-{run}" for run in range(RUNS) for kind in KINDS]
    database_url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    database, over = Database(database_url), threading.Event()
    with running(answer) as endpoint, running_gateway(database_url) as url:
        releases = {app: open_now(database, record(database, endpoint, policy_of(app))) for app in apps}
        driving = threading.Thread(target=drive_all, args=(database, list(releases.values()), over))
        driving.start()
        try:
            await_canaries(database, releases)
            asyncio.run(come(url, apps))
            time.sleep(3)
        finally:
            over.set()
            driving.join()
    with database.read() as session:
        found = {app: read_release(session, release) for app, release in releases.items()}
    database.close()
    ends = {app: (release.state.value, release.reason.partition(":")[0]) for app, release in found.items()}
    assert {ends[app] for app in apps if app.startswith("refusing")} == {("rolled_back", "refused")}
    assert {ends[app] for app in apps if app.startswith("malformed")} == {("rolled_back", "malformed_output")}
    assert {ends[app][0] for app in apps if app.startswith("alike")} == {"canary"}
