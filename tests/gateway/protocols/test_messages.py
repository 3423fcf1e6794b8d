"""Anthropic's Messages: how a prompt goes in, what an answer is, and what clients see through a gateway."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.core.variant import PromptMessage, PromptVersion, Sampling, Variant
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.messages.answers import MessageStream, read_message
from softlaunch.gateway.protocols.messages.protocol import Messages
from softlaunch.gateway.protocols.messages.requests import question_of, request_body, size_before_answers
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

WORK = 100_000
HEADERS = {"x-api-key": "client-key", "anthropic-version": "2023-06-01", "anthropic-beta": "tools-2024"}
USAGE = {"input_tokens": 20, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 50, "output_tokens": 10}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-test-20260101",
    "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}


def event(kind: str, **fields: Any) -> bytes:
    """One event as Anthropic writes it."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def events(*, stop_reason: str = "end_turn") -> list[bytes]:
    """A streamed message: a thought, words, a call of a tool."""
    started = {**ANSWER, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    return [
        event("message_start", message=started),
        event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        event("ping"),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Hel"}),
        event("content_block_delta", index=1, delta={"type": "text_delta", "text": "lo."}),
        event("content_block_stop", index=1),
        event("content_block_start", index=2, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '{"a":'}),
        event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": " 1}"}),
        event("content_block_stop", index=2),
        event("message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": 10}),
        event("message_stop"),
    ]


STREAM = b"".join(events())


def of(prompt: str = "You help {{ who }}.", system: str = "merge", **sampling: Any) -> Variant:
    """A variant with one system message."""
    made = variant("claude-test", "http://127.0.0.1:1/v1", prompt)
    message = PromptMessage(role="system", content=prompt)
    prompt_version = PromptVersion(name="support", version="1.0.0", messages=(message,), system=system)
    return made.model_copy(update={"prompt": prompt_version, "sampling": Sampling(**sampling)})


@pytest.mark.parametrize(
    ("client", "rule", "sent"),
    [
        pytest.param(None, "merge", "You help Ann.", id="the prompt's alone"),
        pytest.param("Be kind.", "merge", "You help Ann.\n\nBe kind.", id="before the client's text"),
        pytest.param(
            [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
            "merge",
            [
                {"type": "text", "text": "You help Ann."},
                {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
            ],
            id="a block before the client's, whose mark for the cache stays",
        ),
        pytest.param("Be kind.", "replace", "You help Ann.", id="in the client's place"),
    ],
)
def test_where_the_prompt_goes(client: object, rule: str, sent: object) -> None:
    """Into `system`; variables aren't passed on, and everything else is."""
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hi"}],
        "variables": {"who": "Ann"},
        "tools": [{"name": "f"}],
    }
    if client is not None:
        asked["system"] = client
    body = request_body(of(system=rule), asked, WORK)
    assert body == {"model": "claude-test", "messages": asked["messages"], "tools": [{"name": "f"}], "system": sent}


def test_parameters_by_their_names_here() -> None:
    """A variant's stop is `stop_sequences`, and both limits of length are `max_tokens`."""
    made = of("x", temperature=0.5, max_completion_tokens=7, stop=("END",))
    body = request_body(made, {"messages": [], "max_tokens": 100}, WORK)
    assert (body["temperature"], body["max_tokens"], body["stop_sequences"]) == (0.5, 7, ["END"])


def test_a_parameter_that_messages_do_not_have() -> None:
    """Is said with its name, and never left out silently."""
    with pytest.raises(UnsuitableVariantError, match="sets seed, which Messages don't have"):
        request_body(of("x", seed=1), {"messages": []}, WORK)


def test_texts_of_a_request() -> None:
    """Results of tools are no question, and what the assistant said counts for no arm."""
    body = {
        "system": "four",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Where?"}, {"type": "image", "source": {}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "there"}]},
        ],
        "variables": {"who": "Ann"},
    }
    assert question_of(body) == "Where?"
    assert size_before_answers(body) == len("four") + len("Where?") + len("Ann")


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        pytest.param({}, RequestOutcome.ANSWERED, id="words"),
        pytest.param({"stop_reason": "max_tokens"}, RequestOutcome.TRUNCATED, id="cut at the limit"),
        pytest.param({"stop_reason": "refusal"}, RequestOutcome.FILTERED, id="withheld"),
        pytest.param({"content": []}, RequestOutcome.EMPTY, id="nothing"),
        pytest.param({"content": [{"type": "thinking", "thinking": "hm"}]}, RequestOutcome.EMPTY, id="only thoughts"),
        pytest.param({"content": [{"type": "text", "text": " \n"}]}, RequestOutcome.EMPTY, id="only blanks"),
        pytest.param(
            {"content": [{"type": "tool_use", "input": {"a": 1}}], "stop_reason": "tool_use"},
            RequestOutcome.ANSWERED,
            id="a call of a tool",
        ),
        pytest.param({"content": [{"type": "tool_use", "input": "x"}]}, RequestOutcome.INVALID, id="a broken call"),
        pytest.param({"content": [{"type": "web_search_tool_result"}]}, RequestOutcome.ANSWERED, id="a server's tool"),
    ],
)
def test_what_became_of_a_message(change: dict[str, Any], outcome: RequestOutcome) -> None:
    """By its blocks and by why it stopped."""
    facts = Facts()
    whole = read_message(orjson.dumps({**ANSWER, **change}), facts, json_wanted=False)
    assert whole.outcome is outcome
    assert facts == Facts("claude-test-20260101", None, Usage(100, 10, 50, 30))


