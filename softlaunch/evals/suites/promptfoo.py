"""Promptfoo's tests: those of a configuration, of a file that is the list of them, or of its CSV."""

from collections.abc import Callable, Iterator
from pathlib import Path

from softlaunch.core.documents import LONGEST_GOLDEN_SET, LONGEST_YAML, Keys, failure, parse, read_text, table_rows
from softlaunch.evals.suites.promptfoo_assertions import Test, shown, written_assertion
from softlaunch.evals.suites.suite import SuiteError

NoteAt = Callable[[int, str], None]
_TAKEN = frozenset({"description", "vars", "assert"})
_NOT_TESTS = frozenset({"prompts", "providers", "targets", "description", "tests", "defaultTest", "outputPath"})
"""Keys of a configuration that say nothing of what a right answer is, or that are read."""


def tests_in(path: Path, note: NoteAt) -> Iterator[tuple[int, Test]]:
    """Each test with its line, what `defaultTest` says of all of them included; what is not taken over is noted.

    Raises SuiteError.
    """
    if path.suffix.lower() == ".csv":
        yield from _rows(path, note)
        return
    document = parse(path, read_text(path, LONGEST_YAML))
    if document.problems:
        raise failure(path, document.problems)
    document = document.as_written(_is_text)
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
    for key in config.keys() - _NOT_TESTS if around else ():
        note(document.line((key,)), f"{key} is not taken over")
    if isinstance(default, str):
        note(document.line(("defaultTest",)), f"defaultTest: {shown(default)} is not read")
    for position, test in enumerate(listed):
        line = document.line((*around, position))
        _check_form(path, line, test)
        whole = _with_defaults(test, default)
        _note_losses(line, whole, note)
        yield line, whole


def _is_text(keys: Keys) -> bool:
    """Whether a value is kept as it stands there: of a variable, or of an assertion. Promptfoo reads yes as a text."""
    return "vars" in keys or "value" in keys


def _note_losses(line: int, test: Test, note: NoteAt) -> None:
    """Say what of a test itself is not taken over."""
    options = test.get("options")
    for key, value in (options if isinstance(options, dict) else {}).items():
        if key not in {"disableDefaultAsserts", "transform"} or (key == "transform" and not test.get("assert")):
            note(line, f"options.{key} {shown(value)} is not taken over")
    if test.get("threshold") is not None:
        note(line, f"threshold {shown(test['threshold'])} is not taken over: a case's score is the mean of its metrics")
    for key in test.keys() - _TAKEN - {"options", "threshold"}:
        note(line, f"{key} {shown(test[key])} is not taken over")


def _check_form(path: Path, line: int, test: Test) -> None:
    for key, kind, wanted in (("vars", dict, "a mapping of names to values"), ("assert", list, "a list of assertions")):
        found = test.get(key)
        if found is not None and not isinstance(found, kind):
            raise SuiteError(f"{path}, line {line}: {key}: found {str(found)[:60]!r}, expected {wanted}")


def _with_defaults(test: Test, default: object) -> Test:
    if not isinstance(default, dict):
        return test
    options = {**(default.get("options") or {}), **(test.get("options") or {})}
    alike = [] if options.get("disableDefaultAsserts") else default.get("assert") or []
    return {
        **default,
        **test,
        "vars": {**(default.get("vars") or {}), **(test.get("vars") or {})},
        "assert": [*(test.get("assert") or []), *alike],
        "options": options,
    }


def _rows(path: Path, note: NoteAt) -> Iterator[tuple[int, Test]]:
    """A column for each variable, and `__expected`, `__expected1`, ... for what is asserted: `contains: 30 days`."""
    for line, row in table_rows(path, read_text(path, LONGEST_GOLDEN_SET)):
        filled = {name: value for name, value in row.items() if name and value}
        asserted = [written_assertion(filled[name]) for name in sorted(filled) if name.startswith("__expected")]
        variables = {name: value for name, value in filled.items() if not name.startswith("__")}
        for name in filled.keys() - variables.keys() - {"__description"}:
            if not name.startswith("__expected"):
                note(line, f"{name} {shown(filled[name])} is not taken over")
        yield line, {"description": filled.get("__description"), "vars": variables, "assert": asserted}
