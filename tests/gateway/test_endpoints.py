"""What clients see: endpoints, headers, keys, limits and errors, over real HTTP."""

import json
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from softlaunch.gateway.limits import Limits
from softlaunch.policy.texts import TextPolicy
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels, wait_until

KEYS = ("first-key", "second-key")
SMALL = Limits(body_bytes=2000, requests=2, body_seconds=0.3, head_seconds=0.5)
CHAT = "/v1/chat/completions"


@pytest.fixture
def world(database_url: str, models: FakeModels) -> Iterator[World]:
    """An open gateway, on SQLite and on PostgreSQL."""
    with running_world(database_url, models) as running:
        yield running


@pytest.fixture(scope="module")
def shared_guarded(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, shared_models: FakeModels
) -> Iterator[World]:
    """A gateway with client keys and tight limits."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("guarded") / "ledger.db")
    with running_world(f"sqlite:///{path}", shared_models, client_keys=KEYS, limits=SMALL) as running:
        yield running


@pytest.fixture
def guarded(shared_guarded: World, models: FakeModels) -> World:
    """The same, with nothing asked yet."""
    return shared_guarded


def test_an_answer_comes_through_unchanged(world: World) -> None:
    """Status and body are the provider's; headers say who answered; the log has all of it."""
    response = world.ask("ann")
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == "I am stable."
    assert response.headers["x-softlaunch-arm"] == "stable"
    assert response.headers["x-softlaunch-variant"] == world.stable.short
    (row,) = world.rows(1)
    assert row.request_id == response.headers["x-softlaunch-request-id"]
    assert (row.status, row.outcome, row.arm, row.mirrored, row.fell_back) == (200, "answered", "stable", False, False)
    assert (row.input_tokens, row.output_tokens) == (100, 10)
    assert row.cost_usd == pytest.approx(0.0012)
    assert (row.resolved_model, row.fingerprint) == ("stable-resolved", "fp_stable")
    assert row.variant_digest == world.stable.digest
    assert 0 < row.latency_ms < 5000
    assert row.first_token_ms is None


def test_the_prompt_goes_around_the_clients_messages(ledger_url: str, models: FakeModels) -> None:
    """The provider gets the rendered prompt, then the client's messages; variables and the app's name stay here."""
    asking = variant("stable", models.endpoint, prompt="You help {{ name }}.")
    with running_world(ledger_url, models, stable=asking) as world:
        assert world.ask("ann", variables={"name": "Ann"}, temperature=0.3, x_unknown=1).is_success
        missing = world.ask("ann")
    (body,) = models.bodies
    assert body == {
        "model": "stable",
        "user": "ann",
        "temperature": 0.3,
        "x_unknown": 1,
        "messages": [{"role": "system", "content": "You help Ann."}, {"role": "user", "content": "Hi"}],
    }
    assert missing.status_code == 400
    assert "needs a value for: name" in missing.json()["error"]["message"]


