"""CSV as people and spreadsheets write it."""

from pathlib import Path

import pytest

from softlaunch.core.documents import DocumentError, delimiter_of, table_rows

_PATH = Path("x.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("q,a\nWhat, then?,9:00\n", "line 2: the row is longer than the header .3 cells, 2", id="too long"),
        pytest.param("q,a\n1,2\n3\n", "line 3: the row is shorter than the header", id="too short"),
        pytest.param("q,a,q\n1,2,3\n", "line 1: column q is there twice", id="a column twice"),
        pytest.param('q,a\n1,"2\n', "line 2: not valid CSV", id="a quote without an end"),
        pytest.param('q,a\n1,2\n3,"4"5\n', "line 3: not valid CSV", id="a quote in the middle"),
    ],
)
def test_a_table_that_is_refused(text: str, said: str) -> None:
    """The line is named: a shifted cell would put an answer where a question belongs."""
    with pytest.raises(DocumentError, match=said):
        list(table_rows(_PATH, text))


def test_rows_are_told_with_the_line_on_which_they_begin() -> None:
    """Also after cells of several lines, and past empty lines, empty cells at the end and unusual separators."""
    text = 'q,a,\n1,"2\n3",\n\n4,5\u20286,,,\n' + "x" * 200_000 + ",7,8\n"
    assert [(line, row["a"]) for line, row in table_rows(_PATH, text)] == [(2, "2\n3"), (5, "5\u20286"), (6, "7")]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        pytest.param("a,b\n1;2,3\n", ",", id="commas"),
        pytest.param("a;b\n1,5;2\n", ";", id="semicolons"),
        pytest.param("a\n", ",", id="one column"),
    ],
)
def test_the_header_says_what_separates(text: str, delimiter: str) -> None:
    """Spreadsheets write semicolons where a comma is the decimal sign."""
    assert delimiter_of(text) == delimiter
