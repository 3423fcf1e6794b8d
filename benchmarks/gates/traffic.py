"""The stream of requests that every judge of a run is shown: the same users, luck and time of day for all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from benchmarks.gates.model import MIRRORED, Day, Effect, Levels, Scenario, Stage
from softlaunch.gates.observations import Observations, Window
from softlaunch.policy.model import Metric

Floats = NDArray[np.float64]
Arm = Mapping[Metric, Observations]
_BLOCK = 2000
_MEANS = np.linspace(0.50, 0.95, 91)
_POINTS = 1024
_HISTORY = 2000
_NOISE = ("errors", "latency", "cost", "quality", "satisfaction")


@dataclass(frozen=True, slots=True)
class Look:
    """What happened since the look before.

    `window` is what can be compared: both arms below 100 %, and copies there. `shown` are all of the candidate's
    requests that users saw, `control` as large a slice of stable's, for judges that compare equal arms (empty at
    100 %). `hours` is how long the stage has lasted, `first` whether this is its first look.
    """

    stage: Stage
    first: bool
    window: Window
    shown: Arm
    control: Arm
    exposed: int
    hours: float


@dataclass(frozen=True, slots=True)
class Draws:
    """One stretch of requests before anybody answered them: units, their place in the split, and the noise."""

    units: NDArray[np.int64]
    bucket: Floats
    mirrored: Floats
    rated: Floats
    noise: Mapping[str, Floats]


@dataclass(slots=True)
class Traffic:
    """A scenario's traffic in one run, which several judges may read; position counts requests from the start."""

    scenario: Scenario
    seed: tuple[int, ...]
    levels: Levels = field(default_factory=Levels)
    day: Day = field(default_factory=Day)
    _blocks: dict[tuple[int, int], Draws] = field(default_factory=dict)

    def history(self) -> Window:
        """Stable's requests from before the release."""
        draws = self._draws(-_HISTORY, _HISTORY, copy=0)
        everything = np.ones(_HISTORY, dtype=np.bool_)
        return Window(0.5, {}, self._answers(draws, self._hour(-_HISTORY, _HISTORY), everything, Effect()))

    def look(self, stage: Stage, position: int, count: int, begun: int) -> Look:
        """The requests from `position` on, in a stage that began at request `begun`."""
        draws, hour = self._draws(position, count, copy=0), self._hour(position, count)
        effect = self.scenario.effect.at(stage.share)
        mine = draws.bucket < stage.share
        shown = self._answers(draws, hour, mine, effect)
        first, hours = position == begun, (position + count - begun) / self.scenario.requests_per_hour
        if stage.full:
            copies = self._pairs(draws, hour, position, effect)
            return Look(stage, first, copies, shown, {}, count, hours)
        stable = self._answers(draws, hour, ~mine, Effect())
        beside = (draws.bucket >= stage.share) & (draws.bucket < 2 * stage.share)
        control = self._answers(draws, hour, beside, Effect())
        return Look(stage, first, Window(stage.share, shown, stable), shown, control, int(mine.sum()), hours)

    def _pairs(self, draws: Draws, hour: Floats, position: int, effect: Effect) -> Window:
        """Requests copied to stable, as both answered them. Nobody rates or scores a copy."""
        copied = draws.mirrored < MIRRORED
        again = self._draws(position, len(hour), copy=1)
        sides = self._answers(draws, hour, copied, effect), self._answers(again, hour, copied, Effect())
        measured = (Metric.ERRORS, Metric.LATENCY, Metric.COST)
        candidate, stable = ({metric: side[metric] for metric in measured} for side in sides)
        return Window(0.5, candidate, stable)

    def _hour(self, position: int, count: int) -> Floats:
        """Time of day of each request; every run begins at an hour of its own."""
        start = np.random.default_rng([*self.seed, 1]).uniform(0, 24)
        return np.asarray(start + (position + np.arange(count)) / self.scenario.requests_per_hour)

    def _draws(self, position: int, count: int, copy: int) -> Draws:
        first, last = position // _BLOCK, (position + count - 1) // _BLOCK
        blocks = [self._block(number, copy) for number in range(first, last + 1)]
        cut = slice(position - first * _BLOCK, position - first * _BLOCK + count)
        return Draws(
            np.concatenate([block.units for block in blocks])[cut],
            np.concatenate([block.bucket for block in blocks])[cut],
            np.concatenate([block.mirrored for block in blocks])[cut],
            np.concatenate([block.rated for block in blocks])[cut],
            {name: np.concatenate([block.noise[name] for block in blocks])[cut] for name in _NOISE},
        )

    def _block(self, number: int, copy: int) -> Draws:
        key = number, copy
        if key not in self._blocks:
            rng = np.random.default_rng([*self.seed, 2 + copy, number + 1])
            self._blocks[key] = _draw(rng, number * _BLOCK, self.scenario.unit_size, self.levels.unit_correlation)
        return self._blocks[key]

    def _answers(self, draws: Draws, hour: Floats, chosen: NDArray[np.bool_], effect: Effect) -> Arm:
        """How an arm that differs from stable by `effect` answered the chosen requests."""
        levels, units = self.levels, draws.units[chosen]
        noise = {name: values[chosen] for name, values in draws.noise.items()}
        wave = np.sin(2 * np.pi * hour[chosen] / 24) if self.scenario.drift else np.zeros(len(units))
        strength = 1.0 if self.scenario.drift else 0.0
        error_rate = levels.error_rate * _swing(self.day.errors, wave, strength) + effect.errors
        latency = levels.latency_median_ms * effect.latency * _swing(self.day.latency, wave, strength)
        quality = levels.quality_mean - effect.quality - self.day.quality * wave
        satisfied = levels.satisfied - effect.satisfaction - self.day.satisfaction * wave
        rated = draws.rated[chosen] < levels.rated
        return {
            Metric.ERRORS: Observations(units, (noise["errors"] < error_rate).astype(np.float64)),
            Metric.LATENCY: Observations(units, latency * np.exp(levels.latency_sigma * noise["latency"])),
            Metric.COST: Observations(
                units, levels.cost_median_usd * effect.cost * np.exp(levels.cost_sigma * noise["cost"])
            ),
            Metric.QUALITY: Observations(units, _quality(noise["quality"], quality, levels.quality_deviation)),
            Metric.SATISFACTION: Observations(
                units[rated], (noise["satisfaction"] < satisfied).astype(np.float64)[rated]
            ),
        }


