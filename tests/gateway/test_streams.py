"""Reading streamed answers, in whatever pieces they arrive."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.chat.answers import Asked
from softlaunch.gateway.protocols.chat.stream import ChatStream
from tests.support.servers import stream_events

USAGE = Asked(usage=True)
EVENTS = list(stream_events({"model": "m", "stream_options": {"include_usage": True}}))
STREAM = b"".join(EVENTS)
WITHOUT_USAGE = b"".join(event for event in EVENTS if b'"usage"' not in event)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12), crlf=st.booleans())
def test_a_stream_is_read_alike_however_it_is_cut(*, cuts: list[int], crlf: bool) -> None:
    """Pieces of any size give the same events, the same facts and the same text."""
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    reader = ChatStream(keep_text=True)
    edges = [0, *sorted(cuts), len(stream)]
    passed = b"".join(reader.feed(stream[start:end]) for start, end in pairwise(edges))
    passed += reader.close()
    assert passed.replace(b"\r\n", b"\n") == WITHOUT_USAGE
    assert reader.whole
    assert reader.facts == Facts("m-resolved", None, Usage(100, 10))
    assert "".join(reader.texts) == "I am m."


def test_usage_is_passed_on_to_those_who_asked() -> None:
    """The last chunk, with usage and without choices, is left out only where the client didn't ask for it."""
    assert ChatStream(asked=USAGE).feed(STREAM) == STREAM


def test_the_first_token_is_not_the_role() -> None:
    """The opening chunk only says who speaks."""
    reader = ChatStream()
    reader.feed(EVENTS[0])
    assert not reader.token_seen
    reader.feed(EVENTS[1])
    assert reader.token_seen


@pytest.mark.parametrize(
    ("stream", "whole"),
    [
        pytest.param(STREAM, True, id="all of it"),
        pytest.param(b"".join(EVENTS[:-1]), True, id="finished, without the closing mark"),
        pytest.param(STREAM.rstrip(b"\n"), True, id="the last blank line is missing"),
        pytest.param(b"".join(EVENTS[:3]), False, id="cut between events"),
        pytest.param(EVENTS[0] + b"data: [DONE]\n\n", True, id="closed without saying why it finished"),
        pytest.param(b"", False, id="nothing at all"),
        pytest.param(b"".join(EVENTS[:3]) + b'data: {"error": {"message": "x"}}\n\n', False, id="an error event"),
        pytest.param(b": alive\n\n" + EVENTS[0] + b"event: x\n\n" + STREAM, True, id="comments"),
        pytest.param(
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
            b'data: {"choices":[{"index":1,"delta":{"content":"x"}}]}\n\n',
            False,
            id="one of two choices unfinished",
        ),
    ],
)
def test_a_stream_is_whole_when_its_choices_have_finished(*, stream: bytes, whole: bool) -> None:
    """Each choice's own end, or the protocol's, makes it whole."""
    reader = ChatStream(asked=USAGE)
    reader.feed(stream)
    reader.close()
    assert reader.whole is whole


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b"<html>\n\n", id="a web page"),
        pytest.param(b"data: [DONE]\n\n", id="closed without an answer"),
        pytest.param(b"data: {broken\n\n", id="no JSON"),
        pytest.param(b"data: 7\n\n", id="no object"),
        pytest.param(b'data: {"choices": "x"}\n\n', id="choices that are no list"),
        pytest.param(b'data: {"choices": ["x"]}\n\n', id="a choice that is no object"),
        pytest.param(b"data: " + b"x" * 2000, id="an event without end"),
    ],
)
def test_a_broken_event_is_malformed(event: bytes) -> None:
    """What no client could read isn't passed on."""
    with pytest.raises(MalformedAnswerError):
        ChatStream(asked=USAGE, longest_event=1000).feed(event)


def test_what_was_good_before_a_broken_event_is_passed_on() -> None:
    """Also where a busy network brings both in one piece; what stands behind the broken event is not."""
    reader = ChatStream(asked=USAGE)
    reader.feed(EVENTS[0] + EVENTS[1])
    reader.check()
    assert reader.feed(EVENTS[1] + b"data: {broken\n\n" + EVENTS[2]) == EVENTS[1]
    with pytest.raises(MalformedAnswerError, match="no JSON"):
        reader.check()


def test_what_comes_before_the_first_token_is_held_back() -> None:
    """As long as nothing was passed on, stable can still answer instead; then it all goes in order."""
    reader = ChatStream(asked=USAGE)
    assert reader.feed(b": alive\n\n" + EVENTS[0]) == b""
    assert reader.pings == b": alive\n\n"
    assert reader.feed(EVENTS[1] + b": alive\n\n") == EVENTS[0] + EVENTS[1] + b": alive\n\n"


