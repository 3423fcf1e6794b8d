"""Completions: how a prompt goes before a text, what an answer is, and what clients see through a gateway."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.core.variant import PromptMessage, PromptVersion, Sampling, TemplateVariablesError, Variant
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.chat.answers import Asked
from softlaunch.gateway.protocols.completions.answers import TextStream, read_texts
from softlaunch.gateway.protocols.completions.requests import asked_of, request_body, size_before_answers
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

WORK = 100_000
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
CHOICE = {"text": " there.", "index": 0, "logprobs": None, "finish_reason": "stop"}
ANSWER = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "base-20260101",
    "choices": [CHOICE],
    "usage": USAGE,
}


def chunk(text: str, index: int = 0, reason: str | None = None, **fields: Any) -> bytes:
    """One chunk of a stream."""
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": reason}
    return b"data: " + orjson.dumps({**ANSWER, "choices": [choice], "usage": None, **fields}) + b"\n\n"


DONE = b"data: [DONE]\n\n"
CHUNKS = [chunk(""), chunk(" th"), chunk("ere."), chunk("", reason="length")]
USED = chunk("", choices=[], usage=USAGE)
STREAM = b"".join([*CHUNKS, USED, DONE])


def of(*messages: tuple[str, str], **sampling: Any) -> Variant:
    """A variant with these messages."""
    prompt = PromptVersion(
        name="support",
        version="1.0.0",
        messages=tuple(PromptMessage.model_validate({"role": role, "content": text}) for role, text in messages),
    )
    made = variant("base", "http://127.0.0.1:1/v1")
    return made.model_copy(update={"prompt": prompt, "sampling": Sampling(**sampling)})


@pytest.mark.parametrize(
    ("messages", "client", "sent"),
    [
        pytest.param([("system", "You help {{ who }}.")], "Hi", "You help Ann.\n\nHi", id="before the client's text"),
        pytest.param([("system", "A"), ("developer", "B")], ["x", "y"], ["A\n\nB\n\nx", "A\n\nB\n\ny"], id="each text"),
        pytest.param([("system", "")], "Hi", "Hi", id="an empty prompt changes nothing"),
        pytest.param([], [1, 2], [1, 2], id="nor does none, before tokens"),
    ],
)
def test_where_the_prompt_goes(messages: list[tuple[str, str]], client: object, sent: object) -> None:
    """Before what the client wants continued; what else it sent stays."""
    asked = {"prompt": client, "variables": {"who": "Ann"}, "suffix": "!", "echo": True}
    assert request_body(of(*messages), asked, WORK) == {"model": "base", "prompt": sent, "suffix": "!", "echo": True}


def test_no_text_goes_before_tokens() -> None:
    """They are a text already, in one model's own numbers."""
    with pytest.raises(TemplateVariablesError, match="goes before texts, and not before tokens"):
        request_body(of(("system", "You help.")), {"prompt": [[1, 2]]}, WORK)


def test_examples_have_no_place_in_a_text() -> None:
    """A variant with some can't serve, and says why."""
    with pytest.raises(UnsuitableVariantError, match="has a message of the user, which completions don't have"):
        request_body(of(("system", "x"), ("user", "Hi")), {"prompt": "Hi"}, WORK)


def test_parameters_by_their_names_here() -> None:
    """Both limits of length are `max_tokens`."""
    body = request_body(of(temperature=0.5, max_completion_tokens=7, seed=1), {"prompt": "x", "max_tokens": 9}, WORK)
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 7, 1)


@pytest.mark.parametrize(
    ("body", "choices"),
    [
        pytest.param({"prompt": "x"}, 1, id="one"),
        pytest.param({"prompt": "x", "n": 3}, 3, id="several"),
        pytest.param({"prompt": ["x", "y"], "n": 2}, 4, id="of each prompt"),
        pytest.param({"prompt": [1, 2, 3]}, 1, id="tokens are one prompt"),
        pytest.param({"prompt": [[1], [2]]}, 2, id="lists of tokens are several"),
    ],
)
def test_how_many_choices_are_asked_for(body: dict[str, Any], choices: int) -> None:
    """So many must finish until a stream is over."""
    assert asked_of(body).choices == choices


def test_the_size_of_what_is_asked() -> None:
    """Characters of texts and variables."""
    assert size_before_answers({"prompt": ["four", [1]], "variables": {"a": "xy", "b": 1}}) == 6


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        pytest.param({}, RequestOutcome.ANSWERED, id="a text"),
        pytest.param({"finish_reason": "length"}, RequestOutcome.TRUNCATED, id="cut at the limit"),
        pytest.param({"finish_reason": "content_filter"}, RequestOutcome.FILTERED, id="withheld"),
        pytest.param({"text": " \n"}, RequestOutcome.EMPTY, id="only blanks"),
        pytest.param({"text": None}, RequestOutcome.EMPTY, id="no text"),
    ],
)
def test_what_became_of_a_text(change: dict[str, Any], outcome: RequestOutcome) -> None:
    """By the text and by why it ended."""
    facts = Facts()
    whole = read_texts(orjson.dumps({**ANSWER, "choices": [{**CHOICE, **change}]}), facts, Asked())
    assert whole.outcome is outcome
    assert facts == Facts("base-20260101", None, Usage(20, 10))


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [1]}'])
def test_what_is_no_completion(content: bytes) -> None:
    """Anything else is malformed."""
    with pytest.raises(MalformedAnswerError):
        read_texts(content, Facts(), Asked())