def test_json_that_was_asked_for() -> None:
    """Words where JSON was asked for are no usable answer."""
    assert read_message(orjson.dumps(ANSWER), Facts(), json_wanted=True).outcome is RequestOutcome.INVALID


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b'{"content": "x"}', b'{"content": [1]}'])
def test_what_is_no_message(content: bytes) -> None:
    """Anything else than a message is malformed."""
    with pytest.raises(MalformedAnswerError):
        read_message(content, Facts(), json_wanted=False)


def test_an_error_with_status_200() -> None:
    """An error is one whatever status it comes with."""
    document = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ReportedError):
        read_message(orjson.dumps(document), Facts(), json_wanted=False)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12), crlf=st.booleans())
def test_a_stream_is_read_alike_however_it_is_cut(*, cuts: list[int], crlf: bool) -> None:
    """Pieces of any size give the same events, the same facts and the same text."""
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    reader = MessageStream(keep_text=True)
    edges = [0, *sorted(cuts), len(stream)]
    passed = b"".join(reader.feed(stream[start:end]) for start, end in pairwise(edges)) + reader.close()
    without_pings = b"".join(one for one in events() if b"ping" not in one)
    assert passed.replace(b"\r\n", b"\n").replace(event("ping"), b"") == without_pings
    assert (reader.whole, reader.finish_reason, reader.outcome()) == (True, "end_turn", RequestOutcome.ANSWERED)
    assert reader.facts == Facts("claude-test-20260101", None, Usage(100, 10, 50, 30))
    assert "".join(reader.texts) == "Hello."


@pytest.mark.parametrize(
    ("stream", "whole"),
    [
        pytest.param(events(), True, id="all of it"),
        pytest.param(events()[:-1], True, id="it said why it stopped"),
        pytest.param(events()[:-2], False, id="it didn't"),
        pytest.param([*events()[:8], event("error", error={"type": "overloaded_error"})], False, id="an error in it"),
        pytest.param([*events()[:13], *events(stop_reason="max_tokens")[13:]], True, id="cut at the limit"),
    ],
)
def test_when_a_stream_is_whole(stream: list[bytes], *, whole: bool) -> None:
    """When the message said why it stopped, or the protocol's end was seen."""
    reader = MessageStream()
    reader.feed(b"".join(stream))
    reader.close()
    assert reader.whole is whole


def test_before_the_first_token_nothing_is_passed_on() -> None:
    """Until then another arm can answer."""
    reader = MessageStream()
    assert reader.feed(b"".join(events()[:3])) == b""
    assert not reader.token_seen
    with pytest.raises(ReportedError):
        reader.feed(event("error", error={"type": "overloaded_error", "message": "Overloaded"}))


def test_errors_in_anthropics_words() -> None:
    """The type goes by the status; a provider's words of any kind become an event."""
    protocol = Messages()
    assert orjson.loads(protocol.error_event(b"<html>")[len(b"event: error\ndata: ") :]) == {
        "type": "error",
        "error": {"type": "api_error", "message": "<html>"},
    }


