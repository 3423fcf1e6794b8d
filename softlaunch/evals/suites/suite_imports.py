"""Golden sets from elsewhere: promptfoo's tests, MT-Bench's questions, AlpacaEval's instructions, and CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from softlaunch.core.documents import DocumentError, decode, delimiter_of, parse_json, table_rows
from softlaunch.core.documents.files import decode_as_written
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.promptfoo import tests_in
from softlaunch.evals.suites.promptfoo_assertions import metrics_of
from softlaunch.evals.suites.suite import Gathering, SuiteError, lines_of, read_bytes

KNOWN_WRONG_REFERENCES = frozenset({104, 105, 109, 111, 113, 114, 120, 122, 124, 125, 126, 128, 130})
"""Questions of MT-Bench whose published GPT-4 reference answer is wrong."""
_RUBRIC_OF_TEN = "rubric:scale=10"


class Source(StrEnum):
    """Where a golden set comes from."""

    PROMPTFOO = "promptfoo"
    MT_BENCH = "mt-bench"
    ALPACA_EVAL = "alpaca-eval"
    CSV = "csv"


_Found = Iterator[tuple[int, dict[str, Any]]]


class Notes:
    """What an import could not take over, in words."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: int, message: str) -> None:
        """Note something about a case."""
        self.lines.append(f"line {line}: {message}")


def import_cases(
    path: Path, source: Source, mapped: Mapping[str, str] | None = None
) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The cases of a file of another tool, and notes on what was left out; `mapped` names columns of a CSV.

    Raises SuiteError for what is broken, with file, line, key and value.
    """
    notes = Notes()
    gathering = Gathering(path)
    try:
        if mapped and source is not Source.CSV:
            raise SuiteError(f"--map names columns of a CSV; {source} has a form of its own")
        for line, content in _READERS[source](path, notes, mapped or {}):
            gathering.add(line, content)
    except DocumentError as error:
        raise SuiteError(str(error)) from error
    return gathering.cases(), tuple(notes.lines)


def _from_csv(path: Path, notes: Notes, mapped: Mapping[str, str]) -> _Found:  # noqa: ARG001  (nothing is left out)
    """A column for each key of a case; `tags` and `metrics` with semicolons, other columns are variables.

    Columns are found by name, whatever its case, or as `mapped` (key to column) says.
    """
    text = decode(path, read_bytes(path))
    keys: dict[str, str] | None = None
    for line, row in table_rows(path, text, delimiter_of(text)):
        keys = _keys(path, list(row), mapped) if keys is None else keys
        case: dict[str, Any] = {}
        variables: dict[str, Any] = {}
        for name, value in row.items():
            if name in keys:
                case.update(_cell(keys[name], value))
            elif name and value:
                variables[name] = value
        case.setdefault("id", _id_of(row))
        yield line, case | ({"variables": variables} if variables else {})


def _keys(path: Path, names: Sequence[str], mapped: Mapping[str, str]) -> dict[str, str]:
    """Which key of a case each column is. Raises SuiteError where none says what is right."""
    for key, column in mapped.items():
        if key not in Case.model_fields or column not in names:
            raise SuiteError(
                f"--map {key}={column}: expected KEY=COLUMN with a key of a case ({', '.join(Case.model_fields)}) "
                f"and a column of {path} ({', '.join(names)})"
            )
    taken = {column: key for key, column in mapped.items()}
    for name in names:
        key = name.strip().casefold() if name else ""
        if key in Case.model_fields and key not in taken.values():
            taken.setdefault(name, key)
    if not {"expected", "metric", "metrics"} & set(taken.values()):
        raise SuiteError(
            f"{path}: no column has the right answer; there are {', '.join(names)}. Name it with --map "
            "expected=COLUMN, or add a column metrics"
        )
    return taken


def _cell(name: str, value: str) -> dict[str, Any]:
    if not value.strip():
        return {}
    if name in {"tags", "metrics"}:
        return {name: [part.strip() for part in value.split(";") if part.strip()]}
    if name in {"messages", "variables", "weight", "tolerance"}:
        try:
            return {name: parse_json(value)}
        except ValueError:
            return {name: value}  # refused with its value when the case is checked
    return {name: value}


def _from_mt_bench(path: Path, notes: Notes, mapped: Mapping[str, str]) -> _Found:  # noqa: ARG001  (see `import_cases`)
    """The first turns of MT-Bench's questions, graded from 1 to 10; `softlaunch benchmark mt-bench` asks both."""
    for line, row in _json_lines(path):
        number, turns = row.get("question_id"), row.get("turns")
        if not isinstance(turns, list) or not turns:
            raise SuiteError(f"{path}, line {line}: turns: {turns!r}: expected a list of questions")
        if isinstance(number, int) and number in KNOWN_WRONG_REFERENCES:
            notes.add(line, f"question {number} is left out: its published reference answer is wrong")
            continue
        found = {"id": f"mt-bench-{number}", "question": turns[0], "metrics": [_RUBRIC_OF_TEN]}
        reference = row.get("reference")
        if isinstance(reference, list) and reference:
            found["reference"] = str(reference[0])
        yield line, found | {"tags": [str(row.get("category", "mt-bench"))]}


