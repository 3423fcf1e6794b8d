"""Golden sets from elsewhere: promptfoo's tests, MT-Bench's questions, AlpacaEval's instructions, and CSV."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import orjson

from softlaunch.documents import DocumentError, parse, read_text
from softlaunch.evals.case import Case
from softlaunch.evals.suite import Gathering, SuiteError, lines_of, read_bytes

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

    def add(self, line: int, said: str) -> None:
        """Note something about a case."""
        self.lines.append(f"line {line}: {said}")


def import_cases(path: Path, source: Source) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The cases of a file of another tool, and notes on what was left out.

    Raises SuiteError for what is broken, with file, line, key and value.
    """
    notes = Notes()
    gathering = Gathering(path)
    try:
        for line, content in _READERS[source](path, notes):
            gathering.add(line, content)
    except DocumentError as error:
        raise SuiteError(str(error)) from error
    return gathering.cases(), tuple(notes.lines)


def _from_csv(path: Path, notes: Notes) -> _Found:  # noqa: ARG001  (everything is taken over or refused)
    """A column for each key of a case; `tags` and `metrics` with semicolons, other columns are variables."""
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(StringIO(text))
    for row in reader:
        line = reader.line_num
        case: dict[str, Any] = {}
        variables: dict[str, Any] = {}
        for name, value in row.items():
            if name in Case.model_fields:
                case.update(_cell(name, value))
            elif name and value:
                variables[name] = value
        case.setdefault("id", _id_of(row))
        yield line, case | ({"variables": variables} if variables else {})


def _cell(name: str, value: str | None) -> dict[str, Any]:
    if value is None or not value.strip():
        return {}
    if name in {"tags", "metrics"}:
        return {name: [part.strip() for part in value.split(";") if part.strip()]}
    if name in {"messages", "variables", "weight", "tolerance"}:
        try:
            return {name: orjson.loads(value)}
        except orjson.JSONDecodeError:
            return {name: value}  # refused with its value when the case is checked
    return {name: value}


def _from_mt_bench(path: Path, notes: Notes) -> _Found:
    """The first turns of MT-Bench's questions, graded from 1 to 10; `softlaunch benchmark mt-bench` asks both."""
    for line, row in _json_lines(path):
        number, turns = row.get("question_id"), row.get("turns")
        if not isinstance(turns, list) or not turns:
            raise SuiteError(f"{path}, line {line}: turns: {turns!r}: expected a list of questions")
        if number in KNOWN_WRONG_REFERENCES:
            notes.add(line, f"question {number} is left out: its published reference answer is wrong")
            continue
        found = {"id": f"mt-bench-{number}", "question": turns[0], "metrics": [_RUBRIC_OF_TEN]}
        reference = row.get("reference")
        if isinstance(reference, list) and reference:
            found["reference"] = str(reference[0])
        yield line, found | {"tags": [str(row.get("category", "mt-bench"))]}


def _from_alpaca_eval(path: Path, notes: Notes) -> _Found:  # noqa: ARG001  (everything is taken over or refused)
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


def _from_promptfoo(path: Path, notes: Notes) -> _Found:
    """The `tests` of a promptfoo configuration, or a file that is the list of them."""
    document = parse(path, read_text(path))
    listed = document.value.get("tests") if isinstance(document.value, dict) else document.value
    around = ("tests",) if isinstance(document.value, dict) else ()
    if not isinstance(listed, list) or not all(isinstance(test, dict) for test in listed):
        raise SuiteError(f"{path}: tests: expected a list of tests with vars and assert")
    for position, test in enumerate(listed):
        line = document.line((*around, position))
        metrics = [metric for one in test.get("assert") or [] if (metric := _assertion(line, one, notes)) is not None]
        variables = test.get("vars") or {}
        found = {"id": str(test.get("description") or _id_of(test)), "metrics": metrics}
        question = variables.get("question") if set(variables) == {"question"} else None
        yield line, found | ({"question": str(question)} if question is not None else {"variables": variables})


def _assertion(line: int, assertion: object, notes: Notes) -> dict[str, Any] | None:
    """One assertion as a metric; None where there is no such metric, which is noted."""
    told = assertion if isinstance(assertion, dict) else {}
    kind = str(told.get("type", ""))
    if kind not in _ASSERTIONS:
        notes.add(line, f"the assertion {kind or assertion!r} is left out: there is no metric like it")
        return None
    return _ASSERTIONS[kind](told)


def _seconds(milliseconds: object) -> object:
    """A limit as the latency metric has it; what is no number is refused there."""
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else milliseconds


_ASSERTIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "equals": lambda told: {"metric": "exact", "expected": told.get("value")},
    "contains": lambda told: {"metric": "contains", "expected": told.get("value")},
    "icontains": lambda told: {"metric": "contains", "expected": told.get("value")},
    "regex": lambda told: {"metric": "regex", "expected": told.get("value")},
    "starts-with": lambda told: {"metric": "regex", "expected": f"^{re.escape(str(told.get('value')))}"},
    "is-json": lambda told: {"metric": "json_schema", "contract": told.get("value") or {}, "strip": "none"},
    "contains-json": lambda told: {"metric": "json_schema", "contract": told.get("value") or {}},
    "is-refusal": lambda told: {"metric": "refusal", "wanted": True},  # noqa: ARG005  (it has no value)
    "latency": lambda told: {"metric": "latency", "limit": _seconds(told.get("threshold"))},
    "cost": lambda told: {"metric": "cost", "limit_usd": told.get("threshold")},
    "llm-rubric": lambda told: {"metric": "rubric", "criterion": told.get("value")},
}

_READERS: Mapping[Source, Callable[[Path, Notes], _Found]] = {
    Source.PROMPTFOO: _from_promptfoo,
    Source.MT_BENCH: _from_mt_bench,
    Source.ALPACA_EVAL: _from_alpaca_eval,
    Source.CSV: _from_csv,
}


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    content = read_bytes(path)
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
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SuiteError(f"{path}, line {line}: not valid JSON ({error})") from error


def _id_of(content: object) -> str:
    """An id that stays the same as long as the content does."""
    return sha256(orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]
