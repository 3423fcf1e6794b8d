"""Reading golden sets from files: JSON lines, one case a line, or YAML with a list of cases.

The header is the value under `suite`: in YAML beside `cases`, in JSON lines alone on the first line.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from softlaunch.core.documents import (
    LONGEST_GOLDEN_SET,
    LONGEST_YAML,
    Document,
    DocumentError,
    Keys,
    decode,
    failure,
    parse,
    parse_json,
)
from softlaunch.core.documents import read_bytes as read_document
from softlaunch.core.documents.check import UNFORESEEN, check, unforeseen
from softlaunch.core.documents.files import decode_as_written
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.visible import one_line
from softlaunch.evals.suites.case import CASE_PROBLEM, Case
from softlaunch.evals.suites.golden_set import Suite, SuiteHeader

__all__ = ["Case", "Suite", "SuiteError", "SuiteHeader", "load_suite"]

HEADER = "suite"
YAML_ENDINGS = frozenset({".yaml", ".yml"})
_SHOWN_PROBLEMS = 20
_SHOWN_CHARACTERS = 80
_MEMBERS_OF_UNIONS = frozenset({"str", "constrained-str", "float", "constrained-float"})
_KEYS = "id, question, expected"


class SuiteError(SoftlaunchError):
    """A golden set that can't be used; the message names file, line, key, value and what was expected."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One mistake in a case: its line (or row), the key, the value found, and what was expected."""

    line: int
    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"line {self.line}: " + ": ".join(part for part in (self.key, self.value) if part) + f": {self.expected}"


class Gathering:
    """Cases as they are read, with everything that is broken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cases: list[Case] = []
        self._lines: dict[str, int] = {}
        self._broken: list[Broken] = []

    def add(self, line: int, content: object) -> None:
        """Check one case that stands on a line."""
        if not isinstance(content, dict):
            self.refuse(Broken(line, "", shown(content), f"expected a JSON object with {_KEYS}"))
            return
        try:
            case = Case.model_validate(content)
        except ValidationError as error:
            named = content.get("id")
            found = (_broken(line, problem) for problem in _once(error.errors()))
            self._broken.extend(_of_case(one, named) if isinstance(named, str) else one for one in found)
            return
        except UNFORESEEN as error:
            self.refuse(Broken(line, "", shown(content), unforeseen(error)))
            return
        if case.id in self._lines:
            expected = f"an id of its own; line {self._lines[case.id]} has this one"
            self.refuse(Broken(line, "id", repr(case.id), expected))
            return
        self._lines[case.id] = line
        self._cases.append(case)

    def refuse(self, broken: Broken) -> None:
        """Note what is broken."""
        self._broken.append(broken)

    def cases(self) -> tuple[Case, ...]:
        """Everything that was added. Raises SuiteError where anything is broken, or where there is nothing."""
        if self._broken:
            raise SuiteError(_message(self._path, self._broken))
        if not self._cases:
            raise SuiteError(f"the golden set {self._path} has no cases; write one JSON object a line, with {_KEYS}")
        return tuple(self._cases)


def load_suite(path: Path) -> Suite:
    """Read a golden set; the file's name decides whether it is YAML or JSON lines. Empty lines are skipped.

    Raises SuiteError naming what is broken in which line (the first twenty problems), or that the file is missing or
    has no cases.
    """
    try:
        return _from_yaml(path) if path.suffix in YAML_ENDINGS else _from_lines(path)
    except DocumentError as error:
        raise SuiteError(str(error)) from error


def read_bytes(path: Path, longest: int = LONGEST_GOLDEN_SET) -> bytes:
    """A file's content, also of one compressed with gzip. Raises SuiteError."""
    try:
        return read_document(path, longest)
    except DocumentError as error:
        raise SuiteError(f"the golden set {error}; check the path, or eval.golden_set") from error


def _from_lines(path: Path) -> Suite:
    gathering, header = Gathering(path), SuiteHeader()
    whole = read_bytes(path)
    decode_as_written(path, whole)  # another encoding is refused as such, with the way to convert it
    for position, (number, line) in enumerate(lines_of(whole)):
        try:
            content = parse_json(line)
        except ValueError as error:
            gathering.refuse(Broken(number, "", shown(line.decode(errors="replace")), f"not valid JSON ({error})"))
            continue
        if position == 0 and isinstance(content, dict) and HEADER in content:
            header = _header(Document(path, content, {(): number}))
        else:
            gathering.add(number, content)
    return Suite.of(gathering.cases(), header)