def test_a_stream_comes_through_event_by_event(world: World) -> None:
    """The client gets the provider's events without the usage that only we asked for; the log gets the usage."""
    body = {"model": APP, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    with world.client.stream("POST", CHAT, json=body) as response:
        events = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "I am stable."
    assert world.models.bodies[0]["stream_options"] == {"include_usage": True}
    (row,) = world.rows(1)
    assert (row.streamed, row.input_tokens, row.output_tokens) == (True, 100, 10)
    assert row.first_token_ms is not None
    assert 0 < row.first_token_ms <= row.latency_ms


def test_models_are_the_apps(world: World) -> None:
    """Clients that list models find the apps."""
    assert [model["id"] for model in world.client.get("/v1/models").json()["data"]] == [APP]
    assert world.client.get(f"/v1/models/{APP}").json()["id"] == APP
    assert world.client.get("/v1/models/other").status_code == 404


def test_feedback_is_kept_with_its_request(world: World) -> None:
    """Ratings and scores land in the ledger under the request's id."""
    request_id = world.ask().headers["x-softlaunch-request-id"]
    for given in ({"thumbs": "up"}, {"stars": 2}, {"scores": {"quality": 0.5}}):
        response = world.client.post("/v1/feedback", json={"request_id": request_id, **given})
        assert (response.status_code, response.json()["status"]) == (202, "accepted")
    wait_until(lambda: world.ask_database("select 1 from scores"), "the score is written")
    found = world.ask_database("select request_id, app, satisfaction, kind from feedback order by id")
    assert [tuple(row) for row in found] == [(request_id, APP, 1.0, "thumbs"), (request_id, APP, 0.25, "stars")]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param({"request_id": "nobody-12", "thumbs": "up"}, 404, "request_not_found", id="no app of ours"),
        pytest.param({"request_id": f"{APP}-12", "thumbs": "no"}, 400, "invalid_value", id="no thumb"),
    ],
)
def test_feedback_that_belongs_nowhere(guarded: World, body: dict[str, str], status: int, code: str) -> None:
    """Feedback for unknown requests and in unknown words is refused."""
    response = guarded.client.post("/v1/feedback", json=body, headers={"Authorization": f"Bearer {KEYS[0]}"})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("content", "status", "code", "says"),
    [
        pytest.param(b"{", 400, "invalid_json", "no JSON", id="no JSON"),
        pytest.param(b"[]", 400, "invalid_json", "JSON object", id="no object"),
        pytest.param(b'{"messages": [{}]}', 400, "invalid_value", "model", id="no app"),
        pytest.param(b'{"model": "x"}', 400, "invalid_value", "messages", id="no messages"),
        pytest.param(b'{"model": "x", "messages": ["hi"]}', 400, "invalid_value", "messages", id="a message in text"),
        pytest.param(
            b'{"model":"x","messages":[{}],"stream":1}', 400, "invalid_value", "stream", id="a numeric stream"
        ),
        pytest.param(
            b'{"model":"x","messages":[{}],"variables":[]}', 400, "invalid_value", "variables", id="a list of variables"
        ),
        pytest.param(
            b'{"model":"x","messages":[{}]}', 404, "model_not_found", "known apps: support-bot", id="an unknown app"
        ),
        pytest.param(
            b'{"model":"support-bot","messages":[{"x":' + b"[" * 300 + b"]" * 300 + b"}]}",
            400,
            "invalid_json",
            "passed on",
            id="nested too deep to be written",
        ),
        pytest.param(b" " * 2001, 413, "request_too_large", "2000 bytes", id="a body too large"),
    ],
)
def test_bad_requests_are_answered_in_openai_words(
    guarded: World, content: bytes, status: int, code: str, says: str
) -> None:
    """Every refusal has OpenAI's shape, the parameter at fault and what is expected."""
    response = guarded.client.post(CHAT, content=content, headers={"Authorization": f"Bearer {KEYS[0]}"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert says in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_a_body_without_length_is_bounded_too(guarded: World) -> None:
    """A client that doesn't say how much it sends is stopped at the limit."""
    pieces = (b" " * 500 for _ in range(10))
    response = guarded.client.post(CHAT, content=pieces, headers={"Authorization": f"Bearer {KEYS[0]}"})
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("header", "status"),
    [
        pytest.param(f"Bearer {KEYS[0]}", 200, id="the first key"),
        pytest.param(f"bearer {KEYS[1]}", 200, id="the second key"),
        pytest.param("Bearer wrong", 401, id="a wrong key"),
        pytest.param("Bearer", 401, id="an empty key"),
        pytest.param(f"Basic {KEYS[0]}", 401, id="another scheme"),
        pytest.param("", 401, id="no key"),
    ],
)
def test_keys(guarded: World, header: str, status: int) -> None:
    """Whatever lies under /v1 needs one of the keys."""
    response = guarded.client.get("/v1/models", headers={"Authorization": header})
    assert response.status_code == status
    assert guarded.client.get("/healthz").status_code == 200


def test_too_many_at_once_are_told_when_to_come_back(guarded: World) -> None:
    """Beyond its bound the gateway refuses at once instead of piling up."""
    guarded.models.faults["stable"] = "slow"
    headers = {"Authorization": f"Bearer {KEYS[0]}"}
    body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}]}
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(httpx.post, f"{guarded.url}{CHAT}", json=body, headers=headers) for _ in range(2)]
        wait_until(lambda: guarded.models.under_way["stable"] == 2, "two requests are under way")
        third = guarded.client.post(CHAT, json=body, headers=headers)
    assert (third.status_code, third.json()["error"]["code"]) == (503, "overloaded")
    assert third.headers["retry-after"] == "1"
    assert [request.result().status_code for request in running] == [200, 200]
    assert guarded.client.post(CHAT, json=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"", id="nothing at all"),
        pytest.param(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode(), id="half a head"),
    ],
)
def test_a_head_that_never_comes_is_given_up(guarded: World, beginning: bytes) -> None:
    """A connection that sends no request is closed."""
    address = guarded.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        connection.sendall(beginning)
        assert connection.recv(1000) == b""


