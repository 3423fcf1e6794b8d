"""What the command line prints of other people's texts."""

import errno
import io
import json

import pytest
from rich.live import Live
from rich.text import Text

from softlaunch.cli import main, output
from softlaunch.cli.output import PlainConsole, print_json, print_table

EVIL = "a:x:b.jsonl [red]not red[/red] [link=http://x]l[/link] \x1b[2J\x9b1m \u202egnp \x07\r:smile:"
SHOWN = "a:x:b.jsonl [red]not red[/red] [link=http://x]l[/link] \\x1b[2J\\x9b1m \\u202egnp \\x07\\x0d:smile:"


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> PlainConsole:
    """One that writes into a text, wide enough."""
    monkeypatch.setenv("COLUMNS", "200")
    one = PlainConsole()
    one.file = io.StringIO()
    return one


def written(console: PlainConsole) -> str:
    """Everything that was printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_sentences_are_printed_as_they_are(console: PlainConsole) -> None:
    """No markup, no emoji codes, no sequence that a terminal obeys."""
    console.print(EVIL, soft_wrap=True)
    console.print(EVIL, style="red", highlight=False, soft_wrap=True)
    assert written(console) == f"{SHOWN}\n{SHOWN}\n"


def test_rich_texts_are_made_visible_too(console: PlainConsole) -> None:
    """Whoever builds one by hand."""
    console.print(Text("\x1b[2Jx\u202e"))
    assert written(console) == "\\x1b[2Jx\\u202e\n"


def test_a_terminal_is_still_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only other people's sequences are escaped, not those that move the cursor of a live table."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    one = PlainConsole()
    one.file = io.StringIO()
    with Live(Text("still \x1b here"), console=one, auto_refresh=False) as live:
        live.refresh()
    assert "\x1b[" in written(one)
    assert "still \\x1b here" in written(one)


def test_tables_show_cells_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell can't look like a row."""
    monkeypatch.setattr(output.console, "width", 200)
    print_table("Title [b] :x:", ("name",), [(EVIL,), ("one\ntwo",), (None,)])
    assert capsys.readouterr().out.splitlines()[2:] == [SHOWN, "one\\ntwo".ljust(len(SHOWN)), "-".ljust(len(SHOWN))]


@pytest.mark.parametrize("text", [EVIL, "caf\udce9\x9b", "\u2028\x85"])
def test_documents_hold_the_same_text_and_nothing_that_acts(
    text: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """JSON has escapes of its own, so that a program reads what was written."""
    print_json({"text": text})
    printed = capfdbinary.readouterr().out
    assert json.loads(printed) == {"text": text}
    assert not {"\x1b", "\x9b", "\x7f", "\u202e", "\u2028", "\x85"} & set(printed.decode())


def test_a_full_disk_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Output that can't be written is no traceback; what else goes wrong stays what it is."""

    def full(_: list[str] | None = None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(main, "build", lambda: full)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "softlaunch: can't write the output: No space left on device\n"
