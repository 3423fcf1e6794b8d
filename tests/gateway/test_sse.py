"""Streams of events as the HTML standard has them, in whatever pieces they arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.gateway.sse import EventSplitter, EventTooLongError, data_of

LINES = ["data: a", "data:b", ": comment", "event: x", "data", "data: ü c"]


@given(
    events=st.lists(st.lists(st.sampled_from(LINES), min_size=1, max_size=3), min_size=1, max_size=4),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=5),
    bom=st.booleans(),
    cuts=st.lists(st.integers(0, 200), max_size=10),
)
def test_events_are_the_same_however_lines_end_and_pieces_are_cut(
    *, events: list[list[str]], ends: list[str], bom: bool, cuts: list[int]
) -> None:
    """Mixed line ends, a byte order mark and any cuts change nothing of what an event says."""
    written = ""
    count = 0
    for event in events:
        for line in [*event, ""]:
            end = ends[count % len(ends)]
            if written.endswith("\r") and end == "\n" and not line:
                end = "\r\n"  # CR and then LF would be one end
            written += line + end
            count += 1
    stream = (b"\xef\xbb\xbf" if bom else b"") + written.encode()
    splitter = EventSplitter(10_000)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found = [event for start, end in pairwise(edges) for event in splitter.feed(stream[start:end])]
    expected = [[line.partition(":")[2].strip() for line in event if line.startswith("data")] for event in events]
    assert [data_of(event) for event in found] == ["\n".join(one).strip().encode() if one else None for one in expected]


def test_events_whose_lines_end_alike_come_as_they_were() -> None:
    """Nothing is rewritten that clients can read."""
    stream = b"event: x\r\ndata: 1\r\n\r\n"
    assert EventSplitter(100).feed(stream + b"data: 2\n\n") == [stream, b"data: 2\n\n"]


def test_a_piece_that_ends_between_cr_and_lf_delays_nothing() -> None:
    """The event is there at once, and the LF that comes later belongs to it."""
    splitter = EventSplitter(100)
    assert [data_of(event) for event in splitter.feed(b"data: 1\r\n\r")] == [b"1"]
    assert [data_of(event) for event in splitter.feed(b"\ndata: 2\r\n\r\n")] == [b"2"]


def test_an_event_without_end_is_refused() -> None:
    """What is held is bounded."""
    splitter = EventSplitter(1000)
    splitter.feed(b"data: " + b"x" * 900)
    with pytest.raises(EventTooLongError, match="1000 bytes"):
        splitter.feed(b"x" * 200)


@given(cut=st.integers(0, 200), end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_whose_lines_end_alike_stay_as_they_are(cut: int, end: bytes) -> None:
    """Wherever their bytes are cut, between a CR and its LF too."""
    events = [end.join([b"event: x", b"data: %d" % number, b"", b""]) for number in range(5)]
    stream = b"".join(events)
    splitter = EventSplitter(1000)
    assert b"".join([*splitter.feed(stream[:cut]), *splitter.feed(stream[cut:]), splitter.close()]) == stream
