"""Files of recorded outputs: CSV, JSON lines or a JSON list, also compressed with gzip, as rows of named columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softlaunch.core.documents import LONGEST_RECORDING, DocumentError, delimiter_of, parse_json, read_bytes, table_rows
from softlaunch.core.documents.files import decode_as_written
from softlaunch.core.errors import SoftlaunchError

Row = Mapping[str, Any]
"""One recorded output. Texts of a CSV stay texts; an empty cell is an empty text."""
_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
FILE = "file"
"""The column that says which file a row is from, where there are several."""


class RecordingError(SoftlaunchError):
    """A file of recorded outputs that can't be used; the message names file, line or column and what was expected."""


def read_files(paths: Sequence[Path]) -> list[Row]:
    """All rows of some files; of several, with the file's name, less its ending, as a column. Raises RecordingError."""
    if len(paths) == 1:
        return read_rows(paths[0])
    return [{FILE: _stem(path), **row} for path in paths for row in read_rows(path)]


def _stem(path: Path) -> str:
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return name.removesuffix(Path(name).suffix)


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, in its order. Raises RecordingError."""
    kind = _kind(path)
    readers = {"csv": _csv, "tsv": _csv, "jsonl": _json_lines, "json": _json}
    try:
        rows = list(readers[kind](path, decode_as_written(path, read_bytes(path, LONGEST_RECORDING))))
    except DocumentError as error:
        raise RecordingError(str(error)) from error
    if not rows:
        raise RecordingError(f"{path} has no rows; expected one for each output")
    return rows


def _kind(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    for suffix, kind in _KINDS.items():
        if name.endswith(suffix):
            return kind
    raise RecordingError(f"{path}: expected a file whose name ends in {', '.join(_KINDS)}, with or without .gz")


def _csv(path: Path, text: str) -> Iterator[Row]:
    delimiter = "\t" if _kind(path) == "tsv" else delimiter_of(text)
    return (row for _, row in table_rows(path, text, delimiter))


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = _value(line)
            except ValueError as error:
                raise RecordingError(f"{path}, line {number}: not valid JSON ({error})") from error
            yield _object(value, f"{path}, line {number}")


def _value(text: str) -> Any:
    """A JSON value; NaN, which many programs write although JSON doesn't have it, is taken for what it means."""
    return parse_json(text, lenient=True)


def _json(path: Path, text: str) -> Iterable[Row]:
    """A list of objects; a file of JSON lines under this name is read as such."""
    try:
        content = _value(text)
    except ValueError as error:
        if not text.lstrip().startswith("{"):
            raise RecordingError(f"{path}: not valid JSON ({error})") from error
        return _json_lines(path, text)
    if not isinstance(content, list):
        return [_object(content, str(path))]
    return [_object(value, f"{path}, entry {number}") for number, value in enumerate(content, start=1)]


def _object(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise RecordingError(f"{where}: expected a JSON object with a column for each key, not {str(value)[:60]!r}")
    return value
