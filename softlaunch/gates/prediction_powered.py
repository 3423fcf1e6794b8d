"""Prediction-powered estimates: the mean of what few people said, with what judges said of many answers.

Angelopoulos, Duchi and Zrnic 2023, "PPI++: Efficient Prediction-Powered Inference" (arXiv 2311.01453), for means: the
judges' mean over all answers, less what they are off where people spoke too, as far as it makes the estimate better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Estimate
from softlaunch.gates.observations import Floats

_TWO_SIDED_95 = 1.959963984540054
_FEWEST = 20


@dataclass(slots=True, eq=False)
class Spread:
    """Values of one kind: how many, their sum and their sum of squares."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: Floats) -> None:
        """Take in values, shape (n,)."""
        self.count += len(values)
        self.total += float(values.sum())
        self.squares += float(values @ values)

    def include(self, value: float) -> None:
        """Take in one value."""
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        """Their mean; zero without any."""
        return self.total / self.count if self.count else 0.0

    @property
    def deviations(self) -> float:
        """The sum of squares of their deviations from the mean."""
        return max(self.squares - self.total * self.mean, 0.0)

    def together(self, other: "Spread") -> "Spread":
        """Both."""
        return Spread(self.count + other.count, self.total + other.total, self.squares + other.squares)


@dataclass(slots=True, eq=False)
class Pairs:
    """Ratings of answers that were scored too: the scores, the ratings, and the sum of their products."""

    scores: Spread
    ratings: Spread
    products: float = 0.0

    @classmethod
    def none(cls) -> Self:
        """None as yet."""
        return cls(Spread(), Spread())

    def add(self, score: float, rating: float) -> None:
        """Take in one."""
        self.scores.include(score)
        self.ratings.include(rating)
        self.products += score * rating

    @property
    def count(self) -> float:
        """How many there are."""
        return self.scores.count

    @property
    def codeviations(self) -> float:
        """The sum of the products of both deviations from their means."""
        return self.products - self.scores.total * self.ratings.mean

    def dump(self) -> list[float]:
        """The sums as JSON values."""
        scores, ratings = self.scores, self.ratings
        return [scores.count, scores.total, scores.squares, ratings.total, ratings.squares, self.products]

    @classmethod
    def load(cls, state: Sequence[float]) -> Self:
        """What was dumped."""
        count, total, squares, rated, rated_squares, products = state
        return cls(Spread(count, total, squares), Spread(count, rated, rated_squares), products)


@dataclass(slots=True, eq=False)
class Sample:
    """What is known of one arm: all `ratings`, `pairs` of those whose answer was scored, and scores of `others`."""

    ratings: Spread
    pairs: Pairs
    others: Spread

    @classmethod
    def none(cls) -> Self:
        """Nothing as yet."""
        return cls(Spread(), Pairs.none(), Spread())

    @property
    def slope(self) -> float:
        """How many times the scores count, chosen for the smallest variance (the paper's lambda, section 6).

        Never less than zero. More than one is of use where scores lie closer together than ratings.
        """
        pairs, every = self.pairs, self.pairs.scores.together(self.others)
        if pairs.count < 2 or not self.others.count or not every.deviations:
            return 0.0
        covariance, variance = pairs.codeviations / pairs.count, every.deviations / (every.count - 1)
        return max(covariance / ((1 + pairs.count / self.others.count) * variance), 0.0)

    def mean(self, slope: float) -> tuple[float, float]:
        """The mean rating and its variance, with scores that count so many times; without any at zero.

        Where some ratings' answers weren't scored, these enter as they are.
        """
        ratings, pairs, others = self.ratings, self.pairs, self.others
        rest = ratings.deviations - 2 * slope * pairs.codeviations + slope**2 * pairs.scores.deviations
        variance = max(rest, 0.0) / ratings.count**2
        if not (slope and pairs.count and others.count):
            return ratings.mean, variance
        weight = slope * pairs.count / ratings.count
        mean = ratings.mean + weight * (others.mean - pairs.scores.mean)
        return mean, variance + weight**2 * others.deviations / others.count**2


def difference(arms: ByArm[Sample], *, powered: bool) -> Estimate | None:
    """The candidate's mean less stable's with its two-sided 95 % interval; None while an arm has under 20 ratings.

    `powered` uses the scores, each arm by a slope of its own.
    """
    if min(arms.candidate.ratings.count, arms.stable.ratings.count) < _FEWEST:
        return None
    candidate, of_candidate = arms.candidate.mean(arms.candidate.slope if powered else 0.0)
    stable, of_stable = arms.stable.mean(arms.stable.slope if powered else 0.0)
    value, half = candidate - stable, _TWO_SIDED_95 * float(np.sqrt(of_candidate + of_stable))
    return Estimate(value, value - half, value + half)
