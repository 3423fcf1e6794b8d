"""Other people's texts in Slack's blocks, and in the lines of a log."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from softlaunch.notify.console import ConsoleChat
from softlaunch.notify.interface import NOWHERE
from softlaunch.notify.slack.blocks import code, escape, link


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("<!channel> & <http://x|y>", "&lt;!channel&gt; &amp; &lt;http://x|y&gt;", id="mentions and links"),
        pytest.param("a:x:b.jsonl", "a:\u2060x:b.jsonl", id="an emoji code"),
        pytest.param("at 12:00:30", "at 12:00:30", id="a time"),
        pytest.param("\u202egnp\x1b[2J", "\\u202egnp\\x1b[2J", id="characters that act"),
    ],
)
def test_nothing_in_a_text_is_obeyed(text: str, shown: str) -> None:
    """It is shown."""
    assert escape(text) == shown


def test_code_ends_where_we_end_it() -> None:
    """Not at a backtick or a newline in it."""
    assert code("a`b\n<c>") == "`a\u02cbb\\n&lt;c&gt;`"


def test_links_lead_where_they_say() -> None:
    """An address can't begin another link."""
    assert link("Run", "https://x/a?b=c&d>e|f") == "<https://x/a?b=c&d%3Ee%7Cf|Run>"
    assert link("Report", "/srv/a`b") == "Report: `/srv/a\u02cbb`"


def test_a_line_of_a_log_can_not_look_like_another_message() -> None:
    """What has several lines goes on indented."""
    lines: list[str] = []
    notice = SimpleNamespace(written_at=datetime(2026, 11, 1, 9, tzinfo=UTC), text="late\n[09:01:00] promoted \x1b[2J")
    ConsoleChat(lines.append).post(SimpleNamespace(notice=notice), NOWHERE)  # type: ignore[arg-type]  # as a letter has it
    assert lines == ["[09:00:00] late\n  [09:01:00] promoted \\x1b[2J"]
