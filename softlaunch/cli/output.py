"""One way to print: tables and sentences for people, one JSON document for programs.

Whatever is printed passes here, and may hold what other people and models wrote: characters that act (escape sequences,
marks that turn a line's direction) are shown as escapes, and neither `[red]` nor `:x:` means anything.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from softlaunch.core.visible import HIDDEN, one_line, visible

JSON_OPTION = typer.Option(False, "--json", help="Print one JSON document instead of text.")
_HIDDEN = re.compile("[" + "".join(map(re.escape, map(chr, sorted(HIDDEN.keys() - set(range(0xD800, 0xE000)))))) + "]")


class PlainConsole(Console):
    """A console that writes texts as they are: no markup, no emoji codes, no character that acts."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: Any = None,
    ) -> Text:
        """A text made visible, as rich lays it out."""
        return super().render_str(
            visible(text),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=emoji,
            markup=markup,
            highlight=highlight,
            highlighter=highlighter,
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich writes for anything; segments that move the cursor are its own."""
        for segment in super().render(renderable, options):
            shown = segment if segment.control else Segment(visible(segment.text), segment.style)
            yield shown


console = PlainConsole()
errors = PlainConsole(stderr=True)


def print_json(value: Any) -> None:
    """Write one JSON document and a newline to standard output; characters that act are escaped, as JSON has it."""
    try:
        document = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    except TypeError:  # halves of pairs, as names of files may have them
        document = json.dumps(value, indent=2, default=str)
    shown = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}" if found[0] >= " " else found[0], document)
    sys.stdout.buffer.write(shown.encode() + b"\n")
    sys.stdout.buffer.flush()


def print_text(text: str) -> None:
    """Print a text as it is, in one piece: the terminal breaks its lines."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show in a terminal that something is under way which may take some seconds; elsewhere nothing."""
    if not errors.is_terminal:
        yield
        return
    with errors.status(f"{what} …"):
        yield


def print_commands(title: str, commands: Sequence[tuple[str, str]]) -> None:
    """Print commands to paste, one a line, each with what it does: beside it where all of them fit, else above it."""
    width = max(len(command) for command, _ in commands) + 2
    fits = all(len(f"  {command:{width}}{what}") <= console.width for command, what in commands)
    print_text(f"\n{title}:")
    for command, what in commands:
        print_text(f"  {command:{width}}{what}" if fits else f"  # {what}\n  {command}")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; cells are shown as text on one line, None as a dash. No word is cut.

    What is too wide is wrapped between words; where not even the longest words fit, a row is a block of lines.
    """
    cells = [["-" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    narrowest = [_longest_word([name, *(row[place] for row in cells)]) for place, name in enumerate(columns)]
    if cells and sum(narrowest) + len(columns) - 1 > console.width:
        _print_blocks(title, columns, cells)
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column, width in zip(columns, narrowest, strict=True):
        table.add_column(column, overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _longest_word(texts: Iterable[str]) -> int:
    return max((cell_len(word) for text in texts for word in text.split()), default=1)


def _print_blocks(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row as lines of a name and its value, which the terminal breaks."""
    if title:
        print_text(title)
    width = max(map(len, columns)) + 2
    for row in rows:
        for place, (name, text) in enumerate(zip(columns, row, strict=True)):
            print_text(f"{'' if place else '- '}{name:{width if place else width - 2}}{text}".rstrip())