# Through a gateway


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with the message above."""
    with recorded_provider() as running:
        running.answer_with(ANSWER)
        yield running


@pytest.fixture
def claude(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app on Anthropic's own API."""
    fields: Mapping[str, Any] = {"provider": "anthropic", "api_key_env": "KEY"}

    def made(name: str) -> Variant:
        there = variant(name, provider.endpoint, "You help.")
        return there.model_copy(update={"model": there.model.model_copy(update=dict(fields))})

    keys = {"KEY": "provider-key"}
    with running_world(
        ledger_url, models, environment=keys, stable=made("stable"), candidate=made("candidate")
    ) as world:
        yield world


def ask(world: World, path: str = "/v1/messages", **fields: Any) -> httpx.Response:
    """A request as Anthropic's clients send it."""
    body = {"model": APP, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return world.client.post(path, json=body, headers=HEADERS)


def test_a_message_comes_through_unchanged(claude: World, provider: RecordedProvider) -> None:
    """The provider gets its own key and the client's version; the log gets tokens, cost and outcome."""
    response = ask(claude, metadata={"user_id": "ann"})
    assert (response.status_code, response.json()) == (200, ANSWER)
    (asked,) = provider.asked
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", "provider-key")
    assert (asked.headers["anthropic-version"], asked.headers["anthropic-beta"]) == ("2023-06-01", "tools-2024")
    assert "Authorization" not in asked.headers
    assert asked.body["system"] == "You help."
    row = claude.row_of(response)
    assert (row.outcome, row.input_tokens, row.output_tokens, row.cached_tokens) == ("answered", 100, 10, 50)
    assert (row.resolved_model, row.finish_reason) == ("claude-test-20260101", "end_turn")


def test_a_stream_comes_through_event_by_event(claude: World, provider: RecordedProvider) -> None:
    """Byte for byte, pings before the first token aside; its usage is logged without asking for it."""
    provider.stream(STREAM)
    response = ask(claude, stream=True)
    assert response.content == b"".join(one for one in events() if b"ping" not in one)
    assert "stream_options" not in provider.asked[0].body
    row = claude.row_of(response)
    assert (row.outcome, row.input_tokens, row.output_tokens, row.streamed) == ("answered", 100, 10, True)
    assert row.first_token_ms is not None


def test_users_do_not_see_a_candidate_that_is_overloaded(claude: World, provider: RecordedProvider) -> None:
    """Anthropic's 529 is the provider's failure, and stable answers."""
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.answer_with(overloaded, model="candidate", status=529)
    with claude.watched():
        claude.split(100.0)
        response = ask(claude)
    assert (response.status_code, response.json()) == (200, ANSWER)
    assert claude.row_of(response).outcome == "provider_failed"


def test_errors_of_the_provider_and_of_the_gateway(claude: World, provider: RecordedProvider) -> None:
    """Both are documents that Anthropic's clients understand."""
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too large"}}
    provider.answer_with(refused, status=400)
    response = ask(claude)
    assert (response.status_code, response.json()) == (400, refused)
    response = claude.client.post("/v1/messages", json={"model": "nobody", "messages": [{}]}, headers=HEADERS)
    assert (response.status_code, response.json()["type"]) == (404, "error")
    assert response.json()["error"]["type"] == "not_found_error"


def test_tokens_are_counted_by_the_variant_that_would_answer(claude: World, provider: RecordedProvider) -> None:
    """Its prompt counts; nothing is logged."""
    provider.answer_with({"input_tokens": 17})
    response = ask(claude, "/v1/messages/count_tokens")
    assert (response.status_code, response.json()) == (200, {"input_tokens": 17})
    assert (provider.asked[0].path, provider.asked[0].body["system"]) == ("/v1/messages/count_tokens", "You help.")
    assert claude.rows() == []


def test_models_as_anthropics_clients_read_them(claude: World) -> None:
    """The header that each of them sends tells them."""
    page = claude.client.get("/v1/models", headers=HEADERS).json()
    assert (page["data"][0]["id"], page["data"][0]["type"], page["has_more"]) == (APP, "model", False)
    assert claude.client.get(f"/v1/models/{APP}", headers=HEADERS).json() == page["data"][0]
    assert claude.client.get(f"/v1/models/{APP}").json()["object"] == "model"
