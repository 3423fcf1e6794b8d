"""Answers that repeat: loops within one, and one for many questions."""

import gzip
import json
from pathlib import Path

import pytest

from softlaunch.gateway.checks.repetition import SameOutputs, loops
from softlaunch.gateway.checks.said import Listener, Said

PROSE = (
    "Your parcel left our warehouse on Monday. It should arrive within three days, and you can follow it at the link "
    "in our message. If it has not come by Friday, write to us again. "
)
SENTENCE = "Please let me know if there is anything else. "


def said(text: str, piece: int = 0) -> Said:
    """A text that comes whole, or in pieces of a stream."""
    if not piece:
        return Said.whole(text)
    listener = Listener()
    for start in range(0, len(text), piece):
        listener.hear(text[start : start + piece])
    return listener.said()


@pytest.mark.parametrize("piece", [0, 1, 7, 300, 5000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(PROSE, False, id="prose"),
        pytest.param(PROSE + SENTENCE * 30, True, id="a sentence without end"),
        pytest.param((PROSE + SENTENCE * 300)[:9999], True, id="cut in the midst of it"),
        pytest.param(PROSE + "!" * 800, True, id="one sign"),
        pytest.param(PROSE + SENTENCE * 2, False, id="said twice"),
        pytest.param("\n".join([SENTENCE * 1] * 12) + "\n" + PROSE * 2, True, id="lines that return, before an end"),
        pytest.param(
            "\n".join(f"| {n} | parcel number {n * 7919} | {n * n} |" for n in range(80)), False, id="a table"
        ),
        pytest.param("ha " * 20, False, id="a short laugh"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_loops(text: str, piece: int, expected: bool) -> None:  # noqa: FBT001  (as the table has it)
    """Of whole answers and of streams, however their pieces fall."""
    heard = said(text, piece)
    assert heard.size == len(text)
    assert loops(heard.beginning, heard.ending) == expected


def test_a_stream_keeps_a_bounded_part_of_its_text() -> None:
    """A beginning and an end, however long it is."""
    heard = said("".join(f"{number} " for number in range(100_000)), 9)
    assert len(heard.beginning) <= 4096
    assert (len(heard.ending), heard.ending[-7:]) == (1024, " 99999 ")


def output(text: str) -> tuple[str, str, int]:
    """As the checks give it."""
    return text, text[-1024:], len(text)


def test_one_output_for_many_different_questions_repeats() -> None:
    """From the fourth question on."""
    same = SameOutputs()
    assert [same.take("a", "v", output(PROSE), f"question {number}") for number in range(6)] == [False] * 3 + [True] * 3


def test_the_same_question_may_get_the_same_answer() -> None:
    """However often it is asked, and between others."""
    same = SameOutputs()
    assert not any(same.take("a", "v", output(PROSE), "hours?") for _ in range(50))
    assert not any(same.take("a", "v", output(PROSE + str(n)), f"q{n}") for n in range(50))


def test_labels_may_be_alike() -> None:
    """An app that sorts its questions has few answers."""
    same = SameOutputs()
    assert not any(same.take("a", "v", output("billing"), f"q{number}") for number in range(50))


def test_variants_and_apps_are_apart_and_the_past_is_forgotten() -> None:
    """An output is compared with the last 256 of its own variant."""
    same = SameOutputs()
    for number in range(3):
        same.take("a", "v", output(PROSE), f"q{number}")
    assert not same.take("a", "other", output(PROSE), "q9")
    assert not same.take("b", "v", output(PROSE), "q9")
    for number in range(256):
        same.take("a", "v", output(PROSE + str(number)), f"q{number}")
    assert not same.take("a", "v", output(PROSE), "q9")


@pytest.mark.realdata
def test_recorded_answers_do_not_loop(realdata: Path) -> None:
    """Of 1,610 answers of AlpacaEval two at most: songs and programs repeat lines, too."""
    with gzip.open(realdata / "alpacaeval" / "gpt-3.5-turbo-0301.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [row[key] for row in rows for key in ("output", "reference_output")]
    assert sum(loops(text[:4096], text[-1024:]) for text in texts) <= 2
