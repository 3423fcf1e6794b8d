"""Counts of a metric's values in both arms, and the windows that they make for gates.

Counters say how many requests had which value, and not whose they were. Requests of one user, or of one burst, resemble
each other, so that each is less than one piece of evidence. Two things are done about it. Requests count in groups, of
at least as many as one user makes; a group is bet on as one unit (`gates.observations.Tally`). And both arms are
compared within the same piece of time: how much further apart they are than independent requests would be, piece by
piece, is measured, and groups grow with it (the dispersion factor of quasi-likelihood: Wedderburn 1974, Biometrika 61;
McCullagh & Nelder 1989, section 4.5). A group's size is fixed before the piece that it is used on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import NONE, Events, Floats, Observations, Units, Window

_REMEMBERED = 50.0
_NEW = 0.2
"""What a piece weighs in what is usual, so that about nine do: few enough to follow harm that begins suddenly."""
_FEWEST_PIECES = 10.0
_LARGEST_GROUP = 1e6
_EXPECTED = 20.0
_WIDEST = 1.02


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """What the values of a metric can be: values from `lower` to `upper`, both of shape (buckets,), ascending.

    Where both are the same a bucket is one value. Values are in the metric's own unit.
    """

    lower: Floats
    upper: Floats

    @classmethod
    def of_shares(cls) -> Self:
        """What doesn't happen, and what does."""
        both = np.array([0.0, 1.0])
        return cls(both, both)

    @classmethod
    def of_bounds(cls, bounds: Sequence[float]) -> Self:
        """The buckets of a histogram with these upper bounds, ascending and above zero; the last is infinite."""
        upper = np.array(bounds, np.float64)
        lower = np.concatenate([[upper[0] / 2], upper[:-1]])
        return cls(lower, np.where(np.isinf(upper), lower * _WIDEST, upper))

    def equals(self, other: "Buckets") -> bool:
        """Whether these are the same."""
        return np.array_equal(self.lower, other.lower) and np.array_equal(self.upper, other.upper)

    def spread(self, counts: Units) -> Floats:
        """So many values of each bucket, spread evenly by their logarithm; shape (sum of counts,)."""
        bucket = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(bucket)) - np.repeat(np.cumsum(counts) - counts, counts)
        part = (place + 0.5) / np.repeat(counts, counts)
        lower, upper = self.lower[bucket], self.upper[bucket]
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = lower * (upper / lower) ** part
        return np.where(lower == upper, lower, inside)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """How many requests of each arm had which value in a piece of time that ends at `until` (epoch seconds)."""

    until: float
    counts: ByArm[Units]

    @property
    def requests(self) -> ByArm[int]:
        """How many there were."""
        return ByArm(int(self.counts.candidate.sum()), int(self.counts.stable.sum()))

    def together(self, later: "Piece") -> "Piece":
        """It and a later one."""
        both = self.counts, later.counts
        return Piece(later.until, ByArm(both[0].candidate + both[1].candidate, both[0].stable + both[1].stable))

    def dump(self) -> list[Any]:
        """The piece as JSON values."""
        return [self.until, self.counts.candidate.tolist(), self.counts.stable.tolist()]

    @classmethod
    def load(cls, state: Sequence[Any] | None) -> Self | None:
        """What was dumped."""
        if state is None:
            return None
        until, candidate, stable = state
        return cls(until, ByArm(np.array(candidate, np.int64), np.array(stable, np.int64)))


@dataclass(slots=True)
class Dispersion:
    """How much more two sets of requests differ than independent requests would.

    `squares` are the squared differences of their means so far, `expected` what these would be, and `pieces` how many
    there were. All of them fade, so that about the last fifty remain. What two arms differed by lately, `usual`, is
    taken off first: that is harm, and no noise. It is a mean with weights that fade faster, whose squares sum to
    `unsure`.
    """

    squares: float = 0.0
    expected: float = 0.0
    pieces: float = 0.0
    usual: float = 0.0
    unsure: float = 0.0

    def note_arms(self, candidate: Units, stable: Units) -> None:
        """Take in a piece of both arms, by how many requests had each value. The first one tells only what is usual."""
        found = _difference(candidate, stable)
        if found is None:
            return
        difference, expected = found
        if self.unsure:
            self._add((difference - self.usual) ** 2 / (1 + self.unsure), expected)
        new = _NEW if self.unsure else 1.0
        self.usual += new * (difference - self.usual)
        self.unsure = (1 - new) ** 2 * self.unsure + new**2

    def note(self, one: Units, other: Units) -> None:
        """Take in two sets of the same arm, by how many requests had each value."""
        found = _difference(one, other)
        if found is not None:
            self._add(found[0] ** 2, found[1])

    def _add(self, square: float, expected: float) -> None:
        kept = 1 - 1 / _REMEMBERED
        self.squares = kept * self.squares + square
        self.expected = kept * self.expected + expected
        self.pieces = kept * self.pieces + 1

    @property
    def factor(self) -> float | None:
        """How many requests tell as much as one independent one, at most; None while too little is known.

        Two standard errors above the estimate, as if differences were normally distributed.
        """
        if self.pieces < _FEWEST_PIECES:
            return None
        estimate = self.squares / self.expected if self.expected else 1.0
        return float(estimate * (1 + 2 * np.sqrt(2 / self.pieces)))

    def dump(self) -> list[float]:
        """The state as JSON values."""
        return [self.squares, self.expected, self.pieces, self.usual, self.unsure]


