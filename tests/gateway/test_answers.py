"""Reading providers' answers: what they cost, who gave them, and what became of them."""

from typing import Any

import orjson
import pytest

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.chat.answers import Asked, read_completion, text_of

WITHOUT_CHOICES = [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": {}}', b'{"choices": [7]}']
MIXED = b'{"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}, "x"]}'


@pytest.mark.parametrize("body", [*WITHOUT_CHOICES, MIXED])
def test_a_body_without_choices_is_malformed(body: bytes) -> None:
    """A 200 that holds no answer is a failure of the provider."""
    with pytest.raises(MalformedAnswerError):
        read_completion(body, Facts(), Asked())


def test_figures_that_no_database_could_hold_are_left_out() -> None:
    """A provider's nonsense in usage or names can't break the log."""
    facts = Facts()
    facts.note({"model": "m\x00" * 300, "usage": {"prompt_tokens": 2**80, "completion_tokens": -1}})
    assert facts == Facts(resolved_model=("m\x00" * 100).replace("\x00", ""))


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param({}, (None, None), id="no counts"),
        pytest.param({"prompt_tokens": "10", "completion_tokens": 2}, (None, 2), id="a count in words"),
        pytest.param({"prompt_tokens": None, "completion_tokens": 2.5}, (None, None), id="half a token"),
        pytest.param({"prompt_tokens": True, "completion_tokens": [1]}, (None, None), id="no numbers"),
        pytest.param("many", (None, None), id="no object"),
    ],
)
def test_usage_that_can_not_be_read_is_unknown(usage: object, counts: tuple[int | None, int | None]) -> None:
    """The answer is served nevertheless, and what its counts say is neither guessed nor zero."""
    facts = Facts()
    answer = orjson.loads(whole("stop", content="hi")) | {"usage": usage}
    assert read_completion(orjson.dumps(answer), facts, Asked()).outcome is RequestOutcome.ANSWERED
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == counts


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        pytest.param({"message": {"content": "hi"}}, "hi", id="text"),
        pytest.param({"message": {"content": None, "tool_calls": []}}, "", id="tool calls"),
        pytest.param("x", "", id="nonsense"),
    ],
)
def test_text_of(choice: object, text: str) -> None:
    """The first choice's text, or none."""
    assert text_of({"choices": [choice]}) == text


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
BROKEN = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}


def whole(finish: str | None, **message: Any) -> bytes:
    """A completion with one choice."""
    return orjson.dumps({"choices": [{"index": 0, "finish_reason": finish, "message": message}]})


@pytest.mark.parametrize(
    ("body", "json", "outcome"),
    [
        pytest.param(whole("stop", content="hi"), False, "answered", id="text"),
        pytest.param(whole("stop", content=[{"type": "text", "text": "hi"}]), False, "answered", id="text in parts"),
        pytest.param(whole("stop", content=None, refusal="No."), False, "answered", id="a refusal in words"),
        pytest.param(whole("tool_calls", content=None, tool_calls=[CALL]), False, "answered", id="a tool call"),
        pytest.param(whole("stop", content=None, audio={"id": "a"}), False, "answered", id="speech"),
        pytest.param(whole("length", content="hi"), False, "truncated", id="cut short"),
        pytest.param(whole("stop", content=""), False, "empty", id="nothing"),
        pytest.param(whole("stop", content=" \n"), False, "empty", id="white space"),
        pytest.param(whole("length", content=None, reasoning_content="hm"), False, "empty", id="thought, said nothing"),
        pytest.param(whole("content_filter", content=None), False, "filtered", id="withheld"),
        pytest.param(whole("content_filter", content="The way to"), False, "filtered", id="broken off by a filter"),
        pytest.param(whole("tool_calls", tool_calls=[BROKEN]), False, "invalid", id="arguments that don't parse"),
        pytest.param(whole("stop", function_call={"arguments": "[1]"}), False, "invalid", id="arguments of no object"),
        pytest.param(whole("stop", content='{"a": 1}'), True, "answered", id="JSON as asked"),
        pytest.param(whole("stop", content="Sure! {"), True, "invalid", id="no JSON though asked"),
        pytest.param(whole("length", content='{"a": '), True, "invalid", id="JSON cut short"),
        pytest.param(whole("stop", content=None, refusal="No."), True, "answered", id="a refusal where JSON was asked"),
    ],
)
def test_what_became_of_a_whole_answer(*, body: bytes, json: bool, outcome: str) -> None:
    """By what it says, why it ended, and what was asked for."""
    assert read_completion(body, Facts(), Asked(json=json)).outcome == outcome


def test_the_best_choice_decides() -> None:
    """Whoever asked for several takes one that serves."""
    choices = [{"finish_reason": "content_filter"}, {"finish_reason": "stop", "message": {"content": "hi"}}]
    body = orjson.dumps({"choices": choices})
    assert read_completion(body, Facts(), Asked(2)).outcome is RequestOutcome.ANSWERED


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"error": {"message": "no", "code": 429}}', id="an error document"),
        pytest.param(b'{"choices": [{"finish_reason": "error", "error": {"message": "x"}}]}', id="a failed choice"),
        pytest.param(b'{"detail": "Not here"}', id="FastAPI's"),
    ],
)
def test_an_error_with_status_200_is_an_error(body: bytes) -> None:
    """Whatever HTTP says of it."""
    with pytest.raises(ReportedError):
        read_completion(body, Facts(), Asked())


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        pytest.param({}, Asked(), id="nothing"),
        pytest.param({"n": 3, "response_format": {"type": "json_object"}}, Asked(3, json=True), id="three in JSON"),
        pytest.param({"n": "x", "response_format": 7, "stream_options": []}, Asked(), id="nonsense"),
        pytest.param({"stream_options": {"include_usage": True}}, Asked(usage=True), id="usage"),
    ],
)
def test_what_was_asked(body: dict[str, Any], asked: Asked) -> None:
    """Whatever a client wrote."""
    assert Asked.of(body) == asked
