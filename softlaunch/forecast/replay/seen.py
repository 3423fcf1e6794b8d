"""Which units were met before, and on which arm, in a fixed amount of memory."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from softlaunch.forecast.replay.rows import Flags, Rows
from softlaunch.gates.observations import Units

_WORDS = 1 << 21
_BITS = 4
_TOLERATED_STRAYS = 0.01


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
        fresh = ~self.knows(units)
        self.add(units[fresh])
        return fresh

    def knows(self, units: Units) -> Flags:
        """Whether each unit, shape (n,), was met."""
        index, mask = _place(units)
        return np.asarray((self.words[index] & mask) == mask)

    def add(self, units: Units) -> None:
        """Meet units, shape (n,)."""
        index, mask = _place(units)
        np.bitwise_or.at(self.words, index, mask)


def _place(units: Units) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The word of each unit, and its bits in it."""
    mixed = mix(units)
    mask = np.zeros(len(units), dtype=np.uint64)
    for bit in range(_BITS):
        shift = (mixed >> np.uint64(40 - 6 * bit)) & np.uint64(63)
        mask |= np.uint64(1) << shift
    return (mixed & np.uint64(_WORDS - 1)).astype(np.int64), mask


def mix(units: Units) -> NDArray[np.uint64]:
    """Sixty-four well mixed bits of each pseudonym (the finaliser of splitmix64; Steele, Lea & Flood 2014)."""
    mixed = units.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


@dataclass(slots=True)
class FirstArms:
    """On which arm each unit was first seen; counts who was seen on both, and what they asked on the second one.

    Memory is that of `SeenUnits`, and so is what is known wrongly.
    """

    candidate: SeenUnits = field(default_factory=SeenUnits)
    stable: SeenUnits = field(default_factory=SeenUnits)
    strayed: SeenUnits = field(default_factory=SeenUnits)
    units: int = 0
    requests: int = 0
    stray_units: int = 0
    stray_requests: int = 0

    def meet(self, rows: Rows) -> tuple[Flags, Flags]:
        """Whether each row is on its unit's first arm, and whether its unit was met in no earlier call.

        Rows are in order of time. A request that names no unit is a unit of its own.
        """
        own, fresh = np.ones(len(rows), dtype=np.bool_), np.ones(len(rows), dtype=np.bool_)
        units, candidate = rows.units[rows.named], rows.candidate[rows.named]
        on_candidate = self.candidate.knows(units)
        new = ~on_candidate & ~self.stable.knows(units)
        distinct, first, which = np.unique(units[new], return_index=True, return_inverse=True)
        arms = candidate[new][first]
        self.candidate.add(distinct[arms])
        self.stable.add(distinct[~arms])
        on_candidate[new] = arms[which]
        own[rows.named], fresh[rows.named] = candidate == on_candidate, new
        self._count(rows, own, len(distinct))
        return own, fresh

    def _count(self, rows: Rows, own: Flags, named: int) -> None:
        strays = np.unique(rows.units[~own])
        self.units += named + int(np.count_nonzero(~rows.named))
        self.requests += len(rows)
        self.stray_units += int(np.count_nonzero(self.strayed.first_time(strays)))
        self.stray_requests += int(np.count_nonzero(~own))

    @property
    def validity_error(self) -> str | None:
        """Why the arms can't be compared, in words; None when so few were on both that it makes no difference."""
        share = max(self.stray_units / max(self.units, 1), self.stray_requests / max(self.requests, 1))
        if share <= _TOLERATED_STRAYS:
            return None
        by_units = 100 * self.stray_units / self.units
        by_requests = 100 * self.stray_requests / self.requests
        return (
            f"{by_units:.3g} % of the users were on both arms, with {by_requests:.3g} % of the requests on the second: "
            "users must keep their arm; where each request was drawn by itself, leave out column unit"
        )