def _difference(one: Units, other: Units) -> tuple[float, float] | None:
    """How far apart the means of two sets are, by the ranks of values among both, and its variance by chance alone.

    None where either is empty.
    """
    sizes = float(one.sum()), float(other.sum())
    if not (sizes[0] and sizes[1]):
        return None
    both = (one + other).astype(np.float64)
    ranks = (np.cumsum(both) - both / 2) / both.sum()
    centred = ranks - ranks @ both / both.sum()
    variance = float(centred**2 @ both / both.sum())
    difference = float(centred @ one / sizes[0] - centred @ other / sizes[1])
    return difference, variance * (1 / sizes[0] + 1 / sizes[1])


@dataclass(slots=True)
class Pieces:
    """Pieces of a metric's counts: those that wait until both arms have enough, and how dispersed those before were.

    `group` is how many requests count as one unit at least. `seen` are all requests of the stage by value.
    """

    metric: Metric
    buckets: Buckets
    group: int
    dispersion: Dispersion = field(default_factory=Dispersion)
    waiting: Piece | None = None
    seen: Piece | None = None

    def take(self, piece: Piece) -> Window | None:
        """Fold in a piece; returns a window of units once both arms have enough.

        While too little is known of the dispersion, pieces tell that alone, and pieces from which the candidate was
        taken away tell nothing: gateways serve stable while nobody watches. The share of a window is that of its units:
        with it a bet has a mean of at most one whatever the split was, where both arms have the same mean, because
        `n_c log(1 + e) + n_s log(1 - e n_c / n_s) <= 0`.
        """
        self.seen = self.seen.together(piece) if self.seen else piece
        if self._is_without_candidate(piece):
            return None
        piece = self.waiting.together(piece) if self.waiting else piece
        factor = self.dispersion.factor
        size = int(np.ceil(np.clip(factor or 1.0, self.group, _LARGEST_GROUP)))
        if min(piece.requests.candidate, piece.requests.stable) < size:
            self.waiting = piece
            return None
        self.waiting = None
        self.dispersion.note_arms(piece.counts.candidate, piece.counts.stable)
        return None if factor is None else self._window(piece, size)

    def _is_without_candidate(self, piece: Piece) -> bool:
        """Whether the candidate has nothing of a piece that would have brought it at least this many requests."""
        if self.seen is None or piece.requests.candidate or not self.seen.requests.stable:
            return False
        usual = self.seen.requests
        return usual.candidate / usual.stable * piece.requests.stable >= _EXPECTED

    def _window(self, piece: Piece, size: int) -> Window:
        units = ByArm(piece.requests.candidate // size, piece.requests.stable // size)
        share = units.candidate / (units.candidate + units.stable)
        candidate, stable = piece.counts.candidate, piece.counts.stable
        return Window(
            share,
            {self.metric: self._observed(candidate, units.candidate)},
            {self.metric: self._observed(stable, units.stable)},
            until=piece.until,
        )

    def _observed(self, counts: Units, units: int) -> Observations:
        values = self.buckets.spread(counts)
        return Observations(np.arange(len(values)) % units, values)

    def learn(self, past: Sequence[Piece]) -> Observations:
        """Learn from stable's past how dispersed its pieces are; returns its units."""
        for earlier, later in pairwise(past):
            self.dispersion.note(earlier.counts.stable, later.counts.stable)
        if not past:
            return NONE
        counts = np.sum([piece.counts.stable for piece in past], axis=0)
        size = int(np.ceil(np.clip(self.dispersion.factor or 1.0, self.group, _LARGEST_GROUP)))
        return self._observed(counts, max(int(counts.sum()) // size, 1))

    def events(self, piece: Piece) -> Events:
        """The requests of a piece one by one, all at its end, by nobody in particular."""
        values = [self.buckets.spread(one) for one in (piece.counts.candidate, piece.counts.stable)]
        of_candidate = np.repeat([True, False], [len(one) for one in values])
        nobody = np.zeros(len(of_candidate), np.int64)
        return Events(np.full(len(nobody), piece.until), nobody, of_candidate, {self.metric: np.concatenate(values)})

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "lower": self.buckets.lower.tolist(),
            "upper": self.buckets.upper.tolist(),
            "dispersion": self.dispersion.dump(),
            "waiting": self.waiting and self.waiting.dump(),
            "seen": self.seen and self.seen.dump(),
        }

    @classmethod
    def load(cls, metric: Metric, group: int, state: Mapping[str, Any]) -> Self:
        """What was dumped."""
        return cls(
            metric,
            Buckets(np.array(state["lower"]), np.array(state["upper"])),
            group,
            Dispersion(*state["dispersion"]),
            Piece.load(state["waiting"]),
            Piece.load(state["seen"]),
        )