def _from_yaml(path: Path) -> Suite:
    document = parse(path, decode(path, read_bytes(path, LONGEST_YAML)))
    document = document.as_written(partial(_is_text, document))
    mapping = document.value if isinstance(document.value, dict) else {"cases": document.value}
    if document.problems:
        raise failure(path, document.problems)
    unknown = sorted(mapping.keys() - {HEADER, "cases"})
    if unknown:
        line = document.line((unknown[0],))
        raise SuiteError(f"{path}, line {line}: {unknown[0]}: unknown key; a golden set has {HEADER} and cases")
    header = _header(document) if HEADER in mapping else SuiteHeader()
    gathering = Gathering(path)
    around = ("cases",) if isinstance(document.value, dict) else ()
    cases = mapping.get("cases") or []
    for position, content in enumerate(cases if isinstance(cases, list) else [cases]):
        gathering.add(document.line((*around, position)), content)
    return Suite.of(gathering.cases(), header)


_TEXTS = frozenset({"id", "question", "expected", "reference", "context", "tags"})


def _is_text(document: Document, keys: Keys) -> bool:
    """Whether a value of a case is kept as it stands there; a number that is compared as one is a number.

    A yes or no is refused, because it may be meant as either.
    """
    around = 2 if isinstance(document.value, dict) else 1
    if keys[:1] == (HEADER,) or keys[around : around + 1] not in {(name,) for name in _TEXTS}:
        return False
    value = document.at(keys)
    metrics = document.at((*keys[:around], "metric")), document.at((*keys[:around], "metrics"))
    compared = keys[around] == "expected" and "numeric" in str(metrics) and isinstance(value, int | float)
    return not (isinstance(value, bool) or compared)


def _header(document: Document) -> SuiteHeader:
    lines = {keys[1:]: line for keys, line in document.lines.items() if keys[:1] == (HEADER,)}
    return check(Document(document.path, document.value[HEADER], lines or dict(document.lines)), SuiteHeader)


def lines_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, with their numbers from 1, without a byte-order mark."""
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _once(problems: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The first problem of each key: a union reports one for each of its members."""
    seen = set()
    for problem in problems:
        if problem["loc"][:1] not in seen:
            seen.add(problem["loc"][:1])
            yield problem


def _broken(number: int, problem: ErrorDetails) -> Broken:
    path, value = problem["loc"], problem["input"]
    if problem["type"] == CASE_PROBLEM:
        path = (str(problem["ctx"]["key"]),)
        value = value.get(path[0]) if isinstance(value, dict) else getattr(value, str(path[0]), None)
    key = ".".join(str(part) for part in path if part not in _MEMBERS_OF_UNIONS)
    if problem["type"] == "missing":
        return Broken(number, key, "", "is missing")
    if problem["type"] == "extra_forbidden":
        return Broken(number, key, shown(value), f"unknown key; a case has {', '.join(Case.model_fields)}")
    if key == "expected" and problem["type"] != CASE_PROBLEM:
        return Broken(number, key, shown(value), "expected a text or a number")
    text = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return Broken(number, key, shown(value) if value is not None else "", _with_verb(text))


def _of_case(broken: Broken, case_id: str) -> Broken:
    """With the case's id where a metric of it is wrong: messages about those are long, and people look for the id."""
    if not broken.key.startswith("metric"):
        return broken
    return replace(broken, expected=f"{broken.expected} (case {one_line(case_id[:_SHOWN_CHARACTERS])})")


def _with_verb(text: str) -> str:
    has_verb = text.startswith(("expected", "leave", "is missing", "metric", "there is no", "String", "Tuple"))
    return text if has_verb else f"expected {text}"


def shown(value: object) -> str:
    """A value as messages show it, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _message(path: Path, broken: list[Broken]) -> str:
    count = len({problem.line for problem in broken})
    head = f"the golden set {path} has {count} broken line{'' if count == 1 else 's'}; nothing was run:"
    more = len(broken) - _SHOWN_PROBLEMS
    rows = [f"  {path}, {problem}" for problem in broken[:_SHOWN_PROBLEMS]]
    return "\n".join([head, *rows, *([f"  and {more} more"] if more > 0 else [])])
