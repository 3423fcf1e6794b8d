"""Promptfoo's tests as cases: those of a configuration, of a file that is the list of them, or of its CSV."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softlaunch.core.documents import LONGEST_GOLDEN_SET, LONGEST_YAML, failure, parse, read_text, table_rows
from softlaunch.evals.suites.suite import SuiteError

Test = Mapping[str, Any]
Note = Callable[[str], None]
_TYPED = re.compile(r"(?P<type>[a-z][a-z-]*)(?:\((?P<threshold>[\d.]+)\))?:\s*(?P<value>.*)", re.DOTALL)
_ALIASES = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript", "model-graded-closedqa": "llm-rubric"}
_FOREIGN = frozenset({"javascript", "python", "similar", "factuality", "webhook", "levenshtein"})


def tests_in(path: Path) -> Iterator[tuple[int, Test]]:
    """Each test with its line, what `defaultTest` says of all of them included. Raises SuiteError."""
    if path.suffix.lower() == ".csv":
        yield from _rows(path)
        return
    document = parse(path, read_text(path, LONGEST_YAML))
    if document.problems:
        raise failure(path, document.problems)
    config = document.value if isinstance(document.value, dict) else {"tests": document.value}
    around = ("tests",) if isinstance(document.value, dict) else ()
    listed = config.get("tests")
    elsewhere = [one for one in (listed if isinstance(listed, list) else [listed]) if isinstance(one, str)]
    if elsewhere:
        raise SuiteError(
            f"{path}: tests: {elsewhere[0]!r} is another file: add that one, 'softlaunch suite add GOLDEN_SET FILE "
            "--from promptfoo'"
        )
    if not isinstance(listed, list) or not all(isinstance(test, dict) for test in listed):
        raise SuiteError(f"{path}: tests: expected a list of tests with vars and assert")
    default = config.get("defaultTest")
    _check_form(path, document.line(("defaultTest",)), default if isinstance(default, dict) else {})
    for position, test in enumerate(listed):
        line = document.line((*around, position))
        _check_form(path, line, test)
        yield line, _with_defaults(test, default)


def _check_form(path: Path, line: int, test: Test) -> None:
    for key, kind, wanted in (("vars", dict, "a mapping of names to values"), ("assert", list, "a list of assertions")):
        found = test.get(key)
        if found is not None and not isinstance(found, kind):
            raise SuiteError(f"{path}, line {line}: {key}: found {str(found)[:60]!r}, expected {wanted}")


def _with_defaults(test: Test, default: object) -> Test:
    if not isinstance(default, dict):
        return test
    variables = {**(default.get("vars") or {}), **(test.get("vars") or {})}
    return {**test, "vars": variables, "assert": [*(test.get("assert") or []), *(default.get("assert") or [])]}


def _rows(path: Path) -> Iterator[tuple[int, Test]]:
    """A column for each variable, and `__expected`, `__expected1`, ... for what is asserted: `contains: 30 days`."""
    for line, row in table_rows(path, read_text(path, LONGEST_GOLDEN_SET)):
        filled = {name: value for name, value in row.items() if name and value}
        asserted = [_written(filled[name]) for name in sorted(filled) if name.startswith("__expected")]
        variables = {name: value for name, value in filled.items() if not name.startswith("__")}
        yield line, {"description": filled.get("__description"), "vars": variables, "assert": asserted}


def _written(text: str) -> Test:
    """An assertion as a cell has it; a text without a type is equal to the answer."""
    found = _TYPED.fullmatch(text.strip())
    kind = _ALIASES.get(found["type"], found["type"]) if found else ""
    if found is None or not (kind in _FOREIGN or kind.removeprefix("not-") in _METRICS or kind in _SEVERAL):
        return {"type": "equals", "value": text.strip()}
    return {"type": kind, "value": found["value"], "threshold": found["threshold"]}


def metrics_of(test: Test, note: Note) -> list[dict[str, Any]]:
    """A test's assertions as metrics; what there is no metric for is noted and left out."""
    return [metric for one in test.get("assert") or [] for metric in _metrics(one, note)]


def _metrics(assertion: object, note: Note) -> Sequence[dict[str, Any]]:
    fields = assertion if isinstance(assertion, dict) else {}
    kind = _ALIASES.get(str(fields.get("type", "")), str(fields.get("type", "")))
    if kind in _SEVERAL and (texts := _texts(fields.get("value"))):
        return _SEVERAL[kind](texts)
    make = _METRICS.get(kind)
    metric = make(fields) if make else None
    if metric is None:
        why = "its value is no text" if make or kind in _SEVERAL else "there is no metric like it"
        note(f"the assertion {kind or assertion!r} is left out: {why}")
        return ()
    return (metric,)


def _text(value: object) -> str | None:
    """A text, or a number or truth as JSON writes it; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) and str(value) else None


def _texts(value: object) -> list[str]:
    """The texts of a list, or of a CSV's cell, which separates them by commas."""
    listed = value if isinstance(value, list) else str(value or "").split(",")
    return [text.strip() for one in listed if (text := _text(one)) and text.strip()]


def _expecting(name: str) -> Callable[[Test], dict[str, Any] | None]:
    def make(assertion: Test) -> dict[str, Any] | None:
        text = _text(assertion.get("value"))
        return None if text is None else {"metric": name, "expected": text}

    return make


def _matching(pattern: str) -> Callable[[Test], dict[str, Any] | None]:
    """The value, taken literally, in the place of {}."""

    def make(assertion: Test) -> dict[str, Any] | None:
        text = _text(assertion.get("value"))
        return None if text is None else {"metric": "regex", "expected": pattern.replace("{}", re.escape(text))}

    return make


def _limit(name: str, parameter: str, unit: float) -> Callable[[Test], dict[str, Any] | None]:
    def make(assertion: Test) -> dict[str, Any] | None:
        try:
            return {"metric": name, parameter: float(str(assertion.get("threshold"))) * unit}
        except ValueError:
            return {"metric": name, parameter: assertion.get("threshold")}  # refused with its value where it is checked

    return make


_LACKING = r"(?s)\A(?=.)(?!.*{})"  # an empty answer lacks everything, and is none
_METRICS: Mapping[str, Callable[[Test], dict[str, Any] | None]] = {
    "equals": _expecting("exact"),
    "contains": _expecting("contains"),
    "icontains": _expecting("contains"),
    "regex": _expecting("regex"),
    "starts-with": _matching("^{}"),
    "not-contains": _matching(_LACKING),
    "not-icontains": _matching(f"(?i){_LACKING}"),
    "is-json": lambda assertion: {"metric": "json_schema", "contract": assertion.get("value") or {}, "strip": "none"},
    "contains-json": lambda assertion: {"metric": "json_schema", "contract": assertion.get("value") or {}},
    "is-refusal": lambda assertion: {"metric": "refusal", "wanted": True},  # noqa: ARG005  (it has no value)
    "latency": _limit("latency", "limit", 0.001),
    "cost": _limit("cost", "limit_usd", 1.0),
    "llm-rubric": lambda assertion: {"metric": "rubric", "criterion": assertion.get("value")},
}


def _any_of(flags: str) -> Callable[[list[str]], list[dict[str, Any]]]:
    return lambda texts: [{"metric": "regex", "expected": flags + "|".join(map(re.escape, texts))}]


def _all_of(texts: list[str]) -> list[dict[str, Any]]:
    return [{"metric": "contains", "expected": text} for text in texts]


_SEVERAL: Mapping[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "contains-any": _any_of(""),
    "icontains-any": _any_of("(?i)"),
    "contains-all": _all_of,
    "icontains-all": _all_of,
}
