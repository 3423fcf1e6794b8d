"""What is known of stable's traffic before a window is judged: counts by bucket that follow the traffic."""

from dataclasses import dataclass, field

import numpy as np

from softlaunch.gates.observations import Floats, Tally, Units

_GROWTH = np.log(1.02)  # logarithmic buckets are 2 % wide
_LOWEST = -2000  # 6e-18 and less: where zero is put
_HIGHEST = 2000  # 1.6e17 and more
LEVELS = 200
"""Buckets of a share: harm is told apart to half a point."""
MEMORY = 5000.0
"""About how many units of stable a reference remembers."""
ENOUGH = 50
"""Units of stable that a reference needs before bets are placed on it."""


def log_buckets(values: Floats) -> Units:
    """Index of the logarithmic bucket of each value, 2 % wide; scale does not matter, so costs of 1e-5 are as fine."""
    with np.errstate(divide="ignore"):
        index = np.floor(np.log(np.maximum(values, 0.0)) / _GROWTH)
    return np.asarray(np.clip(index, _LOWEST, _HIGHEST), dtype=np.int64)


def log_values(index: Units) -> Floats:
    """The middle of each logarithmic bucket."""
    return np.where(index <= _LOWEST, 0.0, np.exp((index + 0.5) * _GROWTH))


@dataclass(slots=True)
class Histogram:
    """Counts by bucket, sparse."""

    counts: dict[int, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """How much it holds."""
        return sum(self.counts.values())

    def add(self, tally: Tally, memory: float | None = None) -> None:
        """Count a tally; with a `memory`, older counts fade so that about that much remains."""
        if memory is not None and self.counts:
            keep = max(0.0, min(1.0, (memory - tally.units) / self.total))
            if keep < 1:
                self.counts = {index: count * keep for index, count in self.counts.items() if count * keep > 1e-3}
        for index, count in zip(tally.index.tolist(), tally.weight.tolist(), strict=True):
            self.counts[index] = self.counts.get(index, 0.0) + count

    def tally(self) -> Tally:
        """The counts as a tally."""
        index = np.array(sorted(self.counts), dtype=np.int64)
        return Tally(index, np.array([self.counts[one] for one in index.tolist()], dtype=np.float64))

    def quantile(self, share: float) -> int | None:
        """The bucket below or in which a share of the counts lies; None without any."""
        held = self.tally()
        if not len(held.index):
            return None
        cumulative = np.cumsum(held.weight)
        return int(held.index[int(np.searchsorted(cumulative, share * cumulative[-1]))])

    def ranks(self, index: Units) -> Floats:
        """Mid-rank of each bucket among the counts, in [0, 1]; ties share theirs."""
        held = self.tally()
        padded = np.concatenate([[0.0], np.cumsum(held.weight)])
        below = padded[np.searchsorted(held.index, index, side="left")]
        up_to = padded[np.searchsorted(held.index, index, side="right")]
        return np.asarray((below + up_to) / 2 / padded[-1])

    def ranks_divided(self, index: Units, factors: Floats) -> Floats:
        """Mid-ranks of logarithmic buckets whose values were divided by each factor, shape (factors, n).

        A factor that moves values by part of a bucket interpolates, as if they were spread evenly within it: to round
        instead would test another margin than the policy's, by up to one percent. Zero stays zero, unless nothing but
        zeros is held: no factor of nothing can be told from nothing, and what is still free is better than any.
        """
        steps = np.log(factors)[:, None] / _GROWTH
        whole = np.floor(steps).astype(np.int64)
        stays = (index <= _LOWEST) & any(held > _LOWEST for held in self.counts)
        near, far = self.ranks(np.where(stays, index, index - np.stack([whole, whole + 1])))
        return np.asarray(near + (steps - whole) * (far - near))
