"""Tables as people and spreadsheets write them: CSV with a header."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from softlaunch.core.documents.files import named
from softlaunch.core.documents.problems import DocumentError

_LONGEST_CELL = 1 << 30  # the file is bounded already
_SHOWN_CELL = 40


def table_rows(path: Path, text: str, delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by column name, with the line on which it begins; empty lines are skipped.

    Raises DocumentError, naming the line, for a row that has more or fewer cells than the header (empty ones at the
    end don't count), a column that is there twice, and what isn't CSV.
    """
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    begins = 1
    try:
        for cells in reader:
            line, begins = begins, reader.line_num + 1
            if not header:
                header = _header(path, line, cells)
            elif cells:
                yield line, _row(path, line, header, cells)
    except csv.Error as error:
        line = max(begins, reader.line_num)
        raise DocumentError(f"{named(path)}, line {line}: not valid CSV ({error})") from error


def _header(path: Path, line: int, cells: Sequence[str]) -> list[str]:
    seen = set[str]()
    for name in filter(None, cells):
        if name in seen:
            raise DocumentError(f"{named(path)}, line {line}: column {name[:_SHOWN_CELL]} is there twice; keep one")
        seen.add(name)
    return list(cells)


def _row(path: Path, line: int, header: Sequence[str], cells: list[str]) -> dict[str, str]:
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    if beyond:
        raise DocumentError(
            f"{named(path)}, line {line}: the row is longer than the header ({len(cells)} cells, {len(header)} "
            f"columns), beginning with {beyond[0][:_SHOWN_CELL]!r}; put a cell that holds the separator in quotes"
        )
    if len(cells) < len(header):
        raise DocumentError(
            f"{named(path)}, line {line}: the row is shorter than the header ({len(cells)} cells, {len(header)} "
            "columns); a line break in a cell needs quotes around the cell"
        )
    return {name: cell for name, cell in zip(header, cells, strict=False) if name}


def delimiter_of(text: str) -> str:
    """A comma, or the semicolon that spreadsheets write where a comma is the decimal sign."""
    header = text.partition("\n")[0]
    return ";" if ";" in header and "," not in header else ","
