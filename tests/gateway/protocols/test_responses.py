"""OpenAI's Responses: how a prompt goes in, what an answer is, and whom a thread belongs to."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.core.variant import PromptMessage, PromptVersion, Sampling, Variant
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.responses.answers import ResponseStream, read_response
from softlaunch.gateway.protocols.responses.protocol import Responses
from softlaunch.gateway.protocols.responses.requests import question_of, request_body, size_before_answers
from tests.gateway.worlds import variant

WORK = 100_000
ID = "resp_0123456789abcdef"
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 110,
}
RESPONSE = {
    "id": ID,
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-test-2026-01-01",
    "output": [{"id": "rs_1", "type": "reasoning", "summary": []}, MESSAGE],
    "previous_response_id": None,
    "store": True,
    "usage": USAGE,
}


def event(kind: str, **fields: Any) -> bytes:
    """One event as OpenAI writes it."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, "sequence_number": 0, **fields}))


def events(**change: Any) -> list[bytes]:
    """A streamed response: a thought, words, a call of a tool."""
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    whole = {**RESPONSE, "output": [MESSAGE, CALL], **change}
    kind = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    return [
        event("response.created", response=begun),
        event("response.in_progress", response=begun),
        event("response.output_item.added", output_index=0, item={**MESSAGE, "content": []}),
        event("response.content_part.added", output_index=0, part={"type": "output_text", "text": ""}),
        event("response.output_text.delta", output_index=0, delta="Hel"),
        event("response.output_text.delta", output_index=0, delta="lo."),
        event("response.output_text.done", output_index=0, text="Hello."),
        event("response.output_item.done", output_index=0, item=MESSAGE),
        event("response.function_call_arguments.delta", output_index=1, delta='{"a": 1}'),
        event("response.output_item.done", output_index=1, item=CALL),
        event(kind, response=whole),
    ]


STREAM = b"".join(events())


def of(*messages: PromptMessage, system: str = "merge", **sampling: Any) -> Variant:
    """A variant with these messages."""
    made = variant("gpt-test", "http://127.0.0.1:1/v1")
    prompt = PromptVersion(name="support", version="1.0.0", messages=messages, system=system)
    return made.model_copy(update={"prompt": prompt, "sampling": Sampling(**sampling)})


HELPS = PromptMessage(role="system", content="You help {{ who }}.")
EXAMPLE = (PromptMessage(role="user", content="Ping"), PromptMessage(role="assistant", content="Pong"))


@pytest.mark.parametrize(
    ("client", "rule", "sent"),
    [
        pytest.param(None, "merge", "You help Ann.", id="the prompt's alone"),
        pytest.param("Be kind.", "merge", "You help Ann.\n\nBe kind.", id="before the client's"),
        pytest.param("Be kind.", "replace", "You help Ann.", id="in the client's place"),
        pytest.param(
            [{"role": "developer", "content": "Be kind."}],
            "merge",
            [{"role": "developer", "content": "You help Ann."}, {"role": "developer", "content": "Be kind."}],
            id="an item before the client's",
        ),
    ],
)
def test_where_the_prompt_goes(client: object, rule: str, sent: object) -> None:
    """Into `instructions`; variables aren't passed on, and everything else is as it came."""
    asked: dict[str, Any] = {"input": "Hi", "variables": {"who": "Ann"}, "tools": [{"type": "web_search"}], "new": [1]}
    if client is not None:
        asked["instructions"] = client
    body = request_body(of(HELPS, system=rule), asked, WORK)
    assert body == {
        "model": "gpt-test",
        "input": "Hi",
        "tools": [{"type": "web_search"}],
        "new": [1],
        "instructions": sent,
    }


def test_examples_go_before_the_input_of_a_conversation_that_begins() -> None:
    """One that is continued has them already."""
    made = of(*EXAMPLE)
    examples = [{"role": "user", "content": "Ping"}, {"role": "assistant", "content": "Pong"}]
    assert request_body(made, {"input": "Hi"}, WORK)["input"] == [*examples, {"role": "user", "content": "Hi"}]
    assert request_body(made, {"input": "Hi", "previous_response_id": "r"}, WORK)["input"] == "Hi"


def test_a_system_message_in_the_input_is_replaced_too() -> None:
    """Wherever it stands."""
    given = {"input": [{"role": "developer", "content": "x"}, {"role": "user", "content": "Hi"}]}
    assert request_body(of(system="replace"), given, WORK)["input"] == [{"role": "user", "content": "Hi"}]


def test_parameters_by_their_names_here() -> None:
    """Both limits of length are `max_output_tokens`."""
    assert request_body(of(temperature=0.5, max_tokens=7), {"input": ""}, WORK) == {
        "model": "gpt-test",
        "input": "",
        "temperature": 0.5,
        "max_output_tokens": 7,
    }


