"""What a rating is likely to be by the score of its answer, and the scores that it is seen beside."""

from dataclasses import dataclass, field

import numpy as np

from softlaunch.gates.observations import Floats
from softlaunch.gates.rules import REACH

_LARGEST_POOL = 1000


@dataclass(frozen=True, slots=True)
class Foretelling:
    """What a rating of an answer with some score is likely to be: a line, cut off so that no two are over REACH apart.

    What is cut off is as much of what is below the usual rating as of what is above it.
    """

    usual_score: float
    usual_rating: float
    slope: float

    def __call__(self, scores: Floats) -> Floats:
        """Foretold ratings, shape (n,)."""
        lowest = self.usual_rating * (1 - REACH)
        foretold = self.usual_rating + self.slope * (scores - self.usual_score)
        return np.asarray(np.clip(foretold, lowest, lowest + REACH))


@dataclass(slots=True, eq=False)
class Pool:
    """Scores of one arm's answers that nobody rated: those that aren't `free` to be used yet, by when they are, and
    the newest of the others, of which none was used.
    """

    at: Floats = field(default_factory=lambda: np.empty(0))
    scores: Floats = field(default_factory=lambda: np.empty(0))
    free: Floats = field(default_factory=lambda: np.empty(0))
    ratings: int = 0

    def add(self, at: Floats, scores: Floats) -> None:
        """Take in more, all of them later."""
        self.at, self.scores = np.concatenate([self.at, at]), np.concatenate([self.scores, scores])

    def until(self, moment: float) -> Floats:
        """Let those be free that are by then; returns them."""
        end = int(np.searchsorted(self.at, moment, side="right"))
        freed, self.at, self.scores = self.scores[:end], self.at[end:], self.scores[end:]
        self.free = np.concatenate([self.free, freed])[-_LARGEST_POOL:]
        return freed

    def draw(self, freed: float) -> Floats:
        """The newest ones for one more rating: its part of all that were `freed`, so that each rating has as many."""
        if not len(self.free):
            return self.free
        self.ratings += 1
        start = max(len(self.free) - max(int(freed / self.ratings), 1), 0)
        drawn, self.free = self.free[start:], self.free[:start]
        return drawn
