"""Metrics that somebody else has worked out already: a column of a recorded answer."""

import math
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from softlaunch.metrics.folding import normalise
from softlaunch.metrics.interface import Metric, Sample, Score

_LONGEST = 60  # characters of a value that an objection shows
_TRUTHS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


class Recorded(Metric):
    """A column of the recorded answers: a number between two bounds, true or false, or a text to look for."""

    name: ClassVar = "recorded"
    column: Annotated[str, Field(min_length=1)]
    """The column's name."""
    lowest: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """The number that scores 0."""
    highest: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """The number that scores 1; smaller than `lowest` if less is better."""
    right: str | None = None
    """A text: the score is 1 if the column contains it, as with the metric `contains`, otherwise 0."""

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.lowest == self.highest:
            raise ValueError(f"lowest and highest are both {self.lowest:g}")
        return self

    def score(self, sample: Sample) -> Score:
        """The column on the scale from 0 to 1; what is empty or outside is unscored."""
        value = sample.fields.get(self.column)
        if value is None or (isinstance(value, str) and not value.strip()):
            return Score(None, f"the column {self.column} is empty or absent")
        if self.right is not None:
            return Score(float(normalise(self.right) in normalise(str(value))))
        number = _number(value)
        share = math.nan if number is None else (number - self.lowest) / (self.highest - self.lowest)
        if not 0 <= share <= 1:
            return Score(None, self._objection(value, number))
        return Score(share)

    def _objection(self, value: object, number: float | None) -> str:
        shown = repr(value) if len(repr(value)) <= _LONGEST else f"{repr(value)[:_LONGEST]}…"
        hint = "lowest=... and highest=..." if number is not None else "right=TEXT for what means right"
        return f"{self.column} is {shown}, not a number from {self.lowest:g} to {self.highest:g} (see {hint})"


class Preference(Metric):
    """A judge's preference in AlpacaEval's form, from 1 (the reference is better) to 2 (the answer is)."""

    name: ClassVar = "preference"
    column: Annotated[str, Field(min_length=1)] = "preference"
    """The column's name."""

    def score(self, sample: Sample) -> Score:
        """The preference minus 1: the answer's chance to win. AlpacaEval writes 0 for a draw, too."""
        value = sample.fields.get(self.column)
        draw = _number(value) == 0
        return Score(0.5) if draw else Recorded(column=self.column, lowest=1.0, highest=2.0).score(sample)


def _number(value: object) -> float | None:
    if isinstance(value, str) and value.strip().casefold() in _TRUTHS:
        return _TRUTHS[value.strip().casefold()]
    try:
        return float(value)  # type: ignore[arg-type]  # anything else raises TypeError
    except (TypeError, ValueError):
        return None
