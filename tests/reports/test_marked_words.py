"""Two texts with the words marked in which they differ."""

import re

import pytest

from softlaunch.reports.html import mark_words


@pytest.mark.parametrize(
    ("first", "second", "left", "right"),
    [
        pytest.param("a b c", "a b c", "a b c", "a b c", id="the same"),
        pytest.param("a b c", "a d c", "a <del>b</del> c", "a <ins>d</ins> c", id="another word"),
        pytest.param("", "new", "", "<ins>new</ins>", id="nothing before"),
        pytest.param("42.5", "42.6", "42.<del>5</del>", "42.<ins>6</ins>", id="numbers"),
        pytest.param("<b>", "<i>", "&lt;<del>b</del>&gt;", "&lt;<ins>i</ins>&gt;", id="markup stays text"),
    ],
)
def test_marks(first: str, second: str, left: str, right: str) -> None:
    """Only what one side alone has is marked, and everything is escaped."""
    assert mark_words(first, second) == (left, right)


def test_without_the_marks_both_texts_are_whole() -> None:
    """No word is lost or moved."""
    first, second = "one two  three\nfour", "two three five\nsix four!"
    shown = [re.sub("</?(del|ins)>", "", text) for text in mark_words(first, second)]
    assert shown == [first, second]


def test_very_long_texts_are_left_unmarked() -> None:
    """A page must come up in a moment, and nobody reads so long a difference."""
    long = "word " * 3000
    assert mark_words(long, long + "more") == (long, long + "more")
