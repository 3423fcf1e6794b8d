"""The configuration by OpenFeature's protocol, on a gateway."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from softlaunch.core.request_ids import asked_at
from softlaunch.core.variant import PromptMessage, PromptVersion, Variant
from softlaunch.policy.units import UnitPolicy
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels, wait_until

FLAGS = "/ofrep/v1/evaluate/flags"


def evaluate(world: World, user: str | None = "ann", **attributes: Any) -> httpx.Response:
    """One flag's evaluation."""
    named = {} if user is None else {"targetingKey": user}
    return world.client.post(f"{FLAGS}/{APP}", json={"context": {**named, **attributes}})


def bulk(world: World, user: str = "ann", etag: str = "", **attributes: Any) -> httpx.Response:
    """Every flag's."""
    headers = {"if-none-match": etag} if etag else {}
    return world.client.post(FLAGS, json={"context": {"targetingKey": user, **attributes}}, headers=headers)


def with_prompt(stable: Variant, content: str, **defaults: str) -> Variant:
    """The same variant with another prompt."""
    message = PromptMessage(role="system", content=content)
    prompt = PromptVersion(name="support", version="2.0.0", messages=(message,), defaults=defaults)
    return stable.model_copy(update={"prompt": prompt})


def test_without_a_release_the_value_is_stable(world: World) -> None:
    """It is the whole variant, and may be kept for a minute."""
    answer = evaluate(world).json()
    assert (answer["key"], answer["reason"], answer["variant"]) == (APP, "STATIC", world.stable.short)
    assert answer["value"] == world.stable.model_dump(mode="json")
    told = answer["metadata"]
    assert (told["arm"], told["cacheSeconds"], told["weightPercent"], told["digest"]) == (
        *("stable", 60, 0),
        world.stable.digest,
    )
    assert "releaseId" not in told
    assert asked_at(told["requestId"])


def test_what_hooks_for_telemetry_look_for_is_told(world: World) -> None:
    """By OpenFeature's names: whom it was evaluated for, in which set of flags, and its version, a text."""
    told = evaluate(world, "anna").json()["metadata"]
    assert (told["contextId"], told["flagSetId"], told["version"]) == ("anna", "softlaunch", str(told["revision"]))


def test_arms_are_those_of_the_gateway(world: World) -> None:
    """The same users meet the candidate by both ways; none may keep what it got for longer than the lease lasts."""
    with world.watched():
        world.split(50, stage=2)
        users = [f"user-{number}" for number in range(40)]
        told = [evaluate(world, user).json() for user in users]
        served = [world.ask(user).headers["x-softlaunch-arm"] for user in users]
    assert [one["metadata"]["arm"] for one in told] == served
    assert {"stable", "candidate"} == {*served}
    assert {one["reason"] for one in told} == {"SPLIT"}
    assert all(0 < one["metadata"]["cacheSeconds"] <= 10 for one in told)
    assert {(one["metadata"]["releaseId"], one["metadata"]["stage"]) for one in told} == {("support-bot-1", 2)}


def test_nobody_watches_and_everybody_is_on_stable(world: World) -> None:
    """As soon as the lease is over, and the value is news to who had the candidate's."""
    with world.watched():
        world.split(100, lease_seconds=1.0)
        candidates = bulk(world)
        assert candidates.json()["flags"][0]["metadata"]["arm"] == "candidate"
        assert bulk(world, etag=candidates.headers["etag"]).status_code == 304
    wait_until(lambda: evaluate(world).json()["metadata"]["arm"] == "stable", "stable serves alone", 3)
    again = bulk(world, etag=candidates.headers["etag"])
    assert again.status_code == 200
    assert again.json()["flags"][0]["variant"] == world.stable.short


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"{}", 400, "TARGETING_KEY_MISSING", id="no context"),
        pytest.param(b'{"context": {"plan": "free"}}', 400, "TARGETING_KEY_MISSING", id="no unit"),
        pytest.param(b'{"context": {"targetingKey": 7}}', 400, "INVALID_CONTEXT", id="a unit that is no text"),
        pytest.param(b'{"context": []}', 400, "INVALID_CONTEXT", id="a context that is no object"),
        pytest.param(b"not json", 400, "PARSE_ERROR", id="no JSON"),
    ],
)
def test_a_context_that_is_not_understood(world: World, body: bytes, status: int, code: str) -> None:
    """What is wrong is told in the protocol's words, for one flag as for all."""
    for path in (f"{FLAGS}/{APP}", FLAGS):
        answer = world.client.post(path, content=body)
        assert (answer.status_code, answer.json()["errorCode"]) == (status, code)
        assert answer.json()["errorDetails"]
        assert answer.json().get("key") == (APP if path.endswith(APP) else None)


def test_a_flag_that_is_no_app(world: World) -> None:
    """It isn't found, and those that there are are named."""
    answer = world.client.post(f"{FLAGS}/other", json={"context": {"targetingKey": "ann"}})
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["key"]) == (404, "FLAG_NOT_FOUND", "other")
    assert APP in answer.json()["errorDetails"]


def test_other_methods_and_preflights(world: World) -> None:
    """A GET is told what is allowed, as a browser's question is."""
    assert world.client.get(f"{FLAGS}/{APP}").status_code == 405
    assert "POST" in world.client.options(f"{FLAGS}/{APP}").headers["allow"]
    assert "GET" in world.client.options("/softlaunch/v1/config").headers["allow"]
    assert world.client.get("/ofrep/v2/nothing").status_code == 404


