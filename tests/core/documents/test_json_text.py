"""JSON without surprises: what other readers let pass is said."""

from typing import Any

import pytest

from softlaunch.core.documents import parse_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice", id="a key twice"),
        pytest.param("9" * 6000, "found an integer of 6000 digits", id="6,000 digits"),
        pytest.param(str(1 << 64), "expected one that fits into 64 bits", id="65 bits"),
        pytest.param('{"a": NaN}', "found NaN, expected a finite number", id="no number"),
        pytest.param("[-Infinity]", "found -Infinity, expected a finite number", id="no end"),
        pytest.param("1e999", "found 1e999, expected a finite number", id="too large"),
        pytest.param('"\\ud800"', "half of a surrogate pair", id="half a character"),
        pytest.param('{"a": ["\\u0000"]}', "a NUL character", id="a NUL"),
        pytest.param("[" * 65 + "]" * 65, "nested more than 64 deep", id="65 levels"),
        pytest.param("[" * 100_000, "nested more than 64 deep", id="100,000 brackets"),
        pytest.param("{not json", "line 1 column 2", id="no JSON"),
        pytest.param(b'{"a": "\xff"}', "byte 0xff is not UTF-8", id="no UTF-8"),
        pytest.param("", "line 1 column 1", id="nothing"),
    ],
)
def test_json_that_is_refused(text: str | bytes, said: str) -> None:
    """Always by a ValueError, with what was found."""
    with pytest.raises(ValueError, match=said):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"a": [1, -2.5, null, true]}', {"a": [1, -2.5, None, True]}, id="a value"),
        pytest.param("\ufeff[1]".encode(), [1], id="a byte-order mark"),
        pytest.param('"\\ud83d\\ude00 \\u00e9"', "😀 é", id="a surrogate pair"),
        pytest.param(f"[{(1 << 64) - 1}, {-(1 << 63)}]", [(1 << 64) - 1, -(1 << 63)], id="64 bits"),
    ],
)
def test_json_that_is_sound(text: str | bytes, value: Any) -> None:
    """It means what it says."""
    assert parse_json(text) == value


def test_recorded_json_is_taken_as_it_is_meant() -> None:
    """Programs write NaN, and answers of models hold NULs; half a character stays refused."""
    assert parse_json('{"a": Infinity, "b": "\\u0000"}', lenient=True) == {"a": float("inf"), "b": "\0"}
    with pytest.raises(ValueError, match="surrogate"):
        parse_json('"\\udfff"', lenient=True)
