"""What a gate will do, foreseen: its own bets on traffic like stable's, with a harm of a given size or without any.

Every unit adds to each bet a term that depends on the bucket of its value only. So the log e-values are sums of
compound Poisson processes whose terms the engine itself computes, one for each bucket. Buckets are gathered into
groups (their terms averaged), the number of units of each group is drawn on a grid of times, and the gate's mixtures
and thresholds are applied to the sums: a few hundred paths in a few milliseconds, where a simulation of requests takes
minutes. Unlike a normal approximation of the sums, this keeps the skewness of rare events.
"""

import zlib
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softlaunch.gates.e_process import FRACTIONS, RATIOS, Side, bet_growth, event_growth, mixture
from softlaunch.gates.gate import PASSING_WEIGHTS, Gate
from softlaunch.gates.observations import NONE, Floats, Observations, Tally, Units, Window
from softlaunch.gates.reference import LEVELS, log_buckets, log_values
from softlaunch.gates.rules import GateRule
from softlaunch.gates.scales import is_ready

PATHS = 200
UNITS = np.geomspace(2, 400_000, 60)
"""Candidate units after which the gate is looked at in a path."""
LARGEST_FACTOR = 31.0
"""The largest relative harm that is considered: 32 times as slow or as dear."""
_GROUPS = 24
_LARGEST_BUCKET = 5000
_MOST_KNOWN = 100  # counts of units that are kept for the next question
_FEWEST_UNITS, _MOST_UNITS = 1e-6, 1e12  # in a look: beyond these nothing changes but the rounding
_HARDLY_ANY = 1e-9
"""The weight of a unit that is looked at alone, so that it doesn't move the centre of a window."""
_NOBODY = Tally(np.empty(0, dtype=np.int64), np.empty(0))


@dataclass(frozen=True, slots=True)
class SampledPaths:
    """Seeded counts of units by group; the same question has the same answer."""

    seed: int = 0
    paths: int = PATHS
    _known: dict[tuple[str, bytes], Floats] = field(default_factory=dict)

    def counts(self, name: str, rates: Floats) -> Floats:
        """Units of each group until each of UNITS, shape (groups, paths * times); `rates` are per candidate unit."""
        key = name, rates.tobytes()
        if key not in self._known:
            rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            expected = rates[:, None, None] * np.diff(UNITS, prepend=0.0)
            drawn = rng.poisson(expected, (len(rates), self.paths, len(UNITS))).cumsum(axis=2)
            if len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = drawn.astype(np.float64).reshape(len(rates), -1)
        return self._known[key]


