"""Who asks, and when, before anybody answers: the same units, times and luck for every judge of a run.

Traffic is drawn in blocks of time, each from a generator of its own, so that it can be read in any steps.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmarks.gates.model import Crowd, Disturbance, Scenario

Floats = NDArray[np.float64]
Units = NDArray[np.int64]
Flags = NDArray[np.bool_]

_BLOCK = 2000
"""Requests of a block, on average."""
_KEPT = 300
_NOISE = ("errors", "latency", "cost", "quality", "satisfaction")
_NORMAL = frozenset({"latency", "cost"})
_KEYS = 2**32
_BOT = -1
_BOT_LEVEL = 2.0


@dataclass(frozen=True, slots=True)
class Draws:
    """One stretch of requests in order of time (seconds since the release began), every array of shape (n,).

    `bucket` is a unit's place in the split and `number` counts a unit's requests in its visit, from one. `mirrored`,
    `rated`, `scored` and `slow` are in [0, 1) and decide what becomes of a request; `delays` are two waits, of scores
    and of ratings, in units of their mean. The noise is standard normal for latency and cost, and uniform otherwise.
    """

    at: Floats
    units: Units
    bucket: Floats
    number: Units
    mirrored: Floats
    rated: Floats
    scored: Floats
    slow: Floats
    delays: tuple[Floats, Floats]
    noise: Mapping[str, Floats]

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.at)

    def only(self, kept: slice | Flags | Units) -> "Draws":
        """Some of them."""
        return Draws(
            self.at[kept],
            self.units[kept],
            self.bucket[kept],
            self.number[kept],
            self.mirrored[kept],
            self.rated[kept],
            self.scored[kept],
            self.slow[kept],
            (self.delays[0][kept], self.delays[1][kept]),
            {name: values[kept] for name, values in self.noise.items()},
        )

    @classmethod
    def joined(cls, parts: Sequence["Draws"]) -> "Draws":
        """Stretches one after the other."""
        if len(parts) == 1:
            return parts[0]

        def together(column: Callable[["Draws"], Floats]) -> Floats:
            return np.concatenate([column(part) for part in parts])

        return cls(
            together(lambda part: part.at),
            np.concatenate([part.units for part in parts]),
            together(lambda part: part.bucket),
            np.concatenate([part.number for part in parts]),
            together(lambda part: part.mirrored),
            together(lambda part: part.rated),
            together(lambda part: part.scored),
            together(lambda part: part.slow),
            (together(lambda part: part.delays[0]), together(lambda part: part.delays[1])),
            {name: np.concatenate([part.noise[name] for part in parts]) for name in _NOISE},
        )


class Arrivals(Protocol):
    """A source of requests in blocks of `seconds`; block 0 begins with the release."""

    @property
    def seconds(self) -> float:
        """How long a block is."""
        ...

    def block(self, number: int, copy: int) -> Draws:
        """The requests of a block; those of another `copy` are the same ones with other luck."""
        ...


def _generator(seed: Sequence[int], *key: int) -> np.random.Generator:
    return np.random.default_rng([*seed, *(one % _KEYS for one in key)])


@dataclass(slots=True)
class Scattered:
    """Requests at even distances, those of a unit scattered over a block. A unit's values are alike by being the same:
    two of its requests share each value with the probability `correlation`.
    """

    seed: tuple[int, ...]
    rate: float
    unit_size: int
    correlation: float

    @property
    def seconds(self) -> float:
        """How long a block is."""
        return _BLOCK / self.rate

    def block(self, number: int, copy: int) -> Draws:
        """The requests of a block."""
        rng = _generator(self.seed, 2 + copy, number + 1)
        owners = rng.permutation(np.repeat(np.arange(_BLOCK // self.unit_size), self.unit_size))
        kept = np.sqrt(self.correlation) if self.unit_size > 1 else 0.0
        noise: dict[str, Floats] = {}
        for name in _NOISE:
            draw = rng.standard_normal if name in _NORMAL else rng.random
            own = draw(_BLOCK)
            noise[name] = np.where(rng.random(_BLOCK) < kept, draw(_BLOCK)[owners], own) if kept else own
        bucket, mirrored, rated = rng.random(_BLOCK)[owners], rng.random(_BLOCK), rng.random(_BLOCK)
        more = _generator(self.seed, 2 + copy, number + 1, 1)
        return Draws(
            at=np.asarray((number * _BLOCK + np.arange(_BLOCK) + 0.5) / self.rate),
            units=(number * _BLOCK + owners).astype(np.int64),
            bucket=bucket,
            number=_counted(owners),
            mirrored=mirrored,
            rated=rated,
            scored=more.random(_BLOCK),
            slow=more.random(_BLOCK),
            delays=(more.exponential(size=_BLOCK), more.exponential(size=_BLOCK)),
            noise=noise,
        )


def _counted(owners: Units) -> Units:
    """How many of the entries up to each are of the same owner."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    first = np.searchsorted(ordered, ordered)
    number = np.empty(len(owners), np.int64)
    number[order] = np.arange(len(owners)) - first + 1
    return number


