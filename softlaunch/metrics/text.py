"""Metrics that read the answer's text: exact, contains, regex and numeric."""

from abc import abstractmethod
from typing import ClassVar, Self

from pydantic import Field, model_validator

from softlaunch.metrics.fences import Strip, stripped
from softlaunch.metrics.folding import normalise
from softlaunch.metrics.interface import Metric, Sample, Score
from softlaunch.metrics.numbers import AUTO, Locale, is_number, readings
from softlaunch.metrics.patterns import found_in, pattern_objection

_ROUNDING = 1e-9
_LONGEST_SHOWN = 80


class TextMetric(Metric):
    """Shared by metrics that compare the answer's text with what is expected."""

    expected: str | float | None = None
    """What to look for, instead of what the case expects."""
    strip: Strip = Strip.NONE
    """fences: read only the content of ``` fences, if an answer has any."""

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        """What a policy or an option expects is objected to as soon as what a case does."""
        objection = None if self.expected is None else self._objection(self.expected)
        if objection:
            raise ValueError(f"expected {objection}, not {_short(repr(self.expected))}")
        return self

    def objection(self, expected: str | float | None) -> str | None:
        """The parameter goes before the case."""
        return self._objection(expected if self.expected is None else self.expected)

    def score(self, sample: Sample) -> Score:
        """1 where the answer is right, 0 where it is wrong."""
        expected = sample.expected if self.expected is None else self.expected
        objection = self._objection(expected)
        if expected is None or objection:
            return Score(None, f"nothing to compare with: expected {objection}")
        return self._judged(stripped(sample.answer, self.strip), expected, sample)

    @abstractmethod
    def _objection(self, expected: str | float | None) -> str | None:
        """What this metric wants to be expected instead, or None."""

    @abstractmethod
    def _judged(self, answer: str, expected: str | float, sample: Sample) -> Score:
        """Whether an answer is what was expected."""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


class _Words(TextMetric):
    """Shared by the metrics that compare normalised text."""

    case: bool = False
    """true: the comparison is case-sensitive."""

    def _objection(self, expected: str | float | None) -> str | None:
        """Only a text with at least one visible character says anything."""
        return None if isinstance(expected, str) and normalise(expected) else "a text that is not empty"


class Exact(_Words):
    """The whole answer is the expected text, ignoring case, whitespace, quotes, dashes and Unicode normal forms."""

    name: ClassVar = "exact"
    instant: ClassVar = True

    def _judged(self, answer: str, expected: str | float, sample: Sample) -> Score:  # noqa: ARG002
        return Score(float(normalise(answer, case=self.case) == normalise(str(expected), case=self.case)))


class Contains(_Words):
    """The expected text occurs in the answer, ignoring what `exact` ignores. Parts of words count: `no` is in `not`."""

    name: ClassVar = "contains"
    instant: ClassVar = True

    def _judged(self, answer: str, expected: str | float, sample: Sample) -> Score:  # noqa: ARG002
        return Score(float(normalise(str(expected), case=self.case) in normalise(answer, case=self.case)))


class Regex(TextMetric):
    """The pattern, in Python's syntax, matches somewhere in the answer; `(?i)` at the start ignores case.

    A pattern sees the answer as it is, unlike in exact and contains. So it can require a dash, a quote or a space of
    one kind; `[’']` matches either.
    """

    name: ClassVar = "regex"

    def _objection(self, expected: str | float | None) -> str | None:
        """A pattern must compile and must be able to miss."""
        if not isinstance(expected, str) or not expected:
            return "a regular expression that is not empty"
        return pattern_objection(expected)

    def _judged(self, answer: str, expected: str | float, sample: Sample) -> Score:  # noqa: ARG002
        return Score(float(found_in(str(expected), answer)))


class Numeric(TextMetric):
    """The last number of the answer is within a tolerance of the expected one; an answer without a number is wrong.

    Numbers are read as people write them: 1,234.56 and 1.234,56, 12 500, 1'234.50, 1,00,000. An ambiguous one, such as
    1.234, is read as in English; if only its other reading would be right, the answer is unscored.
    """

    name: ClassVar = "numeric"
    instant: ClassVar = True
    tolerance: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The largest difference that still counts as right, in the number's own unit. Left out: the case's tolerance, or
    0.
    """
    locale: Locale = AUTO
    """How numbers are written in answers: en, de, fr, de-CH, en-IN and others; auto: by the form of each number."""

    def _objection(self, expected: str | float | None) -> str | None:
        """A JSON number, or a text that is one."""
        return None if self._wanted(expected) is not None else "a number"

    def _wanted(self, expected: str | float | None) -> float | None:
        """What is expected: a number as files have it or, in a text, as the locale has it."""
        if isinstance(expected, int | float):
            return float(expected)
        text = str(expected).strip()
        locale = self.locale if is_number(text, self.locale) else AUTO
        return readings(text, locale)[0] if is_number(text, locale) else None

    def _judged(self, answer: str, expected: str | float, sample: Sample) -> Score:
        found, wanted = readings(answer, self.locale), self._wanted(expected)
        if not found or wanted is None:
            return Score(0.0, "the answer has no number")
        tolerance = sample.tolerance if self.tolerance is None else self.tolerance
        near = [abs(one - wanted) <= tolerance + _ROUNDING * max(1.0, abs(wanted)) for one in found]
        if near[0] or not any(near):
            return Score(float(near[0]))
        meanings = " or ".join(f"{one:.15g}" for one in found)
        return Score(None, f"the answer's number can mean {meanings}; say how numbers are written, as in locale=de")
