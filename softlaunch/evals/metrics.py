"""Scoring an answer against what its case expects: pure functions by name, each giving a score in [0, 1]."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from softlaunch.errors import SoftlaunchError

ACCURACY = "accuracy"
"""The name under which the mean score of a suite's own metrics is reported."""

_NUMBER = re.compile(
    r"""
    (?:(?<![\w.])[-+\u2212])?                  # a sign; in "3-4" and "gpt-4" the dash is none
    (?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))  # 1,000,000 or 1000000, or .5
    (?:\.\d+)?
    (?:[eE][-+]?\d+)?
    """,
    re.VERBOSE,
)
_ROUNDING = 1e-9


class Expectation(Protocol):
    """What a metric reads of a case."""

    @property
    def metric(self) -> str:
        """The name of the metric."""

    @property
    def expected(self) -> str | float:
        """A text, a pattern or a number, as the metric wants it."""

    @property
    def tolerance(self) -> float:
        """For numbers: how far off still counts as right."""


class CaseMetric(Protocol):
    """One way to score an answer."""

    def objection(self, expected: str | float) -> str | None:
        """What this metric wants instead of `expected`, or None where it can use it."""

    def score(self, answer: str, case: Expectation) -> float:
        """1 is right, 0 is wrong."""


def normalise(text: str) -> str:
    """The text without differences of case, and with every run of whitespace as one space, none at the ends."""
    return " ".join(text.casefold().split())


class _Words:
    """Shared by the metrics that compare normalised text."""

    def objection(self, expected: str | float) -> str | None:
        """Only a text with at least one visible character says anything."""
        return None if isinstance(expected, str) and normalise(expected) else "a text that is not empty"


class Exact(_Words):
    """The whole answer is the expected text, up to case and whitespace."""

    def score(self, answer: str, case: Expectation) -> float:
        """1 where both are equal after `normalise`."""
        return float(normalise(answer) == normalise(str(case.expected)))


class Contains(_Words):
    """The expected text is somewhere in the answer, up to case and whitespace; `no` is in `not`, too."""

    def score(self, answer: str, case: Expectation) -> float:
        """1 where the normalised answer holds the normalised text."""
        return float(normalise(str(case.expected)) in normalise(answer))


class Regex:
    """The pattern, in Python's syntax, is found somewhere in the answer; `(?i)` in front ignores case."""

    def objection(self, expected: str | float) -> str | None:
        """A pattern must compile and must be able to miss."""
        if not isinstance(expected, str) or not expected:
            return "a regular expression that is not empty"
        try:
            always = _pattern(expected).search("") is not None
        except re.error as error:
            return f"a valid regular expression ({error})"
        return "a regular expression that does not match the empty answer" if always else None

    def score(self, answer: str, case: Expectation) -> float:
        """1 where the pattern is found."""
        return float(_pattern(str(case.expected)).search(answer) is not None)


class Numeric:
    """The last number of the answer is within the case's tolerance (absolute, default 0) of the expected one."""

    def objection(self, expected: str | float) -> str | None:
        """A JSON number, or a text that is one."""
        return None if _NUMBER.fullmatch(str(expected).strip()) else "a number"

    def score(self, answer: str, case: Expectation) -> float:
        """1 where the last number is near enough; an answer without a number is wrong."""
        found, wanted = last_number(answer), last_number(str(case.expected))
        if found is None or wanted is None:
            return 0.0
        return float(abs(found - wanted) <= case.tolerance + _ROUNDING * max(1.0, abs(wanted)))


def last_number(text: str) -> float | None:
    """The last number written in a text: signs, thousands commas, decimals and exponents are understood."""
    found = [match[0] for match in _NUMBER.finditer(text)]
    return float(found[-1].replace(",", "").replace("\u2212", "-")) if found else None


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


METRICS: Mapping[str, CaseMetric] = MappingProxyType(
    {"exact": Exact(), "contains": Contains(), "regex": Regex(), "numeric": Numeric()}
)
"""Every metric that a case can name."""


def score(answer: str, case: Expectation) -> float:
    """The case's own metric applied to an answer, in [0, 1]. Raises SoftlaunchError for a value outside."""
    value = METRICS[case.metric].score(answer, case)
    if not 0 <= value <= 1:
        raise SoftlaunchError(f"metric {case.metric} gave {value!r}; a score must be between 0 and 1: mend the metric")
    return value
