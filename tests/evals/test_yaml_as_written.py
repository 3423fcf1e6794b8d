"""What YAML takes for something else than what stands there stays as it was written, in golden sets and imports."""

from pathlib import Path

import pytest

from softlaunch.evals.suites import promptfoo
from softlaunch.evals.suites.suite import SuiteError, load_suite


def expected_in(folder: Path, written: str) -> object:
    """What a golden set expects where this is written."""
    path = folder / "golden.yaml"
    path.write_text(f"cases:\n  - {{id: a, question: q, expected: {written}}}\n")
    return load_suite(path).cases[0].expected


@pytest.mark.parametrize("written", ["1_000", "0x1F", "1.10", "1e3", "2026-03-01"])
def test_a_text_is_expected_as_it_was_written(tmp_path: Path, written: str) -> None:
    """And not as 1000, 31, 1.1 or a date."""
    assert expected_in(tmp_path, written) == written


@pytest.mark.parametrize(("written", "value"), [("1_000", 1000), ("1.10", 1.1), ("0x1F", 31)])
def test_a_number_that_is_compared_as_one_is_a_number(tmp_path: Path, written: str, value: float) -> None:
    """The same golden set has the same digest as before."""
    assert expected_in(tmp_path, f"{written}, metric: numeric") == value


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("01067", "found 01067, which YAML takes for 567"),
        (".inf", "found .inf, expected a finite number"),
        ("~", "expected: is missing"),
        ("yes", "expected: True: expected a text"),
        ("off", "expected: False: expected a text"),
    ],
)
def test_what_can_not_stay_is_said(tmp_path: Path, written: str, said: str) -> None:
    """With the line, as it was written."""
    with pytest.raises(SuiteError, match=said):
        expected_in(tmp_path, written)


def test_other_keys_of_a_case_are_texts_too(tmp_path: Path) -> None:
    """Questions, tags and ids; variables have the types that a template expects."""
    path = tmp_path / "golden.yaml"
    path.write_text(
        "suite: {created: 2026-09-01}\ncases:\n"
        "  - {id: 1.10, question: 1e1, tags: [1.10, 1_0], expected: a, weight: 1.50, variables: {flag: no}}\n"
    )
    suite = load_suite(path)
    case = suite.cases[0]
    assert (case.id, case.question, case.tags, case.weight) == ("1.10", "1e1", ("1.10", "1_0"), 1.5)
    assert case.variables == {"flag": False}
    assert str(suite.header.created) == "2026-09-01"


def test_an_import_keeps_variables_and_values_of_assertions(tmp_path: Path) -> None:
    """Promptfoo's YAML has no octal 010 and no yes; what is a number of its own stays one."""
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(
        "defaultTest: {vars: {shared: on}}\ntests:\n"
        "  - vars: {version: 1.10, flag: yes, day: 2026-03-01, count: 12, nothing: ~}\n"
        "    assert: [{type: contains, value: 0x1F}, {type: contains-any, value: [yes, 1_000]}]\n"
        "    threshold: 0.50\n"
    )
    ((_, test),) = promptfoo.tests_in(path, lambda line, note: None)
    assert test["vars"] == {
        "shared": "on",
        "version": "1.10",
        "flag": "yes",
        "day": "2026-03-01",
        "count": 12,
        "nothing": None,
    }
    assert [one["value"] for one in test["assert"]] == ["0x1F", ["yes", "1_000"]]
    assert test["threshold"] == 0.5
