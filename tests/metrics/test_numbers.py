"""Numbers as people write them in different countries."""

import pytest

from softlaunch.metrics import Metric, MetricError, Sample, parse_metric
from softlaunch.metrics.numbers import readings


def score(answer: str, expected: str | float, spec: str = "numeric") -> float | None:
    """The score of an answer by the metric of a specification."""
    metric = parse_metric(spec)
    assert isinstance(metric, Metric)
    return metric.score(Sample(answer=answer, expected=expected)).value


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("Das macht 1.234,56 EUR.", 1234.56, id="German"),
        pytest.param("It comes to $1,234.56.", 1234.56, id="English"),
        pytest.param("Cela fait 12 500 euros.", 12500, id="spaces"),
        pytest.param("1\u202f234\u202f567,5 €", 1234567.5, id="narrow spaces that don't break"),
        pytest.param("Total CHF 1'234.50", 1234.5, id="Swiss"),
        pytest.param("CHF 1’234’567", 1234567, id="Swiss, typographic"),
        pytest.param("Rs 1,00,000", 100000, id="a lakh"),
        pytest.param("Rs 12,34,567.50", 1234567.5, id="lakhs with paise"),
        pytest.param("um 12,5 Grad", 12.5, id="decimal comma"),
        pytest.param("0,500 kg", 0.5, id="no group begins with zero"),
        pytest.param("1234,567", 1234.567, id="no group of four digits"),
        pytest.param("１２３", 123, id="wide digits"),
        pytest.param("Saldo −1.234,50", -1234.5, id="typographic minus"),
    ],
)
def test_unmistakable_numbers_are_read_without_a_locale(answer: str, expected: float) -> None:
    """Their form says what the signs mean."""
    assert score(answer, expected) == 1.0
    assert score(answer, expected + 1) == 0.0


@pytest.mark.parametrize(
    ("answer", "english", "other"),
    [
        pytest.param("1,234", 1234, 1.234, id="a comma before three digits"),
        pytest.param("1.234", 1.234, 1234, id="a point before three digits"),
        pytest.param("rows 12 500", 12500, 500, id="one number or two"),
        pytest.param("3,5", 3.5, 5, id="a decimal or a list"),
    ],
)
def test_a_number_with_two_meanings_is_unscored_where_only_the_other_is_right(
    answer: str, english: float, other: float
) -> None:
    """Neither right nor wrong, and the reason names both meanings and the way out."""
    assert score(answer, english) == 1.0
    assert score(answer, 77) == 0.0
    metric = parse_metric("numeric")
    assert isinstance(metric, Metric)
    found = metric.score(Sample(answer=answer, expected=other))
    assert found.value is None
    assert f"{english:g}" in found.reason
    assert "locale=" in found.reason


@pytest.mark.parametrize(
    ("locale", "answer", "expected"),
    [
        pytest.param("de", "1.234", 1234, id="German thousand"),
        pytest.param("de", "1,234", 1.234, id="German decimals"),
        pytest.param("en", "1,234", 1234, id="English thousand"),
        pytest.param("de-CH", "1'234.5", 1234.5, id="Switzerland has points"),
        pytest.param("es_MX", "1,234.5", 1234.5, id="so has Mexico"),
        pytest.param("en-IN", "1,00,000", 100000, id="India"),
        pytest.param("en", "rows 12 500", 500, id="two numbers in English"),
        pytest.param("fr", "rows 12 500", 12500, id="one number in French"),
        pytest.param("de", "it is 1234.5", 1234.5, id="a form that can only be English"),
    ],
)
def test_a_locale_settles_what_signs_mean(locale: str, answer: str, expected: float) -> None:
    """With a locale a number has one meaning."""
    assert readings(answer, locale) == (expected,)
    assert score(answer, expected, f"numeric:locale={locale}") == 1.0


def test_what_is_expected_is_read_in_the_locale_too() -> None:
    """A number of a file is one; a text is written as people write it."""
    assert score("1234", "1.234", "numeric:locale=de") == 1.0
    assert score("1234", "1,234") == 1.0
    assert score("1.234", 1.234, "numeric:locale=en") == 1.0


def test_an_unknown_locale_is_refused() -> None:
    """Guessing would read numbers wrongly."""
    with pytest.raises(MetricError, match="locale is 'xx', expected auto"):
        parse_metric("numeric:locale=xx")
