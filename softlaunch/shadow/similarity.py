"""How similar answers are, and sums of it that add up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

from rapidfuzz import fuzz

_LONGEST = 20_000  # characters of a text that are compared: a look must not take as long as a book


@dataclass(frozen=True, slots=True)
class Similarity:
    """The mean of so many values in [0, 1], and its standard error."""

    mean: float
    error: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Sums:
    """How many values there were, their sum, and that of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The sums of some values."""
        found = list(values)
        return cls(len(found), sum(found), sum(value * value for value in found))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def similarity(self) -> Similarity | None:
        """The mean with its error; None without values. A single value tells nothing of how much they vary."""
        if not self.count:
            return None
        mean = self.total / self.count
        variance = (self.squares - self.count * mean * mean) / (self.count - 1) if self.count > 1 else 0.25
        return Similarity(mean, sqrt(max(variance, 0.0) / self.count), self.count)


NONE = Sums()


def text_similarity(one: str, other: str) -> float | None:
    """How similar two answers are, in [0, 1]; None where neither has a text, as with tool calls."""
    if not one and not other:
        return None
    return fuzz.ratio(one[:_LONGEST], other[:_LONGEST]) / 100


def mean_similarity(pairs: Sequence[tuple[str, str]]) -> Similarity | None:
    """Of the pairs that have texts; None where none has."""
    return Sums.of(value for one, other in pairs if (value := text_similarity(one, other)) is not None).similarity
