"""Simulated users: who asks, and how they rate what they get."""

import math
import random
from bisect import bisect
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import assert_never


class RatingKind(StrEnum):
    """How users can rate answers."""

    THUMBS = "thumbs"
    STARS = "stars"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Person:
    """One user; `mood` shifts all their ratings, in units of the latent satisfaction."""

    user: str
    mood: float


@dataclass(frozen=True, slots=True)
class Rating:
    """A user's rating of an answer: thumbs up or down, or 1 to 5 stars."""

    up: bool | None = None
    stars: int | None = None

    @property
    def body(self) -> dict[str, object]:
        """The rating as the gateway's feedback endpoint takes it, without the request id."""
        return {"stars": self.stars} if self.stars is not None else {"thumbs": "up" if self.up else "down"}

    @property
    def satisfaction(self) -> float:
        """From 0 to 1: thumbs are either, stars are evenly spaced."""
        return float(bool(self.up)) if self.stars is None else (self.stars - 1) / 4


class Crowd:
    """A pool of users of whom some ask far more than others: the k-th most active in proportion to 1 / (k + 10)^1.1."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self._people = [Person(f"user-{number:05d}", rng.gauss(0, 0.7)) for number in range(1, size + 1)]
        self._cumulative = list(accumulate(1 / (rank + 10) ** 1.1 for rank in range(1, size + 1)))

    def __len__(self) -> int:
        return len(self._people)

    def someone(self, rng: random.Random) -> Person:
        """Whoever asks next."""
        return self._people[bisect(self._cumulative, rng.random() * self._cumulative[-1], hi=len(self._people) - 1)]


def rate(
    person: Person, kind: RatingKind, latency_s: float, patience_s: float, rng: random.Random, *, right: bool
) -> Rating | None:
    """How a person rates an answer; None where ratings aren't collected.

    A right answer in a quarter of their patience pleases about nine in ten, a wrong one about one in six; waiting
    `patience_s` seconds costs as much as three quarters of the difference between the two.
    """
    waited = min(latency_s / patience_s, 3.0)
    satisfaction = (3.0 if right else -1.0) - 3.0 * waited + person.mood
    match kind:
        case RatingKind.THUMBS:
            return Rating(up=rng.random() < _logistic(satisfaction))
        case RatingKind.STARS:
            noisy = _logistic(satisfaction + rng.gauss(0, 0.8))
            return Rating(stars=1 + min(4, int(noisy * 5)))
        case RatingKind.NONE:
            return None
        case _:
            assert_never(kind)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