def test_texts_of_a_request() -> None:
    """Results of tools are no question, and nothing from a model's first item on counts for an arm."""
    words = {"role": "user", "content": [{"type": "input_text", "text": "Where?"}, {"type": "input_image"}]}
    body = {
        "instructions": "four",
        "input": [words, CALL, {"type": "function_call_output", "output": "x"}, {"role": "user", "content": "More"}],
    }
    assert question_of(body) == "More"
    assert size_before_answers(body) == len("four") + len("Where?")
    assert question_of({"input": "Hi"}) == "Hi"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        pytest.param({}, RequestOutcome.ANSWERED, id="words"),
        pytest.param({"output": [CALL]}, RequestOutcome.ANSWERED, id="a call of a tool"),
        pytest.param({"output": [{**CALL, "arguments": "{"}]}, RequestOutcome.INVALID, id="a broken call"),
        pytest.param({"output": []}, RequestOutcome.EMPTY, id="nothing"),
        pytest.param({"output": [{"type": "reasoning"}]}, RequestOutcome.EMPTY, id="only thoughts"),
        pytest.param({"output": [{"type": "image_generation_call"}]}, RequestOutcome.ANSWERED, id="a picture"),
        pytest.param(
            {"output": [{**MESSAGE, "content": [{"type": "refusal", "refusal": "No."}]}]},
            RequestOutcome.ANSWERED,
            id="a refusal in words",
        ),
        pytest.param(
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            RequestOutcome.TRUNCATED,
            id="cut at the limit",
        ),
        pytest.param(
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            RequestOutcome.FILTERED,
            id="withheld",
        ),
        pytest.param(
            {"status": "failed", "error": {"code": "server_error", "message": "x"}, "output": []},
            RequestOutcome.PROVIDER_FAILED,
            id="failed",
        ),
        pytest.param(
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}, "output": []},
            RequestOutcome.RATE_LIMITED,
            id="failed for too many requests",
        ),
    ],
)
def test_what_became_of_a_response(change: dict[str, Any], outcome: RequestOutcome) -> None:
    """By its items and its status."""
    facts = Facts()
    assert read_response(orjson.dumps({**RESPONSE, **change}), facts, json_wanted=False).outcome is outcome
    usage = Usage(100, 10, 40, reasoning_tokens=4)
    assert facts == Facts("gpt-test-2026-01-01", None, usage, ID)


def test_a_failure_that_speaks_of_our_account() -> None:
    """Its words aren't the client's business."""
    error = {"code": "insufficient_quota", "message": "You exceeded your current quota, check your plan and billing."}
    with pytest.raises(ReportedError):
        read_response(orjson.dumps({**RESPONSE, "status": "failed", "error": error}), Facts(), json_wanted=False)


def test_one_that_is_still_worked_on() -> None:
    """It has no outcome yet."""
    queued = {**RESPONSE, "status": "queued", "output": [], "usage": None}
    assert read_response(orjson.dumps(queued), Facts(), json_wanted=False).is_pending


def test_json_that_was_asked_for() -> None:
    """Words where JSON was asked for are no usable answer."""
    assert read_response(orjson.dumps(RESPONSE), Facts(), json_wanted=True).outcome is RequestOutcome.INVALID


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b'{"output": "x"}'])
def test_what_is_no_response(content: bytes) -> None:
    """Anything else is malformed."""
    with pytest.raises(MalformedAnswerError):
        read_response(content, Facts(), json_wanted=False)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12), crlf=st.booleans())
def test_a_stream_is_read_alike_however_it_is_cut(*, cuts: list[int], crlf: bool) -> None:
    """Pieces of any size give the same events, the same facts and the same text."""
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    reader = ResponseStream(keep_text=True)
    edges = [0, *sorted(cuts), len(stream)]
    passed = b"".join(reader.feed(stream[start:end]) for start, end in pairwise(edges)) + reader.close()
    assert passed.replace(b"\r\n", b"\n") == STREAM
    assert (reader.whole, reader.finish_reason, reader.outcome()) == (True, "completed", RequestOutcome.ANSWERED)
    assert reader.facts == Facts("gpt-test-2026-01-01", None, Usage(100, 10, 40, reasoning_tokens=4), ID)
    assert "".join(reader.texts) == "Hello."


def test_a_stream_that_is_cut_at_the_limit() -> None:
    """It is whole, and truncated."""
    reader = ResponseStream()
    reader.feed(b"".join(events(status="incomplete", incomplete_details={"reason": "max_output_tokens"})))
    assert (reader.whole, reader.outcome()) == (True, RequestOutcome.TRUNCATED)


@pytest.mark.parametrize("end", [b"", event("error", code="server_error", message="x"), event("response.failed")])
def test_a_stream_that_breaks(end: bytes) -> None:
    """It isn't whole."""
    reader = ResponseStream()
    reader.feed(b"".join(events()[:6]) + end)
    reader.close()
    assert not reader.whole


def test_before_the_first_token_nothing_is_passed_on() -> None:
    """Until then another arm can answer."""
    reader = ResponseStream()
    assert reader.feed(b"".join(events()[:4])) == b""
    failed = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "x"}}
    with pytest.raises(ReportedError) as reported:
        reader.feed(event("response.failed", response=failed))
    assert orjson.loads(reported.value.body) == {"error": {"code": "server_error", "message": "x"}}


def test_an_error_as_an_event() -> None:
    """As OpenAI's clients read it."""
    made = Responses().error_event(b'{"error": {"code": "cut", "message": "x", "param": null}}')
    kind, data, *_ = made.split(b"\n")
    assert kind == b"event: error"
    assert orjson.loads(data[6:]) == {
        "type": "error",
        "code": "cut",
        "message": "x",
        "param": None,
        "sequence_number": 0,
    }