@pytest.mark.parametrize("content", [{"error": {"message": "x"}}, {"choices": [{"finish_reason": "error"}]}])
def test_an_error_with_status_200(content: object) -> None:
    """An error is one whatever status it comes with."""
    with pytest.raises(ReportedError):
        read_texts(orjson.dumps(content), Facts(), Asked())


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_is_read_alike_however_it_is_cut(cuts: list[int]) -> None:
    """Pieces of any size give the same events, the same facts and the same text."""
    reader = TextStream(keep_text=True)
    edges = [0, *sorted(cuts), len(STREAM)]
    passed = b"".join(reader.feed(STREAM[start:end]) for start, end in pairwise(edges)) + reader.close()
    assert passed == b"".join([*CHUNKS, DONE])
    assert (reader.whole, reader.finish_reason, reader.outcome()) == (True, "length", RequestOutcome.TRUNCATED)
    assert reader.facts == Facts("base-20260101", None, Usage(20, 10))
    assert "".join(reader.texts) == " there."


def test_before_the_first_text_nothing_is_passed_on() -> None:
    """Until then another arm can answer."""
    reader = TextStream()
    assert reader.feed(chunk("")) == b""
    assert not reader.token_seen
    assert reader.feed(chunk("a")) == chunk("") + chunk("a")


# Through a gateway


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with the text above."""
    with recorded_provider() as running:
        running.answer_with(ANSWER)
        yield running


@pytest.fixture
def world(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app on that provider."""
    stable, candidate = (variant(name, provider.endpoint) for name in ("stable", "candidate"))
    with running_world(ledger_url, models, stable=stable, candidate=candidate) as running:
        yield running


def ask(world: World, **fields: Any) -> httpx.Response:
    """A request of a user's."""
    return world.client.post("/v1/completions", json={"model": APP, "prompt": "Hello", "user": "ann", **fields})


def test_a_text_comes_through_unchanged(world: World, provider: RecordedProvider) -> None:
    """Byte for byte; the log has tokens, price and API."""
    response = ask(world)
    assert (response.status_code, response.content) == (200, orjson.dumps(ANSWER))
    (asked,) = provider.asked
    assert (asked.path, asked.body["prompt"]) == ("/v1/completions", "You help.\n\nHello")
    row = world.row_of(response)
    assert (row.api, row.outcome, row.input_tokens, row.output_tokens) == ("completions", "answered", 20, 10)
    assert row.cost_usd == pytest.approx((20 * 10 + 10 * 20) / 1_000_000)


def test_a_stream_comes_through_chunk_by_chunk(world: World, provider: RecordedProvider) -> None:
    """Its usage is asked for, logged, and kept from a client that didn't ask."""
    provider.stream(STREAM)
    response = ask(world, stream=True)
    assert response.content == b"".join([*CHUNKS, DONE])
    assert provider.asked[0].body["stream_options"] == {"include_usage": True}
    row = world.row_of(response)
    assert (row.outcome, row.input_tokens, row.streamed) == ("truncated", 20, True)
    assert row.first_token_ms is not None


def test_users_do_not_see_a_candidate_that_fails(world: World, provider: RecordedProvider) -> None:
    """Stable answers in its place."""
    provider.answer_with({"error": {"message": "down"}}, model="candidate", status=500)
    with world.watched():
        world.split(100.0)
        response = ask(world)
    assert (response.status_code, response.json()) == (200, ANSWER)
    row = world.row_of(response)
    assert (row.arm, row.outcome, row.fell_back) == ("candidate", "provider_failed", True)


@pytest.mark.parametrize("prompt", [None, [], {"a": 1}])
def test_requests_that_no_endpoint_could_answer(world: World, prompt: object) -> None:
    """Are refused with the parameter at fault."""
    response = ask(world, prompt=prompt)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")


def test_openais_client(world: World, provider: RecordedProvider) -> None:
    """Whole and streamed."""
    client = openai.OpenAI(base_url=f"{world.url}/v1", api_key="any", max_retries=0)
    assert client.completions.create(model=APP, prompt="Hello").choices[0].text == " there."
    provider.stream(STREAM)
    chunks = client.completions.create(model=APP, prompt="Hello", stream=True)
    assert "".join(one.choices[0].text for one in chunks) == " there."