@pytest.fixture
def prompted(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A world whose stable prompt has variables."""
    stable = with_prompt(variant("stable", models.endpoint), "You help {{ company }} in {{ town }}.", town="Rome")
    with running_world(ledger_url, models, stable=stable) as running:
        yield running


def test_a_prompt_is_rendered_with_the_context_s_variables(prompted: World) -> None:
    """Beside the template; where a variable is missing, that is what is said."""
    answer = evaluate(prompted, variables={"company": "Acme"}).json()
    assert answer["value"]["messages"] == [{"role": "system", "content": "You help Acme in Rome."}]
    assert "{{ company }}" in answer["value"]["prompt"]["messages"][0]["content"]
    missing = evaluate(prompted, variables={})
    assert (missing.status_code, missing.json()["errorCode"]) == (400, "INVALID_CONTEXT")
    assert "company" in missing.json()["errorDetails"]
    assert bulk(prompted, variables={}).json()["flags"][0]["errorCode"] == "INVALID_CONTEXT"
    assert evaluate(prompted, variables="Acme").json()["errorCode"] == "INVALID_CONTEXT"


def test_what_is_news_has_another_etag(prompted: World) -> None:
    """The same context gets 304 for as long as nothing changes; another variable is another answer."""
    first = bulk(prompted, variables={"company": "Acme"})
    assert bulk(prompted, etag=first.headers["etag"], variables={"company": "Acme"}).status_code == 304
    assert bulk(prompted, etag=first.headers["etag"], variables={"company": "Else"}).status_code == 200


def test_stages_for_some(world: World) -> None:
    """The attribute that is named as the header decides who is inside."""
    with world.watched():
        world.split(100, only={"header": "X-Team", "values": ["internal"]})
        inside = evaluate(world, **{"x-team": "internal"}).json()
        outside = evaluate(world, **{"x-team": "else"}).json()
    assert (inside["metadata"]["arm"], outside["metadata"]["arm"]) == ("candidate", "stable")
    assert (outside["reason"], outside["metadata"]["weightPercent"]) == ("STATIC", 0)


def test_keys(ledger_url: str, models: FakeModels) -> None:
    """A key is needed where there are any; the id of a request is sealed with it, and can be rated with it alone."""
    with running_world(ledger_url, models, client_keys=("one", "two")) as world:
        refused = evaluate(world)
        assert (refused.status_code, refused.json()["errorCode"]) == (401, "GENERAL")
        world.client.headers["x-api-key"] = "one"
        assert evaluate(world).status_code == 200
        streams = bulk(world).json()["eventStreams"][0]["endpoint"]["requestUri"]
        del world.client.headers["x-api-key"]
        assert world.client.get(streams.replace("token=", "token=0")).status_code == 401
        with world.client.stream("GET", streams) as listening:
            assert listening.status_code == 200


def test_keys_of_backends(ledger_url: str, models: FakeModels) -> None:
    """Where there are any, a client's key opens the configuration no more, and signed units are taken at their word."""
    unit, browsers, backends = UnitPolicy(signed_by="SECRET"), ("browser",), ("backend",)
    with running_world(ledger_url, models, unit=unit, client_keys=browsers, config_keys=backends) as world:
        world.client.headers["authorization"] = "Bearer browser"
        assert evaluate(world).status_code == 401
        assert world.client.get("/softlaunch/v1/config").status_code == 401
        world.client.headers["authorization"] = "Bearer backend"
        assert evaluate(world).status_code == 200
        assert [*world.client.get("/softlaunch/v1/config").json()["apps"]] == [APP]
        assert world.client.get("/v1/models").status_code == 401


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        pytest.param(UnitPolicy.model_validate({"source": "conversation", "pin": "thread"}), "unit.pin", id="pinned"),
        pytest.param(UnitPolicy(signed_by="SECRET"), "SOFTLAUNCH_CONFIG_KEYS", id="signed, and clients may ask"),
    ],
)
def test_what_can_not_be_promised_is_refused(ledger_url: str, models: FakeModels, unit: UnitPolicy, says: str) -> None:
    """In words, by OFREP and in the feed."""
    with running_world(ledger_url, models, unit=unit) as world:
        answer = evaluate(world)
        assert answer.status_code == 400
        assert says in answer.json()["errorDetails"]
        feed = world.client.get("/softlaunch/v1/config").json()
        assert says in feed["refused"][APP]
        assert feed["apps"] == {}


def test_conversations_fall_as_they_do_at_the_gateway(ledger_url: str, models: FakeModels) -> None:
    """Where units are conversations, their names are hashed in both places."""
    unit = UnitPolicy.model_validate({"source": "conversation"})
    with running_world(ledger_url, models, unit=unit) as world, world.watched():
        world.split(50)
        names = [f"conversation-{number}" for number in range(20)]
        by_config = [evaluate(world, name).json()["metadata"]["arm"] for name in names]
        by_gateway = [world.ask(conversation=name).headers["x-softlaunch-arm"] for name in names]
    assert by_config == by_gateway


def test_changes_are_told(world: World) -> None:
    """A stream says that flags are to be evaluated again, once for each change."""
    heard: list[str] = []
    listening = threading.Event()

    def listen() -> None:
        with httpx.stream("GET", f"{world.url}/ofrep/v1/events", timeout=20) as stream:
            for line in stream.iter_lines():
                listening.set()
                heard.append(line)
                if line.startswith("data:"):
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    assert listening.wait(10)
    world.split(0)
    thread.join(10)
    data = json.loads(heard[-1].removeprefix("data:"))
    assert data["type"] == "refetchEvaluation"
    assert data["etag"]
    with world.client.stream("GET", "/ofrep/v1/events", headers={"last-event-id": "an earlier one"}) as again:
        assert next(again.iter_lines()).startswith("id: ")
