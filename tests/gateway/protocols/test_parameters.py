"""A variant's parameters in each API: its own shapes and names, and what it doesn't have."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from softlaunch.core.api import Api
from softlaunch.core.parameters import Parameters
from softlaunch.core.prompt_templates import QUICK_WORK
from softlaunch.core.variant import Variant
from softlaunch.evals.calls.answers import CallKey, EvalArm
from softlaunch.evals.calls.call import Call, CallOptions, Client
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.endpoint import open_endpoints
from softlaunch.evals.suites.case import Case
from softlaunch.gateway.cors import Cors
from softlaunch.gateway.protocols.completions.protocol import Completions
from softlaunch.gateway.protocols.embeddings.protocol import Embeddings
from softlaunch.gateway.protocols.messages.counting import CountTokens
from softlaunch.gateway.protocols.messages.protocol import Messages
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.protocols.registry import PROTOCOLS
from softlaunch.gateway.protocols.responses.protocol import Responses
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

FIND = {"name": "find_order", "description": "Finds an order.", "parameters": {"type": "object"}}
HOSTED = {"type": "web_search", "name": "web_search"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def of(**fields: Any) -> Parameters:
    """Parameters `support@1.0.0`."""
    return Parameters.model_validate({"name": "support", "version": "1.0.0", **fields})


def with_parameters(endpoint: str = "http://127.0.0.1:1/v1", **fields: Any) -> Variant:
    """A variant with parameters."""
    plain = variant("stable", endpoint)
    return Variant(prompt=plain.prompt, model=plain.model, parameters=of(**fields))


EVERYTHING = of(
    tools=[FIND, HOSTED],
    tool_choice="find_order",
    response_format={"name": "city", "schema": SCHEMA},
    reasoning_effort="low",
    extra_body={"service_tier": "flex", "reasoning": {"summary": "auto"}},
)


def test_responses_have_flat_tools_and_objects_for_text_and_reasoning() -> None:
    """What a client says beside stays; a function says that it isn't strict, for silence means that it is."""
    asked = {"input": "Hi", "text": {"verbosity": "low", "format": {"type": "text", "x": 1}}, "tools": [{"name": "a"}]}
    assert Responses().with_parameters(asked, EVERYTHING) == {
        "input": "Hi",
        "tools": [{"name": "a"}, {"type": "function", **FIND, "strict": False}, HOSTED],
        "tool_choice": {"type": "function", "name": "find_order"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "city", "schema": SCHEMA}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "service_tier": "flex",
    }
    more = of(verbosity="high", tools=[{"name": "now", "strict": True}], response_format="json_object")
    assert Responses().with_parameters({}, more) == {
        "text": {"format": {"type": "json_object"}, "verbosity": "high"},
        "tools": [
            {"type": "function", "name": "now", "strict": True, "parameters": {"type": "object", "properties": {}}}
        ],
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        pytest.param("find_order", {"type": "tool", "name": "find_order"}, id="a tool"),
        pytest.param("required", {"type": "any"}, id="any"),
        pytest.param("none", {"type": "none"}, id="none"),
        pytest.param({"type": "auto", "disable_parallel_tool_use": True}, None, id="in the dialect"),
    ],
)
def test_messages_have_input_schemas_and_an_output_config(choice: Any, sent: Any) -> None:
    """The schema of an answer needs no name there, and an older `output_format` gives way."""
    parameters = EVERYTHING.model_copy(update={"tool_choice": choice})
    asked = {"output_format": {"type": "json_schema"}, "output_config": {"task_budget": 1}, "tools": [{"name": "a"}]}
    assert Messages().with_parameters(asked, parameters) == {
        "tools": [
            {"name": "a"},
            {"name": "find_order", "description": "Finds an order.", "input_schema": {"type": "object"}},
            HOSTED,
        ],
        "tool_choice": sent or choice,
        "output_config": {
            "task_budget": 1,
            "effort": "low",
            "format": {"type": "json_schema", "schema": SCHEMA},
        },
        "service_tier": "flex",
        "reasoning": {"summary": "auto"},
    }


@pytest.mark.parametrize("protocol", [Responses(), Messages()], ids=["responses", "messages"])
def test_a_variant_may_drop_the_clients_tools(protocol: LlmProtocol) -> None:
    """With or without its own; how the client wanted its tools chosen goes with them."""
    asked = {"tools": [{"name": "a"}], "tool_choice": {"type": "tool", "name": "a"}, "max_tokens": 5}
    assert protocol.with_parameters(asked, of(client_tools="drop")) == {"max_tokens": 5}
    only = protocol.with_parameters(asked, of(client_tools="drop", tools=[HOSTED]))
    assert only == {"max_tokens": 5, "tools": [HOSTED]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"verbosity": "low"}, "set verbosity, which Messages don't have", id="verbosity"),
        pytest.param({"response_format": "json_object"}, "set response_format json_object", id="JSON without a schema"),
    ],
)
def test_messages_say_what_they_lack(fields: dict[str, Any], said: str) -> None:
    """Nothing that a variant asks for is left out in silence."""
    with pytest.raises(UnsuitableVariantError, match=said):
        Messages().request_body(with_parameters(**fields), {"messages": []}, 1000)


