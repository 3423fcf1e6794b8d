"""Characters that act, shown as escapes."""

import pytest

from softlaunch.core.visible import one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Grüße, 日本 👩‍🔧 a:x:b [red]", "Grüße, 日本 👩‍🔧 a:x:b [red]", id="plain"),
        pytest.param("\x1b]0;pwned\x07\x1b[31m", "\\x1b]0;pwned\\x07\\x1b[31m", id="escape sequences"),
        pytest.param("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00", id="eight-bit sequences, delete, nul"),
        pytest.param("safe\rforged", "safe\\x0dforged", id="carriage return"),
        pytest.param("user\u202egnp.exe\u2066", "user\\u202egnp.exe\\u2066", id="directions"),
        pytest.param("a\u2028b\x85c", "a\\u2028b\\x85c", id="other ends of lines"),
        pytest.param("caf\udce9", "caf\\udce9", id="half a pair"),
        pytest.param("one\r\ntwo\tthree\n", "one\ntwo\tthree\n", id="lines and tabs"),
    ],
)
def test_what_acts_is_shown(text: str, shown: str) -> None:
    """Everything else stays as it is."""
    assert visible(text) == shown


def test_what_belongs_on_one_line_stays_there() -> None:
    """A reason with a newline must not look like another line of the history."""
    assert one_line("late\n2026-11-01 rolled back by anna\t!") == "late\\n2026-11-01 rolled back by anna\\t!"