def _from_alpaca_eval(path: Path, notes: Notes, mapped: Mapping[str, str]) -> _Found:  # noqa: ARG001
    """Instructions with an output to compare with, as JSON lines or a JSON list."""
    for line, row in _json_lines(path):
        reference = row.get("reference_output", row.get("output"))
        instruction = row.get("instruction")
        yield (
            line,
            {
                "id": f"alpaca-{_id_of({'instruction': instruction})}",
                "question": instruction,
                "metrics": [],
                "tags": [str(row.get("dataset", "alpaca-eval"))],
            }
            | ({"reference": reference} if reference is not None else {}),
        )


def _from_promptfoo(path: Path, notes: Notes, mapped: Mapping[str, str]) -> _Found:  # noqa: ARG001  (see `import_cases`)
    """The tests of a promptfoo configuration; two of one description are distinguished by what they hold."""
    seen = set[str]()
    for line, test in tests_in(path, notes.add):
        variables = test.get("vars") or {}
        for name, value in variables.items():
            if isinstance(value, list) or str(value).startswith("file://"):
                notes.add(line, f"vars.{name} is kept as it stands: lists are not expanded and files not read")
        name = str(test.get("description") or _id_of(test))
        found: dict[str, Any] = {"id": name if name not in seen else f"{name} ({_id_of(test)})"}
        seen.add(name)
        found |= {"metrics": metrics_of(test, partial(notes.add, line))}
        question = variables.get("question") if set(variables) == {"question"} else None
        yield line, found | ({"question": str(question)} if question is not None else {"variables": variables})


_READERS: Mapping[Source, Callable[[Path, Notes, Mapping[str, str]], _Found]] = {
    Source.PROMPTFOO: _from_promptfoo,
    Source.MT_BENCH: _from_mt_bench,
    Source.ALPACA_EVAL: _from_alpaca_eval,
    Source.CSV: _from_csv,
}


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    content = read_bytes(path)
    decode_as_written(path, content)  # another encoding is refused as such, with the way to convert it
    if content.lstrip()[:1] == b"[":
        rows = list(enumerate(_json(path, 1, content), start=1))
    else:
        rows = [(number, _json(path, number, line)) for number, line in lines_of(content)]
    for number, row in rows:
        if not isinstance(row, dict):
            raise SuiteError(f"{path}, line {number}: {row!r}: expected an object")
        yield number, row


def _json(path: Path, line: int, content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError as error:
        raise SuiteError(f"{path}, line {line}: not valid JSON ({error})") from error


def _id_of(content: object) -> str:
    """An id that stays the same as long as the content does."""
    return sha256(orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]
