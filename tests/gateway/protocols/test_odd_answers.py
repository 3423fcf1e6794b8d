"""Answers as providers other than the API's own give them: what became of them is what it would be there."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.gateway.protocols.answer import Facts, ReportedError
from softlaunch.gateway.protocols.chat.answers import Asked, read_completion
from softlaunch.gateway.protocols.chat.stream import ChatStream
from softlaunch.gateway.protocols.event_stream import EventStream
from softlaunch.gateway.protocols.messages.answers import MessageStream
from softlaunch.gateway.protocols.responses.answers import ResponseStream, read_response

DONE = b"data: [DONE]\n\n"


def event(**fields: Any) -> bytes:
    """One event."""
    return b"data: %s\n\n" % orjson.dumps(fields)


def chunk(delta: dict[str, Any], finish_reason: object = None) -> bytes:
    """A chunk of a chat completion."""
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


def call(arguments: str, **fields: Any) -> bytes:
    """A chunk with a piece of a call of a tool; `name` is the tool's."""
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return chunk({"tool_calls": [{**fields, "function": {**name, "arguments": arguments}}]})


def outcome_of(stream: EventStream, events: Sequence[bytes]) -> RequestOutcome:
    """What became of a stream that came whole."""
    for one in events:
        stream.feed(one)
        stream.check()
    stream.close()
    assert stream.whole
    return stream.outcome()


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([call('{"x": 1}', name="f"), call('{"y": 2}', name="g")], id="no index at all"),
        pytest.param([call('{"x": 1}', name="f", index=0), call('{"x": 2}', name="f", index=0)], id="each number 0"),
        pytest.param(
            [
                call("", name="f", index=0),
                call('{"x"', index=0),
                call(": 1}", index=0),
                call('{"y": 2}', name="f", index=0),
            ],
            id="a call in pieces and one whole",
        ),
        pytest.param(
            [call('{"x"', name="f", index=0, id="a"), call(": 1}", index=0, id="b")], id="another id with each piece"
        ),
        pytest.param([call('{"x"', name="f", index=0), call(": 1}", name="f", index=0)], id="the name with each piece"),
    ],
)
def test_calls_of_tools_are_told_apart(calls: list[bytes]) -> None:
    """Two whole calls are two, whatever numbers they have; pieces of one are one."""
    assert outcome_of(ChatStream(), [*calls, chunk({}, "tool_calls"), DONE]) is RequestOutcome.ANSWERED


def test_a_call_that_is_broken_is_invalid() -> None:
    """Arguments that don't parse in the end are no call."""
    calls = [call('{"x": 1}', name="f"), call('{"y": ', name="g")]
    assert outcome_of(ChatStream(), [*calls, chunk({}, "tool_calls"), DONE]) is RequestOutcome.INVALID


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("stop", RequestOutcome.ANSWERED),
        ("MAX_TOKENS", RequestOutcome.TRUNCATED),
        ("model_length", RequestOutcome.TRUNCATED),
        ("SAFETY", RequestOutcome.FILTERED),
        ("sensitive", RequestOutcome.FILTERED),
        ("guardrail_intervened", RequestOutcome.FILTERED),
        ("a word of tomorrow", RequestOutcome.ANSWERED),
    ],
)
def test_words_for_the_end(reason: str, outcome: RequestOutcome) -> None:
    """Other providers' words for the end mean what OpenAI's do, in a stream and in an answer in one piece."""
    assert outcome_of(ChatStream(), [chunk({"content": "Hel"}), chunk({}, reason), DONE]) is outcome
    whole = orjson.dumps({"choices": [{"message": {"content": "Hel"}, "finish_reason": reason}]})
    assert read_completion(whole, Facts(), Asked()).outcome is outcome


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "network_error", "abort"])
def test_words_for_a_failure(reason: str) -> None:
    """An answer that ended because the model's engine failed is none: another may be asked, or the stream breaks."""
    with pytest.raises(ReportedError):
        ChatStream().feed(chunk({"content": ""}, reason))
    with pytest.raises(ReportedError):
        read_completion(orjson.dumps({"choices": [{"message": {}, "finish_reason": reason}]}), Facts(), Asked())
    begun = ChatStream()
    begun.feed(chunk({"content": "Hel"}))
    assert begun.feed(chunk({}, reason)) == chunk({}, reason)
    assert begun.failed


@pytest.mark.parametrize("error", [None, {}, {"message": "upstream failed", "code": 502}])
def test_an_error_beside_an_answer(error: dict[str, object] | None) -> None:
    """A proxy's error beside what had come is an error, whole or streamed; none, or an empty one, is not."""
    choice = {"message": {"content": "Hel"}, "delta": {"content": "Hel"}, "finish_reason": "stop"}
    document = {"choices": [choice], "error": error}
    if error:
        with pytest.raises(ReportedError):
            read_completion(orjson.dumps(document), Facts(), Asked())
        with pytest.raises(ReportedError):
            ChatStream().feed(event(choices=[{**choice, "finish_reason": None}], error=error))
    else:
        assert read_completion(orjson.dumps(document), Facts(), Asked()).outcome is RequestOutcome.ANSWERED
        assert ChatStream().feed(event(**document))


@pytest.mark.parametrize("no_reason", ["null", "None", ""])
def test_words_for_no_end(no_reason: str) -> None:
    """A stream whose chunks say `null` in quotes isn't over with the first one."""
    stream = ChatStream()
    stream.feed(chunk({"content": "Hel"}, no_reason))
    assert not stream.finished
    assert outcome_of(stream, [chunk({"content": "lo"}, "stop")]) is RequestOutcome.ANSWERED