@pytest.mark.parametrize(
    "protocol", [one for one in PROTOCOLS if one.api is not Api.COMPLETIONS], ids=lambda one: one.path
)
def test_putting_parameters_in_twice_changes_nothing(protocol: LlmProtocol) -> None:
    """An answer is read by the body that was sent, whoever puts it together."""
    asked = {"tools": [{"type": "function", "name": "a", "function": {"name": "a"}}], "messages": [], "input": "Hi"}
    once = protocol.with_parameters(asked, EVERYTHING)
    assert protocol.with_parameters(once, EVERYTHING) == once


def test_counting_has_what_becomes_input_and_nothing_else() -> None:
    """Tools and thinking count; what is only for an answer would be refused."""
    counted = with_parameters(tools=[FIND], extra_body={"thinking": {"type": "adaptive"}, "service_tier": "flex"})
    body = CountTokens().request_body(counted, {"messages": []}, 1000)
    assert body["thinking"] == {"type": "adaptive"}
    assert [tool["name"] for tool in body["tools"]] == ["find_order"]
    assert "service_tier" not in body


@pytest.fixture
def city_world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway whose stable variant wants JSON, sends a header, and has settings for the app."""
    stable = with_parameters(
        models.endpoint,
        response_format="json_object",
        extra_headers={"X-Team": "support"},
        extra_body={"safety": 2},
        settings={"index": "bücher-2", "top_k": 5},
    )
    with running_world(ledger_url, models, stable=stable) as world:
        yield world


@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
def test_an_answer_is_judged_by_what_the_variant_asked_for(city_world: World, *, stream: bool) -> None:
    """The client asked for no JSON, the variant did, and what came is none: nobody can use it."""
    response = city_world.ask("ann", stream=stream)
    assert response.status_code == 200
    assert city_world.row_of(response).outcome == "invalid"
    sent, headers = city_world.models.bodies[-1], city_world.models.headers[-1]
    assert (sent["safety"], sent["response_format"]) == (2, {"type": "json_object"})
    assert headers["X-Team"] == "support"


def test_an_api_that_lacks_something_is_a_failure_of_the_variant(ledger_url: str, models: FakeModels) -> None:
    """Stable answers in the candidate's place, as for every failure of the arm."""
    candidate = with_parameters(models.endpoint, verbosity="low")
    with running_world(ledger_url, models, candidate=candidate) as world, world.watched():
        world.split(100)
        body = {"model": APP, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
        world.client.post("/v1/messages", json=body)
        (row,) = world.rows(1)
    assert (row.arm, row.outcome, row.attempts) == ("candidate", "provider_failed", 0)


def test_the_app_gets_the_settings_of_whoever_answers(city_world: World) -> None:
    """Whole or streamed; a variant without settings has no such header."""
    with city_world.watched():
        for stream in (False, True):
            response = city_world.ask("ann", stream=stream)
            assert response.headers["x-softlaunch-settings"] == '{"index":"b\\u00fccher-2","top_k":5}'
        city_world.split(100)
        assert "x-softlaunch-settings" not in city_world.ask("ann").headers
        city_world.models.faults["candidate"] = "500"
        fallen_back = city_world.ask("ann")
    assert "bücher-2" in json.loads(fallen_back.headers["x-softlaunch-settings"])["index"]


def test_pages_of_other_origins_may_read_the_settings() -> None:
    """Browsers hide a header that isn't named."""
    exposed = dict(Cors(("https://app.example",)).headers({b"origin": b"https://app.example"}))
    assert b"x-softlaunch-settings" in exposed[b"access-control-expose-headers"]


def test_evals_send_what_the_gateway_sends(city_world: World) -> None:
    """The same body, and the same headers of the variant's."""
    case = Case(id="one", question="Hi", expected="Hi")

    async def evaluate() -> None:
        async with open_endpoints(20.0) as endpoints:
            client = Client(endpoints, CallOptions(), Deadline(20.0))
            answer = await client.answer(Call(CallKey(EvalArm.STABLE, "one", 0), city_world.stable, case))
            assert answer is not None

    city_world.client.post("/v1/chat/completions", json={"model": APP, **case.request})
    asyncio.run(evaluate())
    by_gateway, by_eval = city_world.models.bodies
    assert by_gateway == by_eval
    teams = [{name.lower(): value for name, value in one.items()}["x-team"] for one in city_world.models.headers]
    assert teams == ["support", "support"]


def test_completions_have_further_fields_and_nothing_else() -> None:
    """Tools, formats and effort came with later APIs."""
    assert Completions().with_parameters({"prompt": "Go"}, of(extra_body={"best_of": 2})) == {
        "prompt": "Go",
        "best_of": 2,
    }
    made = with_parameters(extra_body={"best_of": 2})
    assert Completions().request_body(made, {"prompt": "Go"}, QUICK_WORK)["best_of"] == 2
    with pytest.raises(UnsuitableVariantError, match="set tools, which completions don't have"):
        Completions().with_parameters({"prompt": "Go"}, EVERYTHING)


def test_embeddings_have_no_parameters() -> None:
    """A field more could change the vectors."""
    assert Embeddings().with_parameters({"input": "a"}, EVERYTHING) == {"input": "a"}
