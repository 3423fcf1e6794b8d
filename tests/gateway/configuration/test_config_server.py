"""The configuration by itself, as another server beside gateways or without any."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from softlaunch.core.split import takes_candidate, unit_hash
from softlaunch.ledger.gateways import GATEWAY, RECEIVER, wait_for_gateways
from softlaunch.policy.sources import OtlpPolicy
from softlaunch.store.tables import FeedbackRow, GatewayRow
from tests.gateway.configuration.servers import ConfigServerProcess, running_config_server
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels, wait_until

pytestmark = pytest.mark.long
KEYS = {"client_keys": ("one",), "catch_up_seconds": 0.0}
FLAG = f"/ofrep/v1/evaluate/flags/{APP}"
ANN = {"context": {"targetingKey": "ann"}}


@pytest.fixture
def world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway on the same ledger, whose app's calls are recorded."""
    with running_world(ledger_url, models, otlp=OtlpPolicy(), client_keys=("one",)) as running:
        running.client.headers["authorization"] = "Bearer one"
        yield running


@pytest.fixture
def client(world: World, ledger_url: str) -> Iterator[httpx.Client]:
    """A config server, and a client with its key."""
    with running_config_server(ledger_url, **KEYS) as url:
        yield httpx.Client(base_url=url, headers={"authorization": "Bearer one"}, timeout=30)


def heartbeats(world: World, kind: str) -> list[GatewayRow]:
    """Servers of a kind in the ledger."""
    with world.database.read() as session:
        return list(session.exec(select(GatewayRow).where(col(GatewayRow.kind) == kind)).all())


def test_one_that_has_just_started_takes_no_candidate_back(world: World, ledger_url: str) -> None:
    """Before its first answer it has looked whether somebody watches: another one may be telling who meets it."""
    with world.watched():
        world.split(50.0)
        with running_config_server(ledger_url, **KEYS) as url:
            asked = httpx.get(f"{url}/softlaunch/v1/config", headers={"authorization": "Bearer one"})
    assert asked.json()["apps"][APP]["lease_left_seconds"] > 0


def test_it_says_what_the_gateway_says(world: World, client: httpx.Client) -> None:
    """Evaluations and the feed are the same; requests to models aren't served."""
    with world.watched():
        world.split(50.0)
        wait_until(lambda: client.get("/softlaunch/v1/config").json()["apps"][APP]["revision"] == 2, "it follows")
        for number in range(20):
            asked = {"context": {"targetingKey": f"user-{number}"}}
            here, there = client.post(FLAG, json=asked).json(), world.client.post(FLAG, json=asked).json()
            assert (here["variant"], here["value"]) == (there["variant"], there["value"])
        ours, theirs = (one.get("/softlaunch/v1/config") for one in (client, world.client))
        assert ours.headers["etag"] == theirs.headers["etag"]
    assert client.post("/v1/chat/completions", json={}).status_code == 404
    assert client.get("/healthz").json()["apps"] == 1
    assert "softlaunch_config_evaluations" in client.get("/metrics").text


def test_releases_know_that_it_follows(world: World, client: httpx.Client) -> None:
    """It is a gateway in the ledger, and a receiver that gates wait for."""
    wait_until(lambda: len(heartbeats(world, GATEWAY)) == 2, "both servers are known")
    assert len(heartbeats(world, RECEIVER)) == 1
    world.split(5.0)
    assert wait_for_gateways(world.database, APP, 2).running == 2


def test_a_call_is_recorded_and_rated_by_its_id(world: World, client: httpx.Client) -> None:
    """The id comes with the evaluation; a resent record is known, at a gateway too."""
    with world.watched():
        world.split(50.0)
        wait_until(lambda: client.post(FLAG, json=ANN).json()["metadata"]["revision"] == 2, "it follows")
        told = client.post(FLAG, json=ANN).json()["metadata"]
    is_candidate = takes_candidate(unit_hash("ann", "pepper"), "support-bot-1", 50.0)
    assert told["arm"] == ("candidate" if is_candidate else "stable")
    record = {
        "id": told["requestId"],
        "app": APP,
        "unit": "ann",
        "arm": told["arm"],
        "variant": told["digest"],
        "release_id": told["releaseId"],
        "stage": told["stage"],
        "revision": told["revision"],
        "started_at": time.time() - 1,
        "latency_ms": 300,
        "outcome": "answered",
        "input_tokens": 10,
    }
    sent = client.post("/softlaunch/v1/records", json={"records": [record, {"id": "no record"}]}).json()
    assert (sent["taken"], sent["known"], len(sent["refused"])) == (1, 0, 1)
    again = world.client.post("/softlaunch/v1/records", json={"records": [record]}).json()
    assert again == {"taken": 0, "known": 1, "refused": []}
    (row,) = world.rows(1, request_id=told["requestId"])
    assert (row.arm, row.weight_percent, row.cost_usd) == (told["arm"], 50.0, None)
    rated = client.post("/v1/feedback", json={"request_id": told["requestId"], "thumbs": "up"})
    assert rated.status_code == 202, rated.text

    def ratings() -> int:
        with world.database.read() as session:
            return len(session.exec(select(FeedbackRow)).all())

    wait_until(lambda: ratings() == 1, "the rating is in the ledger")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", FLAG, id="an evaluation"),
        pytest.param("GET", "/softlaunch/v1/config", id="the feed"),
        pytest.param("POST", "/softlaunch/v1/records", id="records"),
        pytest.param("GET", "/ofrep/v1/events", id="events"),
        pytest.param("POST", "/v1/feedback", id="feedback"),
    ],
)
def test_everything_needs_a_key(client: httpx.Client, method: str, path: str) -> None:
    """Where there are any; health and figures don't."""
    answer = client.request(method, path, headers={"authorization": "Bearer other"}, json=ANN)
    assert answer.status_code == 401
    assert client.get("/healthz", headers={"authorization": ""}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"records": "none"}, id="no list"),
        pytest.param({"records": [{}] * 1001}, id="too many"),
        pytest.param({"lost": [{"id": "a", "app": APP}]}, id="a loss without a count"),
        pytest.param({"lost": [{"id": "a", "app": APP, "count": True}]}, id="a count that is none"),
    ],
)
def test_a_body_that_is_not_understood(client: httpx.Client, body: object) -> None:
    """It is refused as a whole."""
    assert client.post("/softlaunch/v1/records", json=body).status_code == 400


def test_the_command(migrated_file: Path, tmp_path: Path) -> None:
    """It says where it is, and what it lacks, and stops when it is told to."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    server = ConfigServerProcess(tmp_path)
    server.start()
    assert f"config   {server.url}" in server.said
    assert "lacks    an app" in server.said
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) in {0, -signal.SIGTERM}


def test_losses_are_reported(world: World, client: httpx.Client) -> None:
    """Without a record."""
    sent = client.post("/softlaunch/v1/records", json={"lost": [{"id": "a", "app": APP, "count": 4}]})
    assert sent.json() == {"taken": 0, "known": 0, "refused": []}
    assert world.ask_database("select count, cause from drops")[0] == (4, "lost")
