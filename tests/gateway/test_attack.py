"""A gateway under attack: it neither falls nor fails, stays within its memory, and goes on answering the others."""

import logging
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from softlaunch.gateway.limits import Limits
from softlaunch.policy.route import Serving
from softlaunch.store.migrate import open_database
from tests.gateway.large_answers import large_answers, slow_reader
from tests.gateway.mutations import CHAT, COMPLETIONS, EMBEDDINGS, KEY, MESSAGES, RESPONSES, Target, mutated, stored
from tests.gateway.protocols.recorded_provider import recorded_provider
from tests.gateway.protocols.test_messages import ANSWER as MESSAGE
from tests.gateway.protocols.test_responses import RESPONSE
from tests.gateway.raw_client import address_of, head, say
from tests.gateway.worlds import APP, World, record, running_world, variant
from tests.support.servers import FakeModels, completion, wait_until

MIB = 1024 * 1024
TIGHT = Limits(head_seconds=0.5, body_seconds=0.5, linger_seconds=0.3, idle_seconds=0.2, route_poll_seconds=0.05)
QUESTION = {"model": APP, "messages": [{"role": "user", "content": "Hi"}]}
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True)
class Attacked:
    """An API under attack: its requests, what its provider answers, and a good request."""

    target: Target
    path: str
    answer: Mapping[str, object]
    good: Mapping[str, object]


CHAT_API = Attacked(CHAT, "/v1/chat/completions", completion("stable"), QUESTION)
RESPONSES_API = Attacked(RESPONSES, "/v1/responses", RESPONSE, {"model": APP, "input": "Hi"})
MESSAGES_API = Attacked(MESSAGES, "/v1/messages", {**MESSAGE, "input_tokens": 7}, QUESTION)
TEXT = {"choices": [{"index": 0, "text": " there.", "finish_reason": "stop"}]}
COMPLETIONS_API = Attacked(COMPLETIONS, "/v1/completions", TEXT, {"model": APP, "prompt": "Hi"})
VECTORS = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}}
EMBEDDINGS_API = Attacked(EMBEDDINGS, "/v1/embeddings", VECTORS, {"model": APP, "input": "Hi"})
each_api = pytest.mark.parametrize(
    "api",
    [
        pytest.param(CHAT_API, id="chat"),
        pytest.param(RESPONSES_API, id="responses"),
        pytest.param(MESSAGES_API, id="messages"),
        pytest.param(COMPLETIONS_API, id="completions"),
        pytest.param(EMBEDDINGS_API, id="embeddings"),
    ],
)
each_count = pytest.mark.parametrize(
    "count",
    [
        pytest.param(300, id="some"),
        pytest.param(3_000, id="many", marks=pytest.mark.long),
        pytest.param(10_000, id="most", marks=pytest.mark.soak),
    ],
)


@contextmanager
def under_attack(ledger_url: str, models: FakeModels, api: Attacked) -> Iterator[World]:
    """A gateway with tight limits and a key, whose provider answers every request of the API."""
    with recorded_provider() as provider:
        provider.answer_with(api.answer)
        stable = variant("stable", provider.endpoint)
        with running_world(ledger_url, models, stable=stable, client_keys=[KEY], limits=TIGHT) as world:
            yield world