def test_texts_in_the_place_of_messages() -> None:
    """A proxy that answers a chat with chunks of before chats has answered."""
    texts = [event(choices=[{"index": 0, "text": "Hel"}]), event(choices=[{"text": "", "finish_reason": "stop"}])]
    assert outcome_of(ChatStream(), [*texts, DONE]) is RequestOutcome.ANSWERED


def test_an_emoji_cut_in_two() -> None:
    """Halves of a character in two chunks pass as they came; NaN, which JSON doesn't have, doesn't."""
    halves = [
        rb'data: {"choices": [{"index": 0, "delta": {"content": "\\ \ud83d"}}]}' + b"\n\n",
        rb'data: {"choices": [{"index": 0, "delta": {"content": "\uDE00 \ud83d\ude00"}}]}' + b"\n\n",
    ]
    stream = ChatStream(keep_text=True)
    assert [stream.feed(half) for half in halves] == halves
    assert "".join(stream.texts) == "\\ \ufffd\ufffd \U0001f600"


ITEM = {"type": "message", "content": [{"type": "output_text", "text": '{"a": 1}'}]}
DELTA = event(type="response.output_text.delta", output_index=0, delta='{"a": 1}')
ITEM_DONE = event(type="response.output_item.done", output_index=0, item=ITEM)


@pytest.mark.parametrize("json_wanted", [False, True])
@pytest.mark.parametrize(
    "events",
    [
        pytest.param([DELTA, ITEM_DONE, {"status": "completed", "output": [ITEM]}], id="as OpenAI has it"),
        pytest.param([DELTA, ITEM_DONE, {"status": "completed", "output": []}], id="no output in the end"),
        pytest.param([DELTA, {"status": "completed", "output": []}], id="nothing but deltas"),
        pytest.param([ITEM_DONE, {"status": "completed", "output": []}], id="nothing but the item"),
        pytest.param([DELTA, {"status": "completed"}], id="no word of output"),
    ],
)
def test_a_response_that_was_told_in_pieces(events: list[Any], *, json_wanted: bool) -> None:
    """What a response said is what came of it, also where its end doesn't repeat it."""
    *pieces, response = events
    stream = ResponseStream(json_wanted=json_wanted)
    end = event(type="response.completed", response=response)
    assert outcome_of(stream, [*pieces, end]) is RequestOutcome.ANSWERED


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        pytest.param({"status": "incomplete", "incomplete_details": None}, RequestOutcome.TRUNCATED, id="no reason"),
        pytest.param(
            {"status": "incomplete", "incomplete_details": {"reason": "max_tokens"}},
            RequestOutcome.TRUNCATED,
            id="Anthropic's word",
        ),
        pytest.param({"status": "cancelled"}, RequestOutcome.CLIENT_GONE, id="cancelled by its client"),
    ],
)
def test_how_a_response_ended(response: dict[str, Any], outcome: RequestOutcome) -> None:
    """By its status, where it tells no reason that is known; one that was cancelled is nobody's fault."""
    whole = orjson.dumps({"output": [ITEM], **response})
    assert read_response(whole, Facts(), json_wanted=False).outcome is outcome


def test_a_response_that_failed_and_is_called_completed() -> None:
    """Its status says that it failed."""
    stream = ResponseStream()
    stream.feed(DELTA)
    stream.feed(event(type="response.completed", response={"status": "failed", "output": [ITEM]}))
    assert stream.failed
    assert not stream.whole


def message(start: dict[str, Any], told: dict[str, Any], *blocks: bytes) -> list[bytes]:
    """A streamed message with the usage told at its beginning and at its end."""
    return [
        event(type="message_start", message={"usage": start}),
        *blocks,
        event(type="message_delta", delta={"stop_reason": "end_turn"}, usage=told),
        event(type="message_stop"),
    ]


TEXT = event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})


@pytest.mark.parametrize(
    ("start", "end", "usage"),
    [
        pytest.param(
            {"input_tokens": 10, "cache_read_input_tokens": 1000, "output_tokens": 1},
            {"input_tokens": 10, "output_tokens": 5},
            Usage(1010, 5, 1000),
            id="the end leaves the cache out",
        ),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0},
            {"input_tokens": 20, "cache_read_input_tokens": 500, "output_tokens": 5},
            Usage(520, 5, 500),
            id="the end tells all of it",
        ),
        pytest.param(
            {"input_tokens": 10, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 50},
            {"output_tokens": 5},
            Usage(1060, 5, 1000, 50),
            id="as Anthropic has it",
        ),
    ],
)
def test_usage_that_is_told_twice(start: dict[str, int], end: dict[str, int], usage: Usage) -> None:
    """What a cache had stays a part of the whole input."""
    stream = MessageStream()
    outcome_of(stream, message(start, end, TEXT))
    assert stream.facts.usage == usage


def test_a_tools_input_that_is_told_twice() -> None:
    """Input that stands in a call's beginning and follows in pieces is one, as Anthropic's SDKs read it."""
    begin = event(
        type="content_block_start", index=0, content_block={"type": "tool_use", "name": "f", "input": {"a": 1}}
    )
    again = event(type="content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"a": 1}'})
    assert outcome_of(MessageStream(), message({}, {}, begin, again)) is RequestOutcome.ANSWERED
