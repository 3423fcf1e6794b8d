"""Pieces of Markdown that all generated pages share."""

import re
from collections.abc import Iterable, Iterator, Sequence

NOTE = "<!-- Generated from the code by docs/generate.py. Run `make docs` to update it; a test compares the two. -->"
"""The first line of each generated page."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table, followed by an empty line."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(cell(text) for text in row)} |"
    yield ""


def cell(text: str) -> str:
    """Text as a cell of a table: on one line, and without bars that would end it."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def code(text: object) -> str:
    """A value as code; nothing where there is none."""
    return f"`{text}`" if str(text) else ""


def one_line(text: str) -> str:
    """The first paragraph of a docstring on one line."""
    return re.sub(r"\s+", " ", text.strip().split("\n\n")[0])


def anchor(heading: str) -> str:
    """The anchor that a forge and the site give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