def check_mutated(world: World, target: Target, count: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each request is answered, or its connection closed; none gets a 500, and none leaves a traceback."""
    seeds = range(20_261_128, 20_261_128 + count)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(32) as threads:
        heard = threads.map(lambda seed: (seed, say(world.url, mutated(seed, target), seconds=2).statuses), seeds)
        found = dict(heard)
    assert {seed: statuses for seed, statuses in found.items() if 500 in statuses} == {}
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    counted = Counter(status for statuses in found.values() for status in statuses)
    assert set(counted) >= {200, 400, 401, 404}


@each_api
@each_count
def test_mutated_requests(
    ledger_url: str, models: FakeModels, caplog: pytest.LogCaptureFixture, api: Attacked, count: int
) -> None:
    """None does any harm, and a good one is answered afterwards."""
    with under_attack(ledger_url, models, api) as world:
        check_mutated(world, api.target, count, caplog)
        assert world.client.post(api.path, json=api.good, headers=BEARER).status_code == 200


@each_count
def test_mutated_requests_for_stored_answers(
    ledger_url: str, models: FakeModels, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """The same, for a response that a provider keeps."""
    with under_attack(ledger_url, models, RESPONSES_API) as world:
        known = world.client.post("/v1/responses", json=RESPONSES_API.good, headers=BEARER).json()["id"]
        check_mutated(world, stored(known), count, caplog)
        assert world.client.get(f"/v1/responses/{known}", headers=BEARER).status_code == 200


@pytest.mark.long
def test_idle_connections_shut_nobody_out(migrated_file: Path, tmp_path: Path, models: FakeModels) -> None:
    """8,000 connections that send nothing, or half a request, of eight addresses without a key."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(8000, (most - 1000) // 2)
    with running_command(migrated_file, tmp_path, models.endpoint, {"SOFTLAUNCH_CLIENT_KEYS": KEY}) as (url, memory):
        before = memory()
        held = []
        for number in range(count):
            try:
                held.append(socket.create_connection(address_of(url), 5, (f"127.0.0.{2 + number % 8}", 0)))
                held[-1].sendall((b"", head({"Content-Length": "9000000"})[:-2], head()[:9])[number % 3])
            except OSError:
                continue
            if number % 1000 == 999:
                assert ask(url) == 200
        assert [ask(url) for _ in range(20)] == [200] * 20
        assert memory() - before < 200
        for connection in held:
            connection.close()
    assert len(held) > count // 2


@pytest.mark.long
def test_slow_readers_take_no_more_than_their_share(migrated_file: Path, tmp_path: Path) -> None:
    """200 clients that read nothing of answers of 6 MiB, where 64 MiB are allowed for what isn't taken."""
    setting = {"SOFTLAUNCH_GATEWAY_ANSWERS_MIB": "64"}
    with (
        large_answers(6 * MIB) as endpoint,
        running_command(migrated_file, tmp_path, endpoint, setting) as (url, memory),
    ):
        before, peak = memory(), 0
        held = []
        for _ in range(200):
            held.append(slow_reader(url))
            time.sleep(0.05)
            peak = max(peak, memory())
        assert ask(url) == 200
        for _ in range(20):
            time.sleep(0.1)
            peak = max(peak, memory())
        assert ask(url) == 200
        assert peak - before < 64 + 150
        for connection in held:
            connection.close()


def ask(url: str) -> int:
    """The status of a good request; 0 where there is none within ten seconds."""
    try:
        with httpx.Client(timeout=20, verify=False) as client:
            return client.post(f"{url}/v1/chat/completions", json=QUESTION, headers=BEARER).status_code
    except httpx.HTTPError:
        return 0


@contextmanager
def running_command(
    migrated_file: Path, folder: Path, endpoint: str, settings: Mapping[str, str]
) -> Iterator[tuple[str, "Memory"]]:
    """`softlaunch gateway` in a process of its own; its URL, and its memory."""
    path = shutil.copy(migrated_file, folder / "ledger.db")
    with closing(open_database(f"sqlite:///{path}")) as database:
        record(database, variant("stable", endpoint), None, Serving(salt="pepper"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, **settings, "SOFTLAUNCH_DATABASE_URL": f"sqlite:///{path}"}
    program = "from softlaunch.cli.main import main; main()"
    command = [sys.executable, "-c", program, "gateway", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as process:
        try:
            wait_until(lambda: is_up(url), "the gateway is up", 60)
            yield url, Memory(process.pid)
            assert process.poll() is None
        finally:
            process.terminate()
    assert b"Traceback" not in (folder / "log").read_bytes()


class Memory:
    """What a process takes, in MiB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __call__(self) -> int:
        """Now."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def is_up(url: str) -> bool:
    """Whether a gateway has read its routes."""
    try:
        return httpx.get(f"{url}/healthz", verify=False).is_success
    except httpx.HTTPError:
        return False
