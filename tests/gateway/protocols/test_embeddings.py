"""Embeddings: what goes to the provider, what an answer is, and what clients see through a gateway."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.core.variant import Sampling, Variant
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.embeddings.answers import read_embeddings
from softlaunch.gateway.protocols.embeddings.protocol import Embeddings
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.texts import TextPolicy
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.worlds import APP, NEVER_TRIPS, World, running_world, variant
from tests.support.servers import FakeModels

WORK = 100_000
USAGE = {"prompt_tokens": 8, "total_tokens": 8}


def answer(*vectors: object, model: str = "embedder-20260101") -> dict[str, Any]:
    """An answer with these vectors."""
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": model, "usage": USAGE}


ANSWER = answer([0.25, -0.5])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    body=st.fixed_dictionaries(
        {
            "model": st.just(APP),
            "input": st.text(min_size=1)
            | st.lists(st.text(), min_size=1, max_size=4)
            | st.lists(st.integers(0, 50_000), min_size=1, max_size=4)
            | st.lists(st.lists(st.integers(0, 50_000), min_size=1, max_size=4), min_size=1, max_size=3),
        },
        optional={
            "dimensions": st.integers(1, 3072),
            "encoding_format": st.sampled_from(["float", "base64"]),
            "input_type": VALUES,
        },
    )
)
def test_only_the_model_is_another_one(body: dict[str, Any]) -> None:
    """Neither the variant's prompt nor its sampling have anything to do with vectors."""
    made = variant("embedder", "http://127.0.0.1:1/v1", "You help {{ who }}.")
    made = made.model_copy(update={"sampling": Sampling(temperature=0.5)})
    Embeddings().check(body)
    assert Embeddings().request_body(made, body, WORK) == {**body, "model": "embedder"}


@pytest.mark.parametrize(
    ("given_input", "size"),
    [
        pytest.param("four", 4, id="a text"),
        pytest.param(["four", "three"], 9, id="texts"),
        pytest.param([1, 2, 3], 3, id="tokens"),
        pytest.param([[1, 2, 3], [4]], 4, id="lists of tokens"),
    ],
)
def test_the_size_of_what_is_asked(given_input: object, size: int) -> None:
    """Characters, and of tokens their number."""
    assert Embeddings().size_before_answers({"input": given_input}) == size


@pytest.mark.parametrize(
    ("vectors", "inputs", "outcome"),
    [
        pytest.param([[0.5, 1]], 1, RequestOutcome.ANSWERED, id="numbers"),
        pytest.param(["AACAPg=="], 1, RequestOutcome.ANSWERED, id="base64"),
        pytest.param([[0.5], [0.5]], 2, RequestOutcome.ANSWERED, id="one for each input"),
        pytest.param([[0.5]], 2, RequestOutcome.EMPTY, id="fewer than inputs"),
        pytest.param([[]], 1, RequestOutcome.EMPTY, id="an empty one"),
        pytest.param([None], 1, RequestOutcome.EMPTY, id="none"),
        pytest.param([[0.5, None]], 1, RequestOutcome.INVALID, id="no number in it"),
    ],
)
def test_what_became_of_vectors(vectors: list[object], inputs: int, outcome: RequestOutcome) -> None:
    """Each input has a vector of numbers, or nobody is served."""
    facts = Facts()
    assert read_embeddings(orjson.dumps(answer(*vectors)), facts, inputs).outcome is outcome
    assert facts == Facts("embedder-20260101", None, Usage(8, 0))


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b'{"data": "x"}', b'{"data": [1]}'])
def test_what_is_no_list_of_vectors(content: bytes) -> None:
    """Anything else is malformed."""
    with pytest.raises(MalformedAnswerError):
        read_embeddings(content, Facts(), 1)


def test_an_error_with_status_200() -> None:
    """An error is one whatever status it comes with."""
    with pytest.raises(ReportedError):
        read_embeddings(b'{"error": {"message": "overloaded"}}', Facts(), 1)