def _swing(ends: tuple[float, float], wave: Floats, strength: float) -> Floats:
    """A factor that moves between two ends with a wave in [-1, 1]; 1 where nothing drifts."""
    low, high = np.log(ends)
    return np.asarray(np.exp(strength * ((low + high) / 2 + (high - low) / 2 * wave)))


def _draw(rng: np.random.Generator, first_unit: int, unit_size: int, correlation: float) -> Draws:
    """A block's noise. Two requests of a unit share each value with probability `correlation`, so that is theirs."""
    owners = rng.permutation(np.repeat(np.arange(_BLOCK // unit_size), unit_size))
    kept = np.sqrt(correlation) if unit_size > 1 else 0.0
    noise: dict[str, Floats] = {}
    for name in _NOISE:
        draw = rng.standard_normal if name in {"latency", "cost"} else rng.random
        own = draw(_BLOCK)
        noise[name] = np.where(rng.random(_BLOCK) < kept, draw(_BLOCK)[owners], own) if kept else own
    bucket = rng.random(_BLOCK)[owners]
    return Draws((first_unit + owners).astype(np.int64), bucket, rng.random(_BLOCK), rng.random(_BLOCK), noise)


@lru_cache(maxsize=4)
def _quality_table(deviation: float) -> Floats:
    """Quantiles of Beta distributions, shape (means, points), their means put right to the last digit."""
    size = _MEANS * (1 - _MEANS) / deviation**2 - 1
    at = (np.arange(_POINTS) + 0.5) / _POINTS
    table = np.asarray(beta.ppf(at, (_MEANS * size)[:, None], ((1 - _MEANS) * size)[:, None]), dtype=np.float64)
    return np.asarray(table - table.mean(axis=1, keepdims=True) + _MEANS[:, None]).clip(0, 1)


def _quality(noise: Floats, mean: Floats, deviation: float) -> Floats:
    """Scores with the wanted means: between two tabulated distributions the quantiles are interpolated."""
    table = _quality_table(deviation)
    place = (mean - _MEANS[0]) / (_MEANS[1] - _MEANS[0])
    below = np.floor(place).astype(np.int64)
    point = (noise * _POINTS).astype(np.int64)
    part = place - below
    return np.asarray(table[below, point] * (1 - part) + table[below + 1, point] * part)
