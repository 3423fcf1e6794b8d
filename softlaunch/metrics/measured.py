"""Metrics of what an answer took: its length, its time and its price, each within a limit or not."""

from enum import StrEnum
from typing import Annotated, ClassVar, Self, assert_never

from pydantic import Field, field_serializer, model_validator

from softlaunch.core.quantities import Duration
from softlaunch.metrics.interface import Metric, Sample, Score


class LengthUnit(StrEnum):
    """What a length counts."""

    WORDS = "words"
    CHARACTERS = "characters"
    TOKENS = "tokens"


class Length(Metric):
    """The answer's length is between two bounds, both inclusive."""

    name: ClassVar = "length"
    instant: ClassVar = True
    minimum: Annotated[int, Field(ge=0)] = 0
    """The smallest length."""
    maximum: Annotated[int, Field(ge=0)] | None = None
    """The largest length."""
    unit: LengthUnit = LengthUnit.WORDS
    """words, characters, or tokens as counted by the endpoint."""

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.maximum is None and not self.minimum:
            raise ValueError("give it a minimum, a maximum, or both")
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(f"maximum ({self.maximum}) is below minimum ({self.minimum})")
        return self

    def score(self, sample: Sample) -> Score:
        """1 within the bounds."""
        length = self._length(sample)
        if length is None:
            return Score(None, "nobody knows how many tokens the answer has")
        fits = self.minimum <= length and (self.maximum is None or length <= self.maximum)
        return Score(float(fits), f"{length} {self.unit}")

    def _length(self, sample: Sample) -> int | None:
        match self.unit:
            case LengthUnit.WORDS:
                return len(sample.answer.split())
            case LengthUnit.CHARACTERS:
                return len(sample.answer)
            case LengthUnit.TOKENS:
                return sample.output_tokens
            case _:
                assert_never(self.unit)


class Latency(Metric):
    """The whole answer arrived within a time limit."""

    name: ClassVar = "latency"
    instant: ClassVar = True
    limit: Annotated[Duration, Field(gt=0)]
    """The limit, such as 3 s."""

    @field_serializer("limit")
    def _written(self, limit: float) -> str:
        return f"{limit:g} s"

    def score(self, sample: Sample) -> Score:
        """1 within the limit."""
        if sample.latency_ms is None:
            return Score(None, "nobody knows how long the answer took")
        return Score(float(sample.latency_ms <= 1000 * self.limit), f"{sample.latency_ms / 1000:.2f} s")


class Cost(Metric):
    """The answer cost at most a given amount."""

    name: ClassVar = "cost"
    instant: ClassVar = True
    limit_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """USD per answer."""

    def score(self, sample: Sample) -> Score:
        """1 within the limit."""
        if sample.cost_usd is None:
            return Score(None, "nobody knows what the answer cost; give the model its prices")
        return Score(float(sample.cost_usd <= self.limit_usd), f"{sample.cost_usd:.6f} USD")
