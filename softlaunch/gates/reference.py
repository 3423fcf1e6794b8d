"""What is known of stable's traffic before a window is judged: counts by bucket that follow the traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from softlaunch.gates.observations import Floats, Tally, Units

_GROWTH = np.log(1.02)  # logarithmic buckets are 2 % wide
LOWEST, HIGHEST = -2000, 2000
"""The first and the last logarithmic bucket: of 6e-18 and less, where zero is put, and of 1.6e17 and more."""
LEVELS = 200
"""Buckets of a share: harm is told apart to half a point."""
MEMORY = 5000.0
"""About how many units of stable a reference remembers."""
ENOUGH = 50
"""Units of stable that a reference needs before bets are placed on it."""
RECENT = 100.0
"""Values that the recent past and a usual mean count for."""
_FEWEST_RECENT, _CHANCE = 20.0, 3.5
_DIGITS, _NOTHING = 6, 1e-3
_NO_BUCKETS = np.array([np.iinfo(np.int64).max])


def log_buckets(values: Floats) -> Units:
    """Index of the logarithmic bucket of each value, 2 % wide; scale does not matter, so costs of 1e-5 are as fine."""
    with np.errstate(divide="ignore"):
        index = np.floor(np.log(np.maximum(values, 0.0)) / _GROWTH)
    return np.asarray(np.clip(index, LOWEST, HIGHEST), dtype=np.int64)


def log_values(index: Units) -> Floats:
    """The middle of each logarithmic bucket."""
    return np.where(index <= LOWEST, 0.0, np.exp((index + 0.5) * _GROWTH))


@dataclass(slots=True, eq=False)
class Histogram:
    """Counts by bucket, sparse: indices, ascending and distinct, and weights, both of shape (n,).

    Weights are kept to a millionth, so that what is stored is what is held.
    """

    index: Units = field(default_factory=lambda: np.empty(0, np.int64))
    weight: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def total(self) -> float:
        """How much it holds."""
        return float(self.weight.sum())

    def add(self, tally: Tally, memory: float | None = None) -> None:
        """Count a tally; with a `memory`, older counts fade so that about that much remains."""
        if memory is not None and len(self.index):
            self._fade(memory - tally.units)
        place = self.index.searchsorted(tally.index)
        known = np.concatenate([self.index, _NO_BUCKETS])[place] == tally.index
        weight = self.weight.copy()
        if known.all():
            weight[place] = (weight[place] + tally.weight).round(_DIGITS)
            self.weight = weight
            return
        inner = place[known]
        weight[inner] = (weight[inner] + tally.weight[known]).round(_DIGITS)
        index = np.concatenate([self.index, tally.index[~known]])
        order = index.argsort()
        self.index = index[order]
        self.weight = np.concatenate([weight, tally.weight[~known].round(_DIGITS)])[order]

    def _fade(self, left: float) -> None:
        """Scale counts down so that about so much is left, if that is less."""
        keep = max(0.0, min(1.0, left / self.total))
        if keep < 1:
            faded = (self.weight * keep).round(_DIGITS)
            stays = faded > _NOTHING
            if not stays.all():
                self.index, faded = self.index[stays], faded[stays]
            self.weight = faded

    def tally(self) -> Tally:
        """The counts as a tally."""
        return Tally(self.index, self.weight)

    def dump(self) -> dict[str, list[float]]:
        """The counts as JSON values: how far each bucket is from the one before, and its weight."""
        weight = [int(one) if one.is_integer() else one for one in self.weight.tolist()]
        return {"steps": np.diff(self.index, prepend=0).tolist(), "weight": weight}

    @classmethod
    def load(cls, state: Mapping[str, list[float]] | Sequence[tuple[float, float]]) -> Self:
        """What was dumped, now or, as pairs of index and weight, by earlier versions."""
        if isinstance(state, Mapping):
            return cls(np.cumsum(np.array(state["steps"], np.int64)), np.array(state["weight"], np.float64))
        pairs = np.array(sorted(state), np.float64).reshape(-1, 2)
        return cls(pairs[:, 0].astype(np.int64), pairs[:, 1].copy())

    def quantile(self, share: float) -> int | None:
        """The bucket below or in which a share of the counts lies; None without any."""
        if not len(self.index):
            return None
        cumulative = np.cumsum(self.weight)
        return int(self.index[int(np.searchsorted(cumulative, share * cumulative[-1]))])

    def ranks(self, index: Units) -> Floats:
        """Mid-rank of each bucket among the counts, in [0, 1]; ties share theirs."""
        padded = np.concatenate([[0.0], np.cumsum(self.weight)])
        below = padded[np.searchsorted(self.index, index, side="left")]
        up_to = padded[np.searchsorted(self.index, index, side="right")]
        return np.asarray((below + up_to) / 2 / padded[-1])

    def ranks_divided(self, index: Units, factors: Floats) -> Floats:
        """Mid-ranks of logarithmic buckets whose values were divided by each factor, shape (factors, n).

        A factor that moves values by part of a bucket interpolates, as if they were spread evenly within it: to round
        instead would test another margin than the policy's, by up to one percent. Zero stays zero, unless nothing but
        zeros is held: no factor of nothing can be told from nothing, and what is still free is better than any.
        """
        steps = np.log(factors)[:, None] / _GROWTH
        whole = np.floor(steps).astype(np.int64)
        stays = (index <= LOWEST) & bool((self.index > LOWEST).any())
        near, far = self.ranks(np.where(stays, index, index - np.stack([whole, whole + 1])))
        return np.asarray(near + (steps - whole) * (far - near))


@dataclass(slots=True, eq=False)
class Recent:
    """Mean of the last values of both arms: of a hundred it tells within seconds that traffic isn't what it was.

    `memory` is about how many values it remembers.
    """

    mean: float = 0.0
    weight: float = 0.0
    memory: float = RECENT

    def add(self, total: float, count: float) -> None:
        """Take in values by their sum and number."""
        if count <= 0:
            return
        kept = min(self.weight, max(self.memory - count, 0.0))
        self.mean = (self.mean * kept + total) / (kept + count)
        self.weight = min(kept + count, self.memory)

    def differs(self, usual: float, deviation: float) -> bool:
        """Whether it is further from the usual mean than chance explains, for values with this standard deviation."""
        if self.weight < _FEWEST_RECENT:
            return False
        return abs(self.mean - usual) > _CHANCE * deviation / float(np.sqrt(self.weight))

    def dump(self) -> list[float]:
        """The mean and its weight as JSON values."""
        return [self.mean, self.weight]

    @classmethod
    def load(cls, state: Sequence[float], memory: float) -> Self:
        """What was dumped; nothing of nothing."""
        mean, weight = state or (0.0, 0.0)
        return cls(mean, weight, memory)