@dataclass(slots=True)
class People:
    """A crowd's requests at random times. A unit's values are alike because it has levels of its own.

    A request's noise is the unit's level, of the variance `correlation`, and chance of its own for the rest.
    """

    seed: tuple[int, ...]
    rate: float
    crowd: Crowd
    disturbance: Disturbance | None = None
    _levels: dict[int, Floats] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long a block is: longer than a visit, so that one reaches into the next block at most."""
        visit = self.crowd.visit_seconds if self.crowd.users is None and self.crowd.visit_requests > 1 else 0.0
        return max(_BLOCK / self.rate, visit)

    def block(self, number: int, copy: int) -> Draws:
        """The requests of a block, of those who came in it and in the one before."""
        begin, end = number * self.seconds, (number + 1) * self.seconds
        if self.crowd.users is None:
            parts = [self._visitors(number - 1, copy), self._visitors(number, copy)]
        else:
            parts = [self._regulars(number, copy, self.crowd.users)]
        if self.crowd.bot_share:
            parts.append(self._bot(number, copy))
        every = Draws.joined(parts)
        inside = np.flatnonzero((every.at >= begin) & (every.at < end))
        return every.only(inside[np.argsort(every.at[inside], kind="stable")])

    def _visitors(self, number: int, copy: int) -> Draws:
        """Those who come for the first and only time in a block, with all their requests."""
        rng, each = _generator(self.seed, 2, number, 0), self.crowd.visit_requests
        start = self._times(rng, number, (1 - self.crowd.bot_share) / each)
        count = len(start)
        pauses = np.sort(rng.uniform(0.0, self.crowd.visit_seconds, (count, each)), axis=1)
        pauses[:, 0] = 0.0
        unit = number * _KEYS + np.arange(count, dtype=np.int64)
        levels = rng.standard_normal((count, len(_NOISE)))
        owner = np.repeat(np.arange(count), each)
        return self._drawn(
            (start[:, None] + pauses).ravel(),
            unit[owner],
            rng.random(count)[owner],
            np.tile(np.arange(1, each + 1), count),
            levels[owner],
            (number, 0, copy),
        )

    def _regulars(self, number: int, copy: int, users: int) -> Draws:
        """What people who come all day long ask in a block."""
        rng = _generator(self.seed, 2, number, 1)
        at = self._times(rng, number, 1 - self.crowd.bot_share)
        unit = rng.integers(0, users, len(at))
        levels = self._table(0, users)[unit]
        if self.crowd.wander_seconds is not None:
            levels = np.sqrt(0.5) * levels + np.sqrt(0.5) * self._wandering(at, unit, users, self.crowd.wander_seconds)
        bucket = _generator(self.seed, 3, 0).random(users)[unit]
        return self._drawn(at, unit, bucket, np.full(len(at), 2, np.int64), levels, (number, 1, copy))

    def _wandering(self, at: Floats, unit: Units, users: int, seconds: float) -> Floats:
        """Levels that turn from one independent draw into the next, of variance one all the way."""
        knot = np.floor(at / seconds).astype(np.int64)
        turn = (at / seconds - knot)[:, None] * np.pi / 2
        levels = np.empty((len(at), len(_NOISE)))
        for one in np.unique(knot).tolist():
            here = knot == one
            before, after = self._table(one + 1, users)[unit[here]], self._table(one + 2, users)[unit[here]]
            levels[here] = np.cos(turn[here]) * before + np.sin(turn[here]) * after
        return levels

    def _table(self, key: int, users: int) -> Floats:
        """Levels of all users, shape (users, metrics)."""
        if key not in self._levels:
            self._levels[key] = _generator(self.seed, 4, key).standard_normal((users, len(_NOISE)))
        return self._levels[key]

    def _bot(self, number: int, copy: int) -> Draws:
        """The requests of one unit that never tires and is unlike the others."""
        rng, own = _generator(self.seed, 2, number, 2), _generator(self.seed, 5, 0)
        at = self._times(rng, number, self.crowd.bot_share)
        levels = np.tile(_BOT_LEVEL * own.choice([-1.0, 1.0], len(_NOISE)), (len(at), 1))
        bucket = np.full(len(at), own.random())
        numbers = np.full(len(at), 2, np.int64)
        return self._drawn(at, np.full(len(at), _BOT, np.int64), bucket, numbers, levels, (number, 2, copy))

    def _times(self, rng: np.random.Generator, number: int, part: float) -> Floats:
        """When something happens in a block that makes up a part of the traffic."""
        begin, end = number * self.seconds, (number + 1) * self.seconds
        if self.disturbance is None or self.disturbance.rate == 1.0:
            return np.asarray(np.sort(rng.uniform(begin, end, rng.poisson(part * self.rate * self.seconds))))
        edges, expected = _expected(self.disturbance, begin, end)
        count = rng.poisson(part * self.rate * expected[-1])
        return np.asarray(np.interp(np.sort(rng.uniform(0.0, expected[-1], count)), expected, edges))

    def _drawn(
        self, at: Floats, units: Units, bucket: Floats, number: Units, levels: Floats, key: tuple[int, int, int]
    ) -> Draws:
        block, part, copy = key
        n, alike = len(at), self.crowd.correlation
        luck = _generator(self.seed, 6 + copy, block, part)
        normal = np.sqrt(alike) * levels + np.sqrt(1 - alike) * luck.standard_normal((n, len(_NOISE)))
        noise = {
            name: values if name in _NORMAL else np.minimum(ndtr(values), 1 - 1e-12)
            for name, values in zip(_NOISE, normal.T, strict=True)
        }
        mirrored, rated, scored, slow = luck.random((4, n))
        waits = luck.exponential(size=(2, n))
        return Draws(at, units, bucket, number, mirrored, rated, scored, slow, (waits[0], waits[1]), noise)


def _expected(disturbance: Disturbance, begin: float, end: float) -> tuple[Floats, Floats]:
    """Moments, and how much traffic is expected until each, in seconds of the undisturbed."""
    first, last = np.floor(begin / disturbance.period), np.ceil(end / disturbance.period)
    starts = (np.arange(first - 1, last + 1) + 0.5) * disturbance.period
    edges = np.unique(np.clip(np.concatenate([[begin, end], starts, starts + disturbance.seconds]), begin, end))
    factor = np.where(is_disturbed(disturbance, (edges[:-1] + edges[1:]) / 2), disturbance.rate, 1.0)
    return edges, np.concatenate([[0.0], np.cumsum(np.diff(edges) * factor)])


def is_disturbed(disturbance: Disturbance, at: Floats) -> Flags:
    """Whether each moment lies in the disturbed part of its period."""
    return np.asarray((at / disturbance.period - 0.5) % 1.0 < disturbance.seconds / disturbance.period)


def arrivals(scenario: Scenario, seed: tuple[int, ...]) -> Arrivals:
    """The source of a scenario's requests in one run."""
    if scenario.crowd is None:
        return Scattered(seed, scenario.rate, scenario.unit_size, scenario.levels.unit_correlation)
    return People(seed, scenario.rate, scenario.crowd, scenario.disturbance)


@dataclass(slots=True)
class Stream:
    """The requests of a run, of which the blocks read last are kept."""

    source: Arrivals
    _kept: OrderedDict[tuple[int, int], Draws] = field(default_factory=OrderedDict)

    def between(self, begin: float, end: float, copy: int = 0) -> Draws:
        """The requests from one moment to another."""
        first, last = int(begin // self.source.seconds), int(end // self.source.seconds)
        return Draws.joined([self._cut(number, copy, begin, end) for number in range(first, last + 1)])

    def latest(self, count: int) -> Draws:
        """That many requests from before the release."""
        number, found = -1, self._block(-1, 0)
        while len(found) < count:
            number -= 1
            found = Draws.joined([self._block(number, 0), found])
        return found.only(slice(len(found) - count, None))

    def _cut(self, number: int, copy: int, begin: float, end: float) -> Draws:
        block = self._block(number, copy)
        first, last = np.searchsorted(block.at, [begin, end]).tolist()
        return block if first == 0 and last == len(block) else block.only(slice(first, last))

    def _block(self, number: int, copy: int) -> Draws:
        key = number, copy
        if key not in self._kept:
            self._kept[key] = self.source.block(number, copy)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]