def test_a_body_that_never_comes_is_given_up(guarded: World) -> None:
    """A client that announces a body and sends none doesn't hold a place for long."""
    address = guarded.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS[0]}\r\nContent-Length: 10\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 408 " in connection.recv(1000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CHAT, 405), ("POST", "/nowhere", 404), ("GET", "/v1/images/generations", 404)],
)
def test_unknown_paths_name_the_known(world: World, method: str, path: str, status: int) -> None:
    """A wrong path or verb is answered with the list of right ones."""
    response = world.client.request(method, path)
    assert response.status_code == status
    assert f"POST {CHAT}" in response.json()["error"]["message"]


def test_keys_of_providers_come_from_the_environment_only(ledger_url: str, models: FakeModels) -> None:
    """The key goes to the provider and nowhere else; one that is missing is named, not guessed."""
    keyed = variant("stable", models.endpoint, api_key_env="PROVIDER_KEY")
    with running_world(ledger_url, models, stable=keyed, environment={"PROVIDER_KEY": "s3cret"}) as world:
        response = world.client.post(
            CHAT,
            json={"model": APP, "messages": [{"role": "user", "content": "Hi"}]},
            headers={"Authorization": "Bearer the-clients-own"},
        )
        world.rows(1)
        dump = str([world.ask_database(f"select * from {table}") for table in ("requests", "texts", "gateways")])
    assert response.is_success
    assert models.headers[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in dump + response.text + str(response.headers)


def test_a_missing_key_is_named(ledger_url: str, models: FakeModels) -> None:
    """The error says which variable to set."""
    keyed = variant("stable", models.endpoint, api_key_env="PROVIDER_KEY")
    with running_world(ledger_url, models, stable=keyed, environment={}) as world:
        response = world.ask()
        (row,) = world.rows(1)
    assert response.status_code == 502
    assert "set the variable PROVIDER_KEY" in response.json()["error"]["message"]
    assert row.outcome == "provider_failed"
    assert not models.bodies


@pytest.mark.parametrize("keep", [False, True])
def test_texts_are_kept_only_where_the_policy_says_so(ledger_url: str, models: FakeModels, *, keep: bool) -> None:
    """Question and answer are in the ledger only with the policy's consent, and with an end."""
    with running_world(ledger_url, models, texts=TextPolicy(keep=keep, retention=3600)) as world:
        world.ask("ann", messages=[{"role": "user", "content": "Where is my parcel ZEBRA?"}])
        world.ask("ann", stream=True)
        rows = world.rows(2)
        found = world.ask_database("select question, answer, expires_at from texts order by expires_at")
        everything = str([world.ask_database(f"select * from {table}") for table in ("requests", "texts")])
    if keep:
        assert tuple(found[0]) == ("Where is my parcel ZEBRA?", "I am stable.", rows[0].started_at + 3600)
        assert tuple(found[1])[:2] == ("Hi", "I am stable.")
    else:
        assert not found
        assert "ZEBRA" not in everything


def test_an_endpoint_that_is_down(ledger_url: str, models: FakeModels) -> None:
    """Nobody listens at the variant's endpoint: a clear 502 at once."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with running_world(ledger_url, models, stable=variant("stable", nobody)) as world:
            response = world.ask()
            (row,) = world.rows(1)
    assert (response.status_code, row.outcome) == (502, "connect")
    assert "can't be reached" in response.json()["error"]["message"]
