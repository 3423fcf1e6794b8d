"""Metrics that read the answer's text: exact, contains, regex and numeric."""

import re
from abc import abstractmethod
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import Field, model_validator

from softlaunch.metrics.interface import Metric, Sample, Score
from softlaunch.metrics.patterns import found_in, pattern_objection

_NUMBER = re.compile(
    r"""
    (?:(?<![\w.])[-+\u2212])?                  # a sign; in "3-4" and "gpt-4" the dash is none
    (?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))  # 1,000,000 or 1000000, or .5
    (?:\.\d+)?
    (?:[eE][-+]?\d+)?
    """,
    re.VERBOSE,
)
_FENCED = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_ROUNDING = 1e-9
_LONGEST_SHOWN = 80


class Strip(StrEnum):
    """What is taken off an answer before it is read."""

    NONE = "none"
    FENCES = "fences"


class TextMetric(Metric):
    """Shared by metrics that compare the answer's text with what is expected."""

    expected: str | float | None = None
    """What to look for, in place of what the case expects."""
    strip: Strip = Strip.NONE
    """fences: read only what stands between ``` fences, where an answer has any."""

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
        return Score(float(self._is_right(stripped(sample.answer, self.strip), expected, sample)))

    @abstractmethod
    def _objection(self, expected: str | float | None) -> str | None:
        """What this metric wants to be expected instead, or None."""

    @abstractmethod
    def _is_right(self, answer: str, expected: str | float, sample: Sample) -> bool:
        """Whether an answer is what was expected."""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def normalise(text: str) -> str:
    """The text without differences of case, and with every run of whitespace as one space, none at the ends."""
    return " ".join(text.casefold().split())


def stripped(answer: str, strip: Strip) -> str:
    """The answer as a metric reads it; fenced blocks are joined by a newline."""
    blocks = _FENCED.findall(answer) if strip is Strip.FENCES else []
    return "\n".join(block.removesuffix("\n") for block in blocks) if blocks else answer


class _Words(TextMetric):
    """Shared by the metrics that compare normalised text."""

    def _objection(self, expected: str | float | None) -> str | None:
        """Only a text with at least one visible character says anything."""
        return None if isinstance(expected, str) and normalise(expected) else "a text that is not empty"


class Exact(_Words):
    """The whole answer is the expected text, up to case and whitespace."""

    name: ClassVar = "exact"

    def _is_right(self, answer: str, expected: str | float, sample: Sample) -> bool:  # noqa: ARG002
        return normalise(answer) == normalise(str(expected))


class Contains(_Words):
    """The expected text is somewhere in the answer, up to case and whitespace; `no` is in `not`, too."""

    name: ClassVar = "contains"

    def _is_right(self, answer: str, expected: str | float, sample: Sample) -> bool:  # noqa: ARG002
        return normalise(str(expected)) in normalise(answer)


class Regex(TextMetric):
    """The pattern, in Python's syntax, is found somewhere in the answer; `(?i)` in front ignores case."""

    name: ClassVar = "regex"

    def _objection(self, expected: str | float | None) -> str | None:
        """A pattern must compile and must be able to miss."""
        if not isinstance(expected, str) or not expected:
            return "a regular expression that is not empty"
        return pattern_objection(expected)

    def _is_right(self, answer: str, expected: str | float, sample: Sample) -> bool:  # noqa: ARG002
        return found_in(str(expected), answer)


class Numeric(TextMetric):
    """The last number of the answer is within a tolerance of the expected one; an answer without a number is wrong."""

    name: ClassVar = "numeric"
    tolerance: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How far off still counts as right, in the number's own unit; left out: what the case says, or 0."""

    def _objection(self, expected: str | float | None) -> str | None:
        """A JSON number, or a text that is one."""
        return None if _NUMBER.fullmatch(str(expected).strip()) else "a number"

    def _is_right(self, answer: str, expected: str | float, sample: Sample) -> bool:
        found, wanted = last_number(answer), last_number(str(expected))
        if found is None or wanted is None:
            return False
        tolerance = sample.tolerance if self.tolerance is None else self.tolerance
        return abs(found - wanted) <= tolerance + _ROUNDING * max(1.0, abs(wanted))


def last_number(text: str) -> float | None:
    """The last number written in a text: signs, thousands commas, decimals and exponents are understood."""
    found = [match[0] for match in _NUMBER.finditer(text)]
    return float(found[-1].replace(",", "").replace("\u2212", "-")) if found else None
