"""Reading providers' answers, whole and streamed, in whatever pieces they arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import stream_events

from softlaunch.gateway.answers import Facts, MalformedAnswerError, StreamReader, read_completion, text_of
from softlaunch.usage import Usage

EVENTS = list(stream_events({"model": "m", "stream_options": {"include_usage": True}}))
STREAM = b"".join(EVENTS)
WITHOUT_USAGE = b"".join(event for event in EVENTS if b'"usage"' not in event)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12), crlf=st.booleans())
def test_a_stream_is_read_alike_however_it_is_cut(*, cuts: list[int], crlf: bool) -> None:
    """Pieces of any size give the same events, the same facts and the same text."""
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    reader = StreamReader(usage_wanted=False, keep_text=True)
    edges = [0, *sorted(cuts), len(stream)]
    passed = b"".join(reader.feed(stream[start:end]) for start, end in pairwise(edges))
    passed += reader.close()
    assert passed.replace(b"\r\n", b"\n") == WITHOUT_USAGE
    assert reader.whole
    assert reader.facts == Facts("m-resolved", None, Usage(100, 10))
    assert "".join(reader.texts) == "I am m."


def test_usage_is_passed_on_to_those_who_asked() -> None:
    """The last chunk, with usage and without choices, is left out only where the client didn't ask for it."""
    assert StreamReader(usage_wanted=True).feed(STREAM) == STREAM


def test_the_first_token_is_not_the_role() -> None:
    """The opening chunk only says who speaks."""
    reader = StreamReader(usage_wanted=False)
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
        pytest.param(b"data: [DONE]\n\n", False, id="closed without an answer"),
        pytest.param(b"", False, id="nothing at all"),
        pytest.param(STREAM[:-14] + b'data: {"error": {"message": "x"}}\n\n', False, id="an error event"),
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
    """A stream without an end is no answer, whatever closing marks it has."""
    reader = StreamReader(usage_wanted=True)
    reader.feed(stream)
    reader.close()
    assert reader.whole is whole


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b"<html>\n\n", id="a web page"),
        pytest.param(b'data: {"error": {"message": "x"}}\n\n', id="an error at once"),
        pytest.param(b"data: {broken\n\n", id="no JSON"),
        pytest.param(b"data: 7\n\n", id="no object"),
        pytest.param(b'data: {"choices": "x"}\n\n', id="choices that are no list"),
        pytest.param(b'data: {"choices": ["x"]}\n\n', id="a choice that is no object"),
        pytest.param(b"x" * (4 * 1024 * 1024 + 1), id="an event without end"),
    ],
)
def test_a_broken_event_is_malformed(event: bytes) -> None:
    """What no client could read isn't passed on."""
    with pytest.raises(MalformedAnswerError):
        StreamReader(usage_wanted=True).feed(event)


def test_what_was_good_before_a_broken_event_is_passed_on() -> None:
    """Also where a busy network brings both in one piece; what stands behind the broken event is not."""
    reader = StreamReader(usage_wanted=True)
    reader.feed(EVENTS[0])
    reader.check()
    assert reader.feed(EVENTS[1] + b"data: {broken\n\n" + EVENTS[2]) == EVENTS[1]
    with pytest.raises(MalformedAnswerError, match="no JSON"):
        reader.check()


def test_signs_of_life_before_the_first_chunk_are_kept_back() -> None:
    """As long as nothing was passed on, stable can still answer instead."""
    reader = StreamReader(usage_wanted=True)
    assert reader.feed(b": alive\n\n") == b""
    assert reader.feed(EVENTS[0] + b": alive\n\n") == EVENTS[0] + b": alive\n\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": {}}'])
def test_a_body_without_choices_is_malformed(body: bytes) -> None:
    """A 200 that holds no answer is a failure of the provider."""
    with pytest.raises(MalformedAnswerError):
        read_completion(body, Facts())


def test_figures_that_no_database_could_hold_are_left_out() -> None:
    """A provider's nonsense in usage or names can't break the log."""
    facts = Facts()
    facts.note({"model": "m\x00" * 300, "usage": {"prompt_tokens": 2**80, "completion_tokens": -1}})
    assert facts == Facts(resolved_model=("m\x00" * 100).replace("\x00", ""))


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


def test_an_event_is_bounded() -> None:
    """A provider that never ends an event can't fill the memory, and the settings say how much is too much."""
    reader = StreamReader(usage_wanted=False, longest_event=50)
    with pytest.raises(MalformedAnswerError, match="more than 50 bytes"):
        reader.feed(b"data: " + b"x" * 60)