# Through a gateway


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with the vector above."""
    with recorded_provider() as running:
        running.answer_with(ANSWER)
        yield running


def embedder(provider: RecordedProvider, model: str, prompt: str = "You help.", **fields: Any) -> Variant:
    """A variant on that provider whose output has no price."""
    return variant(model, provider.endpoint, prompt, output_usd_per_million=None, **fields)


@pytest.fixture
def world(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app whose candidate has another model, and whose texts are kept."""
    stable, candidate = embedder(provider, "stable"), embedder(provider, "candidate")
    texts = TextPolicy(keep=True)
    with running_world(ledger_url, models, stable=stable, candidate=candidate, texts=texts) as running:
        yield running


def ask(world: World, **fields: Any) -> httpx.Response:
    """A request of a user's."""
    return world.client.post("/v1/embeddings", json={"model": APP, "input": "Hi", "user": "ann", **fields})


def test_vectors_come_through_unchanged(world: World, provider: RecordedProvider) -> None:
    """Byte for byte; the log has its tokens, its price and its API, and no text is kept."""
    response = ask(world, dimensions=2)
    assert (response.status_code, response.content) == (200, orjson.dumps(ANSWER))
    (asked,) = provider.asked
    assert asked.path == "/v1/embeddings"
    assert asked.body == {"model": "stable", "input": "Hi", "user": "ann", "dimensions": 2}
    row = world.row_of(response)
    assert (row.api, row.outcome, row.input_tokens, row.output_tokens) == ("embeddings", "answered", 8, 0)
    assert row.cost_usd == pytest.approx(8 * 10 / 1_000_000)
    assert world.ask_database("select * from texts") == []


def test_a_candidate_of_another_model_gets_no_requests(world: World, provider: RecordedProvider) -> None:
    """Its vectors would stand beside stable's in one index; how often is counted."""
    with world.watched():
        world.split(100.0, shadow_percent=100.0)
        rows = [world.row_of(ask(world)) for _ in range(3)]
    assert {asked.body["model"] for asked in provider.asked} == {"stable"}
    assert {(row.arm, row.weight_percent) for row in rows} == {("stable", 0.0)}
    assert world.metric("softlaunch_requests_kept_on_stable_total") == 3


def test_a_candidate_of_another_model_where_the_app_can_take_it(
    ledger_url: str, models: FakeModels, provider: RecordedProvider
) -> None:
    """The policy's word is enough, and a failure falls back as ever."""
    policy = GatewayPolicy(mixed_embeddings=True, breaker=NEVER_TRIPS)
    stable, candidate = embedder(provider, "stable"), embedder(provider, "candidate")
    with running_world(ledger_url, models, gateway=policy, stable=stable, candidate=candidate) as world:
        with world.watched():
            world.split(100.0)
            assert world.row_of(ask(world)).arm == "candidate"
            provider.answer_with({"error": {"message": "down"}}, model="candidate", status=500)
            response = ask(world)
        assert (response.status_code, response.json()) == (200, ANSWER)
        row = world.row_of(response)
        assert (row.arm, row.outcome, row.fell_back) == ("candidate", "provider_failed", True)


def test_a_candidate_on_another_endpoint_of_the_same_model(
    ledger_url: str, models: FakeModels, provider: RecordedProvider
) -> None:
    """Its vectors are the same, wherever they are made."""
    stable = embedder(provider, "embedder")
    candidate = embedder(provider, "embedder", "You help kindly.")
    with running_world(ledger_url, models, stable=stable, candidate=candidate) as world, world.watched():
        world.split(100.0)
        assert world.row_of(ask(world)).arm == "candidate"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"input": None}, "input", id="no input"),
        pytest.param({"input": []}, "input", id="an empty list"),
        pytest.param({"stream": True}, "stream", id="a stream"),
    ],
)
def test_requests_that_no_endpoint_could_answer(world: World, fields: dict[str, Any], param: str) -> None:
    """Are refused with the parameter at fault."""
    response = ask(world, **fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_openais_client(world: World, provider: RecordedProvider) -> None:
    """It asks for base64 by itself, and gets numbers."""
    provider.answer_with(answer("AACAPgAAAL8="))
    client = openai.OpenAI(base_url=f"{world.url}/v1", api_key="any", max_retries=0)
    made = client.embeddings.create(model=APP, input=["Hi"])
    assert made.data[0].embedding == [0.25, -0.5]
    assert made.usage.total_tokens == 8
    assert provider.asked[0].body["encoding_format"] == "base64"
