"""Simulated evals: the product's own bets, looks and estimates on cases whose difference is known."""

from dataclasses import dataclass

import numpy as np

from softlaunch.evals.sequential.bets import Bets
from softlaunch.evals.sequential.spending import LOOKS, plan_looks
from softlaunch.evals.sequential.watch import UNSCORED_SHARE
from softlaunch.evals.statistics.paired import Floats, PairedEstimate, estimate

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class World:
    """How much worse the candidate truly is, on how many cases; `discordance` is the share of answers that differ.

    Repeats of a case have an intra-class correlation of `icc`. Graded answers differ twice as often, by half as much on
    average.
    """

    cases: int
    harm: float
    margin: float
    discordance: float
    icc: float
    graded: bool = False
    repeats: int = 3

    @property
    def is_possible(self) -> bool:
        """Whether so few differing answers can make so large a difference."""
        return abs(self.harm) <= self.discordance

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Scores of both arms, cases by repeats. An answer is the case's own with probability root of icc, or new."""
        shape = (self.cases, self.repeats)
        own, new = self._harms(rng, (self.cases, 1)), self._harms(rng, shape)
        harms = np.where(rng.random(shape) < np.sqrt(self.icc), own, new)
        level = (rng.random((self.cases, 1)) < 0.8).astype(np.float64) * (1 - np.abs(harms))
        return level + np.maximum(harms, 0), level + np.maximum(-harms, 0)

    def _harms(self, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        lost, won = (self.discordance + self.harm) / 2, (self.discordance - self.harm) / 2
        factor = 2 if self.graded else 1
        where = rng.random(shape)
        signs = np.where(where < factor * lost, 1.0, np.where(where < factor * (lost + won), -1.0, 0.0))
        return signs * rng.random(shape) if self.graded else signs


@dataclass(frozen=True, slots=True)
class Decided:
    """What an eval decided: 1 worse, -1 good enough, 0 neither; after which share of its calls. `full` makes all."""

    early: int
    share: float
    full: int


def run(world: World, rng: np.random.Generator) -> Decided:
    """One eval, stopped early and in full, on the same answers."""
    stable, candidate = world.draw(rng)
    early, pairs = decide(stable, candidate, world.margin)
    whole = judged(stable, candidate, stable.size, world.margin, 1 - CONFIDENCE)
    full = 1 if whole.p_beyond <= 1 - CONFIDENCE else -1 if whole.p_within <= 1 - CONFIDENCE else 0
    return Decided(early, pairs / stable.size, full)


def decide(stable: Floats, candidate: Floats, margin: float, level: float = 1 - CONFIDENCE) -> tuple[int, int]:
    """The decision on scores of cases in the order in which they are asked, and after how many pairs of calls."""
    plan = plan_looks(level, 1.0)
    cases = len(stable)
    bets = Bets(stable[:, 0], candidate[:, 0], np.ones(cases), 1.0, margin)
    bet = bets.crossing((1 - UNSCORED_SHARE) * plan.bet_level)
    for number in range(LOOKS):
        at = max(1, round(stable.size * (number + 1) / LOOKS))
        if bet is not None and bet <= at:
            return 1, bet
        found = judged(stable, candidate, at, margin, level)
        if found.p_beyond <= plan.levels[number].failing:
            return 1, at
        if found.p_within <= plan.levels[number].passing:
            return -1, at
    return 0, stable.size


def judged(stable: Floats, candidate: Floats, pairs: int, margin: float, level: float) -> PairedEstimate:
    """The paired estimate after so many pairs of calls, repeat after repeat."""
    cases = len(stable)
    whole, rest = divmod(pairs, cases)
    counts = np.full(cases, whole)
    counts[:rest] += 1
    asked = counts[: min(pairs, cases)]
    means = [
        np.where(np.arange(arm.shape[1]) < counts[:, None], arm, 0.0).sum(axis=1)[: len(asked)] / asked
        for arm in (stable, candidate)
    ]
    return estimate(means[0], means[1], np.ones(len(asked)), margin=margin, level=level)