@dataclass(frozen=True, slots=True, eq=False)
class StoppingTimes:
    """Candidate units until a gate passes and until it fails, all of shape (paths,); infinite where it never does.

    With `visits_fail` the gate sees users by their visits: these are the units by whose visits it fails, `fails` those
    by whose first requests it does, and it passes by visits. A unit's visit is over some time after it began.
    """

    passes: Floats
    fails: Floats
    visits_fail: Floats | None = None

    @property
    def soonest(self) -> Floats:
        """Candidate units until it fails in whichever way."""
        return self.fails if self.visits_fail is None else np.minimum(self.fails, self.visits_fail)


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """Rows with their probability, and the group that each belongs to; both of shape (n,)."""

    weight: Floats
    group: Units

    def rates(self) -> Floats:
        """Probability of each group."""
        return np.round(np.bincount(self.group, self.weight), 12)  # however rows are split, the same rates

    def gathered(self, terms: Floats) -> Floats:
        """Mean terms of each group, from terms of each row."""
        belongs = np.zeros((int(self.group.max()) + 1, len(self.group)))
        belongs[self.group, np.arange(len(self.group))] = self.weight
        return np.asarray(belongs @ terms / np.maximum(self.rates(), 1e-300)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class _Arm(Weighted):
    """Values by row: their bucket, shape (n,)."""

    index: Units


def crossing(evidence: Floats, needed: float, also: NDArray[np.bool_] | None = None) -> Floats:
    """Candidate units when the evidence is first as large as needed, shape (paths,); infinite where it never is.

    `evidence`, shape (paths * times,), is taken to grow evenly between two times; `also` says where else it must hold.
    """
    held = evidence.reshape(-1, len(UNITS))
    reached = held >= needed
    if also is not None:
        reached &= also.reshape(held.shape)
    time = reached.argmax(axis=1)
    path = np.arange(len(held))
    before = np.where(time > 0, held[path, time - 1], 0.0)
    part = np.clip((needed - before) / np.maximum(held[path, time] - before, 1e-9), 0.0, 1.0)
    start = np.concatenate([[0.0], UNITS[:-1]])[time]
    return np.where(reached.any(axis=1), start + part * (UNITS[time] - start), np.inf)


@dataclass(frozen=True)
class CopyOutlook:
    """One gate in one stage on an app's traffic.

    `stable` are the app's recent values; at least ENOUGH units of them, see `is_known`. `share` is the candidate's
    share of what is compared, and `units_per_look` how many of its units arrive between two looks (infinite where
    both arms answer the same requests): bad events count only in looks that saw both arms.
    """

    rule: GateRule
    stable: Observations
    share: float
    units_per_look: float = np.inf
    sampled: SampledPaths = field(default_factory=SampledPaths)

    @property
    def is_known(self) -> bool:
        """Whether enough values of stable are known to foresee anything."""
        return is_ready(self._gate.scale)

    @property
    def largest_harm(self) -> float:
        """The largest harm that a candidate can do."""
        if self.rule.metric.is_relative:
            return LARGEST_FACTOR
        usual = self._usual
        return float(1 - (usual.index / LEVELS) @ usual.weight)

    def stopping_times(self, harm: float = 0.0) -> StoppingTimes:
        """What happens to a candidate that is worse than stable by `harm`, in the margin's unit."""
        candidate = self._worse(harm)
        counts = self.sampled.counts(f"{self.rule.metric} candidate", candidate.rates())
        sums = candidate.gathered(self._candidate_terms(candidate.index)).T @ counts + self._stable_sums
        bets, kinds = len(FRACTIONS), len(self._bad_from)
        above, events, below, estimates = np.split(
            sums, np.cumsum([bets, kinds * len(RATIOS), 1 + bets]), axis=0
        )  # one row a bet, so that the mixtures over bets run along whole rows
        parts = [mixture(above.T), *(mixture(kind.T) for kind in np.split(events, kinds or 1)[:kinds])]
        material = np.any(estimates > 0, axis=0, keepdims=True)
        strict = self.rule.margin <= self.rule.material  # such a gate passes nothing that looks too bad
        return StoppingTimes(
            passes=crossing(
                mixture(below.T, PASSING_WEIGHTS),
                -np.log(1 - self.rule.confidence),
                ~material if strict else None,
            ),
            fails=crossing(mixture(np.stack(parts).T), -np.log(self.rule.alpha), material),
        )

    @cached_property
    def _gate(self) -> Gate:
        gate = Gate.begin(self.rule, Window(self.share, {}, {self.rule.metric: self.stable}))
        gate.bet_fractions = gate.choose_bet_fractions(self.share) if is_ready(gate.scale) else None
        return gate

    @cached_property
    def _usual(self) -> Tally:
        usual = self._gate.scale.alternative()
        return Tally(usual.index, usual.weight / usual.units)

    @cached_property
    def _bad_from(self) -> dict[str, int]:
        """The lowest bucket that counts as a bad event, for each kind of event."""
        kinds = self._gate.scale.events(self._usual, _NOBODY)
        low = -_LARGEST_BUCKET // 2

        def weight(kind: str, place: int) -> float:
            return self._gate.scale.events(Tally(np.array([low + place]), np.ones(1)), _NOBODY)[kind][0]

        return {kind: low + bisect_left(range(_LARGEST_BUCKET), 1.0, key=partial(weight, kind)) for kind in kinds}

    @property
    def _is_binary(self) -> bool:
        return set(self._usual.index.tolist()) <= {0, LEVELS}

    def _groups(self) -> Units:
        """Neighbouring buckets together, about as likely each; a likely bucket is a group of its own."""
        middle = np.cumsum(self._usual.weight) - self._usual.weight / 2
        return np.unique((middle * _GROUPS).astype(np.int64), return_inverse=True)[1]

    def _worse(self, harm: float) -> _Arm:
        """Stable's values made worse.

        Magnitudes are multiplied. What either happens or doesn't happens more often; graded scores all shift, as far
        as they can, by what makes their mean right.
        """
        usual = self._usual
        if self.rule.metric.is_relative:
            one = float(np.diff(np.log(log_values(np.array([0, 1]))))[0])
            positive = log_values(usual.index) > 0
            return self._between(np.where(positive, usual.index + np.log1p(harm) / one, usual.index), _LARGEST_BUCKET)
        if self._is_binary:
            bad = min(1 - self.largest_harm + harm, 1.0)
            return _Arm(np.array([1 - bad, bad]), np.array([0, 1]), np.array([0, LEVELS]))
        return self._between(_shifted(usual, harm), LEVELS)

    def _between(self, place: Floats, highest: int) -> _Arm:
        """Stable's values moved to places between buckets: parts of each fall into the one below and the one above."""
        groups, lower = self._groups(), np.floor(place).astype(np.int64)
        part = place - lower
        return _Arm(
            np.concatenate([self._usual.weight * (1 - part), self._usual.weight * part]),
            np.concatenate([groups, groups]),
            np.concatenate([lower, np.minimum(lower + 1, highest)]),
        )

    def safety_terms(self, index: Units) -> Floats:
        """What one candidate unit of each bucket adds to the bets that harm is below the margin."""
        seen = self._gate.scale.centred(_alone(index), _NOBODY, self._nulls)
        gain = Side(-seen.candidate.values[1][:, None], np.ones(1))
        return self._growth(gain, _nobody(), seen.high[1], seen.stable_low[1:], self._fractions)

    def stable_safety_terms(self, index: Units) -> Floats:
        """What one of stable's units of each bucket adds to the same."""
        seen = self._gate.scale.centred(_NOBODY, _alone(index), self._nulls)
        gain = Side(-seen.stable.values[0][:, None], np.ones(1))
        return self._growth(_nobody(), gain, seen.high[1], seen.stable_low[1:], self._fractions)

    def _candidate_terms(self, index: Units) -> Floats:
        """What one candidate unit of each bucket adds: to bets on harm, to counts of events, to bets on safety, and to
        the estimates that say whether harm is material.
        """
        seen = self._gate.scale.centred(_alone(index), _NOBODY, self._nulls)
        harm = Side(seen.candidate.values[0][:, None], np.ones(1))
        above = self._growth(harm, _nobody(), seen.low[0], seen.stable_high[:1])
        grown = event_growth(1, 0, *self._in_a_look)
        events = [(index >= first)[:, None] * grown for first in self._bad_from.values()]
        material = self.excess(index, self.rule.material)
        return np.concatenate([above, *events, self.safety_terms(index), material], axis=1)

    @cached_property
    def _stable_sums(self) -> Floats:
        """What stable's units add to the same, in all paths and at all times."""
        usual = self._usual
        seen = self._gate.scale.centred(_NOBODY, _alone(usual.index), self._nulls)
        harm = Side(seen.stable.values[0][:, None], np.ones(1))
        above = self._growth(_nobody(), harm, seen.low[0], seen.stable_high[:1])
        grown = event_growth(0, 1, *self._in_a_look) * -np.expm1(-self.units_per_look)
        events = [(usual.index >= first)[:, None] * grown for first in self._bad_from.values()]
        odds = self.share / (1 - self.share)
        material = -odds * self.excess(usual.index, 0.0)
        terms = np.concatenate([above, *events, self.stable_safety_terms(usual.index), material], axis=1)
        arm = _Arm(usual.weight, self._groups(), usual.index)
        return np.asarray(arm.gathered(terms).T @ self.sampled.counts(f"{self.rule.metric} stable", arm.rates() / odds))

    @cached_property
    def _nulls(self) -> Floats:
        return np.array([0.0, self.rule.margin])

    @cached_property
    def _fractions(self) -> Floats:
        """The bet fractions of bets that harm is below the margin."""
        fractions = self._gate.bet_fractions
        if fractions is None:
            return np.array([FRACTIONS[-1], *FRACTIONS])
        return np.array([fractions[np.argmin(np.abs(self.rule.grid - self.rule.margin))], *FRACTIONS])

    def _growth(
        self,
        candidate: Side,
        stable: Side,
        low: np.floating[Any],
        high: Floats,
        fractions: Floats = FRACTIONS,
    ) -> Floats:
        """Growth of each bet by a single unit of each bucket, shape (buckets, bets)."""
        rows = max(len(candidate.values), len(stable.values))
        return bet_growth(candidate, stable, self.share, np.full(rows, low), high, fractions)

    @cached_property
    def _in_a_look(self) -> tuple[float, float]:
        """Candidate and stable units of a look that saw a candidate unit."""
        odds = self.share / (1 - self.share)
        if np.isinf(self.units_per_look):
            return odds, 1.0
        units = min(max(self.units_per_look, _FEWEST_UNITS), _MOST_UNITS)
        return float(units / -np.expm1(-units)), units / odds

    def excess(self, index: Units, harm: float) -> Floats:
        """Terms whose sum over the candidate, less the same of stable without `harm`, is above zero when the estimated
        harm is above it; shape (buckets, estimates).

        A quantile is larger by more than `harm` when the candidate has more values beyond `(1 + harm)` times stable's
        usual quantile than stable has beyond the quantile itself.
        """
        usual = self._usual
        if not self.rule.metric.is_relative:
            return (index / LEVELS - (usual.index / LEVELS) @ usual.weight - harm)[:, None]
        cumulative = np.cumsum(usual.weight)
        columns: list[Floats] = []
        for quantile in (0.5, 0.95):
            at = usual.index[min(int(np.searchsorted(cumulative, quantile)), len(cumulative) - 1)]
            beyond = usual.weight[usual.index > at].sum()
            columns.append(np.asarray((index > log_buckets(log_values(np.array([at])) * (1 + harm))) - beyond))
        return np.stack(columns, axis=1)


def observations(values: Floats) -> Observations:
    """Values of as many units."""
    return Observations.of(np.arange(len(values)), values) if len(values) else NONE


def _alone(index: Units) -> Tally:
    return Tally(index, np.full(len(index), _HARDLY_ANY))


def _nobody() -> Side:
    return Side(np.zeros((1, 1)), np.zeros(1))


def _shifted(usual: Tally, harm: float) -> Floats:
    """Graded harms, in buckets, after a shift that makes their mean larger by `harm`."""
    wanted = min(float(usual.index @ usual.weight) + harm * LEVELS, float(LEVELS))
    low, high = 0.0, float(LEVELS)
    for _ in range(30):
        middle = (low + high) / 2
        if np.minimum(usual.index + middle, LEVELS) @ usual.weight < wanted:
            low = middle
        else:
            high = middle
    return np.asarray(np.minimum(usual.index + high, float(LEVELS)), dtype=np.float64)