@pytest.mark.parametrize(
    "sign",
    [
        b": alive\n\n",
        b"data:\n\n",
        b"data: : keepalive\n\n",
        b"data: ping\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b"data: {}\n\n",
    ],
)
def test_a_sign_of_life_is_no_fault(sign: bytes) -> None:
    """In whatever form providers send it; clients get it as a comment, which each of them can read."""
    reader = ChatStream(asked=USAGE)
    passed = reader.feed(EVENTS[0] + EVENTS[1] + sign + b"".join(EVENTS[2:]))
    assert passed.startswith(EVENTS[0] + EVENTS[1] + b": ")
    assert reader.outcome() is RequestOutcome.ANSWERED


def test_an_answer_is_over_when_every_choice_has_finished() -> None:
    """Not before the second of two has begun, and not only at the protocol's end."""
    reader = ChatStream(asked=Asked(choices=2))
    reader.feed(b"".join(EVENTS[:5]))
    assert not reader.finished
    reader.feed(b'data: {"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n')
    assert (reader.finished, reader.ended) == (True, False)


def test_nothing_follows_the_protocols_end() -> None:
    """What a provider says after it reaches nobody."""
    reader = ChatStream(asked=USAGE)
    assert reader.feed(STREAM + b'data: {"error": {"message": "too late"}}\n\n') == STREAM
    assert (reader.ended, reader.failed) == (True, False)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b'data: {"error": {"message": "x", "code": 400}}\n\n', id="an error event"),
        pytest.param(b'event: error\ndata: {"type": "error", "error": {"message": "x"}}\n\n', id="Anthropic's"),
        pytest.param(b'{"error": {"message": "x"}}\n\n', id="without a field's name"),
        pytest.param(b'data: [{"error": {"message": "x"}}]\n\n', id="in a list"),
        pytest.param(b'data: {"choices": [{"index": 0, "finish_reason": "error"}]}\n\n', id="a choice that failed"),
    ],
)
def test_an_error_before_the_first_token_stands_for_the_answer(event: bytes) -> None:
    """Also behind the role: nothing was passed on yet."""
    reader = ChatStream(asked=USAGE)
    with pytest.raises(ReportedError):
        reader.feed(EVENTS[0] + event)


def test_an_error_in_the_midst_is_passed_on_and_breaks_the_answer() -> None:
    """The client gets the provider's own event, and what comes after it is nobody's."""
    reader = ChatStream(asked=USAGE)
    fault = b'data: {"error": {"message": "x"}}\n\n'
    assert reader.feed(b"".join(EVENTS[:2]) + fault + EVENTS[2]) == b"".join(EVENTS[:2]) + fault
    assert (reader.failed, reader.whole, reader.finished) == (True, False, False)


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + b"\n\n"


def call(arguments: str) -> dict[str, Any]:
    """A piece of a tool call."""
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


@pytest.mark.parametrize(
    ("events", "json", "outcome"),
    [
        pytest.param([chunk(content="hi"), chunk("stop")], False, "answered", id="text"),
        pytest.param([chunk(role="assistant"), chunk("stop")], False, "empty", id="nothing"),
        pytest.param([chunk(reasoning_content="hm"), chunk("length")], False, "empty", id="thought, said nothing"),
        pytest.param([chunk(content="The"), chunk("content_filter")], False, "filtered", id="broken off by a filter"),
        pytest.param([chunk(content="The"), chunk("length")], False, "truncated", id="cut short"),
        pytest.param([chunk(**call('{"a"')), chunk(**call(": 1}")), chunk("tool_calls")], False, "answered", id="call"),
        pytest.param([chunk(**call('{"a"')), chunk("tool_calls")], False, "invalid", id="arguments that don't parse"),
        pytest.param([chunk(content='{"a"'), chunk("stop", content=": 1}")], True, "answered", id="JSON as asked"),
        pytest.param([chunk(content="Sure"), chunk("stop")], True, "invalid", id="no JSON though asked"),
    ],
)
def test_what_became_of_a_streamed_answer(*, events: list[bytes], json: bool, outcome: str) -> None:
    """The same as of a whole one."""
    reader = ChatStream(asked=Asked(json=json))
    reader.feed(b"".join(events))
    assert (reader.finished, reader.outcome()) == (True, outcome)


def test_a_long_event_in_many_pieces_comes_through() -> None:
    """A picture in an answer is one event of megabytes."""
    reader = ChatStream(asked=Asked())
    event = chunk(content="x" * 3_000_000)
    passed = b"".join(reader.feed(event[start : start + 10_000]) for start in range(0, len(event), 10_000))
    assert passed == event
