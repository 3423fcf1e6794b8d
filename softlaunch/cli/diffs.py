"""Differences of texts on a screen: by colours, or by marks where there are none."""

from collections.abc import Iterable

from softlaunch.catalog.prompt_changes import PartDiff
from softlaunch.cli.output import console, print_text
from softlaunch.core.word_diff import Op, Piece

_STYLES = {Op.SAME: "", Op.REMOVED: "red strike", Op.ADDED: "green"}
_MARKS = {Op.SAME: ("", ""), Op.REMOVED: ("[-", "-]"), Op.ADDED: ("{+", "+}")}


def show_parts(parts: Iterable[PartDiff]) -> None:
    """Print each part under its name."""
    for part in parts:
        print_text(f"\n## {part.part}")
        for piece in part.pieces:
            style = _STYLES[piece.op]
            console.print(_marked(piece), style=style, end="", highlight=False, markup=False, soft_wrap=True)
        print_text("")


def _marked(piece: Piece) -> str:
    before, after = _MARKS[piece.op]
    return piece.text if console.is_terminal and not console.no_color else f"{before}{piece.text}{after}"
