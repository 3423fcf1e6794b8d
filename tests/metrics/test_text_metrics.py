"""What counts as a right answer."""

import pytest

from softlaunch.metrics import Metric, Sample, last_number, parse_metric
from softlaunch.metrics.fences import Strip, stripped


def score(answer: str, expected: str | float | None, spec: str) -> float | None:
    """The score of an answer by the metric of a specification."""
    metric = parse_metric(spec)
    assert isinstance(metric, Metric)
    return metric.score(Sample(answer=answer, expected=expected)).value


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
    assert score(answer, expected, metric) == float(right)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        pytest.param("First 3, then 4, so 12.", 12.0, id="the last one"),
        pytest.param("about 1,234,567.5 USD", 1234567.5, id="thousands commas"),
        pytest.param("one of 1, 2", 2.0, id="a list is no thousands"),
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
    assert score(answer, 3.15, "numeric:tolerance=0.01") == float(right)


def test_numeric_compares_exactly_without_tolerance() -> None:
    """Rounding of decimals isn't an error, a different number is."""
    assert score("0.30000000000000004", 0.3, "numeric") == 1.0
    assert score("0.31", 0.3, "numeric") == 0.0


def test_a_case_may_bring_the_tolerance() -> None:
    """The metric's own goes first, and without any the numbers must be equal."""
    near = Sample(answer="3.1", expected=3, tolerance=0.2)
    assert [parse_metric(spec).score(near).value for spec in ("numeric", "numeric:tolerance=0.01")] == [1.0, 0.0]  # type: ignore[attr-defined]  # both are worked out on the spot


def test_what_to_look_for_can_be_part_of_the_metric() -> None:
    """A parameter goes before what the case expects, so that one case can have several metrics."""
    assert score("yes, and blue", "yes", "contains:expected=blue") == 1.0
    assert score("yes, and blue", "yes", "contains:expected=red") == 0.0
    assert score("yes, and blue", None, "contains:expected=blue") == 1.0


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("contains", None, id="contains nothing"),
        pytest.param("exact", " ", id="exact blank"),
        pytest.param("regex", "(", id="broken pattern"),
        pytest.param("regex", "x*", id="pattern that can't miss"),
        pytest.param("numeric", "many", id="numeric without number"),
    ],
)
def test_without_something_to_compare_with_nothing_is_scored(spec: str, expected: str | None) -> None:
    """It is neither right nor wrong, and surely not right."""
    assert score("anything", expected, spec) is None


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        pytest.param("```python\nx = 1\n```", "x = 1", id="only a block"),
        pytest.param("Here:\n```\na\n```\nand\n  ```js\nb\n  ```\nDone.", "a\nb", id="two blocks in prose"),
        pytest.param("x = 1", "x = 1", id="no fence"),
        pytest.param("```python\nx = 1", "```python\nx = 1", id="a fence that never closes"),
    ],
)
def test_fences_are_stripped(answer: str, read: str) -> None:
    """What stands between fences is what counts, where there is any."""
    assert stripped(answer, Strip.FENCES) == read
    assert stripped(answer, Strip.NONE) == answer
    assert score(answer, read, "exact:strip=fences") == 1.0
