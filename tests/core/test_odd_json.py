"""JSON that the standard allows and strict readers and writers refuse."""

import orjson
import pytest

from softlaunch.core.odd_json import read_json, written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(rb'"\ud83d"', "\ufffd", id="half an emoji"),
        pytest.param(rb'"\ude00\ud83d"', "\ufffd\ufffd", id="the halves the wrong way round"),
        pytest.param(rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600", id="a half before a whole one"),
        pytest.param(b"\xef\xbb\xbf" + rb'"\ud83d"', "\ufffd", id="behind a byte order mark"),
        pytest.param(rb'"\ud83d \\ud83d"', "\ufffd \\ud83d", id="and a backslash that is one"),
    ],
)
def test_halves_of_characters_are_read(text: bytes, value: str) -> None:
    """Each half stands for a character that nobody knows."""
    assert read_json(text) == value


@pytest.mark.parametrize("text", [b"{", b"NaN", rb'{"a": "\ud83d"', b""])
def test_what_is_no_json(text: bytes) -> None:
    """It stays no JSON."""
    with pytest.raises(orjson.JSONDecodeError):
        read_json(text)


@pytest.mark.parametrize("value", [{"a": "\ud83d"}, {"a": 2**70}, [[]] * 3, "\U0001f600"])
def test_whatever_was_read_can_be_written(value: object) -> None:
    """It is written, and can be read."""
    read_json(written(value))
