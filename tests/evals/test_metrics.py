"""What counts as a right answer."""

import pytest

from softlaunch.errors import SoftlaunchError
from softlaunch.evals.metrics import METRICS, Contains, Expectation, last_number, score
from softlaunch.evals.suite import Case


def case(expected: str | float, metric: str, tolerance: float = 0.0) -> Case:
    """A case that expects this of an answer."""
    return Case.model_validate(
        {"id": "a", "question": "?", "expected": expected, "metric": metric, "tolerance": tolerance}
    )


@pytest.mark.parametrize(
    ("answer", "expected", "metric", "right"),
    [
        pytest.param("  YES\n", "yes", "exact", True, id="exact up to case and whitespace"),
        pytest.param("yes.", "yes", "exact", False, id="exact with a full stop"),
        pytest.param("It is New\n  York.", "new york", "contains", True, id="contains across a line break"),
        pytest.param("STRASSE", "straße", "contains", True, id="contains folds case fully"),
        pytest.param("It is Boston.", "new york", "contains", False, id="contains something else"),
        pytest.param("I do not know", "no", "contains", True, id="contains knows no words"),
        pytest.param("the answer: [Yes]", r"\[(?i:yes)\]", "regex", True, id="regex found inside"),
        pytest.param("YES", "yes", "regex", False, id="regex minds case"),
        pytest.param("", "yes", "contains", False, id="an empty answer is wrong"),
    ],
)
def test_text_metrics(answer: str, expected: str, metric: str, right: bool) -> None:  # noqa: FBT001
    """Text is compared as people would."""
    assert score(answer, case(expected, metric)) == float(right)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        pytest.param("First 3, then 4, so 12.", 12.0, id="the last one"),
        pytest.param("about 1,234,567.5 USD", 1234567.5, id="thousands commas"),
        pytest.param("one of 1,2", 2.0, id="a list is no thousands"),
        pytest.param("it is -5", -5.0, id="minus"),
        pytest.param("it is \u22125", -5.0, id="typographic minus"),
        pytest.param("between 3-4", 4.0, id="a dash between numbers"),
        pytest.param("gpt-4", 4.0, id="a dash in a name"),
        pytest.param("6.02e23", 6.02e23, id="exponent"),
        pytest.param(".5", 0.5, id="no leading zero"),
        pytest.param("85%", 85.0, id="percent"),
        pytest.param("none", None, id="no number"),
    ],
)
def test_last_number(answer: str, number: float | None) -> None:
    """The number that an answer ends on is read as it was meant."""
    assert last_number(answer) == number


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        pytest.param("3.14", True, id="within"),
        pytest.param("3.16", True, id="at the edge"),
        pytest.param("3.17", False, id="beyond"),
        pytest.param("three", False, id="no number at all"),
    ],
)
def test_numeric_tolerance_is_absolute(answer: str, right: bool) -> None:  # noqa: FBT001
    """As far off as the tolerance still counts as right."""
    assert score(answer, case(3.15, "numeric", 0.01)) == float(right)


def test_numeric_compares_exactly_without_tolerance() -> None:
    """Rounding of decimals isn't an error, a different number is."""
    assert score("0.30000000000000004", case(0.3, "numeric")) == 1.0
    assert score("0.31", case(0.3, "numeric")) == 0.0


def test_a_score_outside_its_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that gives nonsense must not be averaged."""

    class Generous(Contains):
        def score(self, answer: str, case: Expectation) -> float:
            return float("nan")

    monkeypatch.setattr("softlaunch.evals.metrics.METRICS", {**METRICS, "contains": Generous()})
    with pytest.raises(SoftlaunchError, match="metric contains gave nan"):
        score("x", case("x", "contains"))
