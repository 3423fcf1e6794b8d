"""Which units were met before, in a fixed amount of memory."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from softlaunch.gates.observations import Units
from softlaunch.replay.rows import Flags

_WORDS = 1 << 21
_BITS = 4


@dataclass(slots=True)
class SeenUnits:
    """A blocked Bloom filter of 16 MiB (Putze, Sanders & Singler 2009): four bits of one 64-bit word per unit.

    A unit that was met is always known again. One that wasn't is taken for known with a probability that grows with
    the units held: 1.5e-5 at one million, 0.013 % at two, 0.13 % at five and 0.9 % at ten. Which ones depends on
    nothing but their pseudonyms, neither arm nor outcome, so it costs observations and no validity.
    """

    words: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_WORDS, dtype=np.uint64))

    def first_time(self, units: Units) -> Flags:
        """Whether each unit, shape (n,), was not met in an earlier call; all of them are known from now on."""
        mixed = _mixed(units)
        index = (mixed & np.uint64(_WORDS - 1)).astype(np.int64)
        mask = np.zeros(len(units), dtype=np.uint64)
        for bit in range(_BITS):
            shift = (mixed >> np.uint64(40 - 6 * bit)) & np.uint64(63)
            mask |= np.uint64(1) << shift
        known = (self.words[index] & mask) == mask
        np.bitwise_or.at(self.words, index, mask)
        return np.asarray(~known)


def _mixed(units: Units) -> NDArray[np.uint64]:
    """Sixty-four well mixed bits of each pseudonym (the finaliser of splitmix64; Steele, Lea & Flood 2014)."""
    mixed = units.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
