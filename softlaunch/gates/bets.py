"""Bets on which arm a unit is on, after seeing what it did: how harm is found where users come back.

A unit's arm is drawn by a keyed hash: the candidate's with probability `share`, whatever the unit does. So for any odds
L > 0 that are chosen without looking at arms, the factor `L / (share L + 1 - share)` for a unit of the candidate and
`1 / (share L + 1 - share)` for one of stable's has mean one when the candidate changes nothing, whatever the tails,
drift or similarity of values (a randomisation test by betting: Waudby-Smith & Ramdas 2023, arXiv 2010.09686; Zampieri
2025, arXiv 2512.04366). Odds rise with harm and have a mean of one over both arms' entries of the window and of the
past: what hits both arms equally, such as an outage, moves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from scipy.special import ndtri

from softlaunch.core.arms import ByArm
from softlaunch.gates.e_process import FRACTIONS, mixture, settled
from softlaunch.gates.observations import Flags, Floats, Tally
from softlaunch.gates.reference import ENOUGH, RECENT, Histogram, Recent, log_buckets

RATIOS = np.array([1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0])
"""Odds ratios of a bad event that are bet on."""
RATIO_WEIGHTS = np.array([0.05, 0.15, 0.26, 0.26, 0.14, 0.09, 0.05])
"""Their weights: most for harm that is neither too small to matter nor so large that a few events show it anyway."""
SHIFTS = np.array([0.1, 0.2, 0.35, 0.6, 1.0, 1.6, 2.5])
"""Shifts of a magnitude that are bet on, in standard deviations of the entries' normal scores."""
SHIFT_WEIGHTS = np.array([0.08, 0.13, 0.18, 0.22, 0.2, 0.12, 0.07])
"""Their weights, likewise."""
EVENT_STAKE_WEIGHTS = np.array([0.1, 0.17, 0.25, 0.25, 0.15, 0.08])
GRADED_STAKE_WEIGHTS = np.array([0.04, 0.1, 0.2, 0.3, 0.26, 0.1])
FAR_STAKE_WEIGHTS = np.array([0.02, 0.05, 0.1, 0.18, 0.3, 0.35])
"""Weights of the FRACTIONS that are bet on the mean of what is rare, of what is graded, and of what reaches beyond
[0, 1], of which the largest bets are smaller, likewise."""
_MEMORY = 2500.0
_GRAIN = 200
_LEAST_DEVIATION = 0.01
_LARGEST_SCORE = 3.5


@dataclass(slots=True, eq=False)
class Known:
    """What was seen of one column of entries before this window, of both arms without regard to arm.

    Shares are kept to half a point, magnitudes in buckets of 2 %.
    """

    is_magnitude: bool = False
    held: Histogram = field(default_factory=Histogram)
    recent: Recent = field(default_factory=Recent)
    recent_events: Recent = field(default_factory=Recent)

    @property
    def is_enough(self) -> bool:
        """Whether enough is known to bet on."""
        return self.held.total >= ENOUGH

    def add(self, values: Floats) -> None:
        """Learn values, shape (n,), after they were bet on; NaN is left out."""
        known = values[~np.isnan(values)]
        if len(known):
            if self.is_enough:
                self.recent.add(float((self.scores(known) if self.is_magnitude else known).sum()), len(known))
                self.recent_events.add(float((known > 0).sum()), len(known))
            self.held.add(Tally.count(self._index(known)), _MEMORY)

    def _index(self, values: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
        return log_buckets(values) if self.is_magnitude else np.rint(values * _GRAIN).astype(np.int64)

    def mean(self, values: Floats) -> float:
        """Mean of a share over the past and these values of the window."""
        past = self.held.tally()
        shares = past.index / _GRAIN
        usual = float(shares @ past.weight / past.units)
        deviation = float(np.sqrt((shares - usual) ** 2 @ past.weight / past.units))
        centre = self.recent.mean if self.recent.differs(usual, max(deviation, _LEAST_DEVIATION)) else usual
        return float(np.clip((values.sum() + RECENT * centre) / (len(values) + RECENT), 0.001, 0.999))

    def usual_odds(self, tilts: Floats) -> Floats:
        """Mean of `exp(tilt)` over the past, for tilts of an event; shape (tilts,)."""
        past = self.held.tally()
        rate = float(past.weight[past.index > 0].sum() / past.units)
        if self.recent_events.differs(rate, max(float(np.sqrt(rate * (1 - rate))), _LEAST_DEVIATION)):
            rate = self.recent_events.mean
        return np.asarray(1 + rate * np.expm1(tilts))

    def usual_score_odds(self) -> Floats:
        """Mean of `exp(shift * score)` over the past, for SHIFTS of normal scores; shape (shifts,)."""
        shifted = self.recent.mean if self.recent.differs(0.0, 1.0) else 0.0
        return np.asarray(np.exp(SHIFTS * shifted + SHIFTS**2 / 2))

    def scores(self, values: Floats) -> Floats:
        """Normal scores of magnitudes: the quantiles that their mid-ranks in the past have in a normal distribution."""
        ranks = self.held.ranks(self._index(values))
        half = 0.5 / (self.held.total + 1)
        return np.asarray(np.clip(ndtri(np.clip(ranks, half, 1 - half)), -_LARGEST_SCORE, _LARGEST_SCORE))

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        recent = [self.recent.dump(), self.recent_events.dump()]
        return {"held": self.held.dump(), "recent": recent}

    def fill(self, state: Mapping[str, Any]) -> None:
        """Take on what was dumped."""
        self.held = Histogram.load(state["held"])
        self.recent, self.recent_events = (Recent(*one) for one in state["recent"])


def tilted(log_odds: Floats, usual: Floats, candidate: Flags, share: float) -> Floats:
    """Growth of the log e-value by bets with odds `exp(log_odds)`, shape (n, bets), brought to a mean of one; (bets,).

    `usual` is the mean of the odds over the past. Centring on the window's own entries uses both arms in the same way.
    """
    mean = (np.exp(log_odds).sum(axis=0) + RECENT * usual) / (len(log_odds) + RECENT)
    return np.asarray(assigned(log_odds - np.log(mean), candidate, share).sum(axis=0))


def assigned(log_odds: Floats, candidate: Flags, share: float) -> Floats:
    """Growth of the log e-value by each entry's bets with odds `exp(log_odds)` of mean one; shape (n, bets)."""
    return np.asarray(np.where(candidate[:, None], log_odds, 0.0) - np.log1p(share * np.expm1(log_odds)))


def linear(harm: Floats, centre: float, candidate: Flags, share: float, reach: float = 0.0) -> Floats:
    """Growth of the log e-value by bets of FRACTIONS on harm above a centre; shape (fractions,).

    Harm is in [0, 1], or as far beyond as `reach`. Factors `1 + eta (y - c)` for the candidate and
    `1 - eta share / (1 - share) (y - c)` for stable have a mean of at most one if the candidate's mean harm is at most
    stable's.
    """
    return np.asarray(fraction_growth(harm, centre, candidate, share, reach).sum(axis=0))


def fraction_growth(harm: Floats, centre: float, candidate: Flags, share: float, reach: float = 0.0) -> Floats:
    """Growth of the log e-value by each entry's bets on harm above a centre; shape (n, fractions)."""
    odds = share / (1 - share)
    eta = FRACTIONS * 0.999 / max(centre + reach, odds * (1 + reach - centre), 1e-9)
    off = harm[:, None] - centre
    return np.asarray(np.log1p(np.where(candidate[:, None], eta * off, -odds * eta * off)))


@dataclass(slots=True, eq=False)
class Sums:
    """Entries of one arm: how many, their sum and their sum of squares."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: Floats) -> None:
        """Take in values, shape (n,)."""
        if len(values):
            self.count += len(values)
            self.total += float(values.sum())
            self.squares += float((values * values).sum())

    @property
    def mean(self) -> float:
        """Mean; NaN without any."""
        return self.total / self.count if self.count else float("nan")

    @property
    def variance_of_mean(self) -> float:
        """Variance of the mean; infinite with fewer than two."""
        if self.count < 2:
            return float("inf")
        return max(self.squares / self.count - self.mean**2, 0.0) / self.count


@dataclass(slots=True, eq=False)
class Bets:
    """An e-process against "no harm" from entries of one metric: several kinds of bets, each of several sizes.

    `log_e_values` are those of each kind's bets, shape (sizes,), and `weights` their weights in the mean over all
    kinds and sizes, which is an e-process because all of them bet on the same entries. `sums` are the estimates' sums
    per arm and column.
    """

    weights: Mapping[str, Floats]
    log_e_values: dict[str, Floats] = field(default_factory=dict)
    sums: dict[str, ByArm[Sums]] = field(default_factory=dict)
    _evidence: float | None = None

    def grow(self, kind: str, growth: Floats) -> None:
        """Add the growth of one kind's bets."""
        self.log_e_values[kind] = settled(self.log_e_values.get(kind, np.zeros(len(growth))) + growth)
        self._evidence = None

    def note(self, column: str, values: Floats, candidate: Flags) -> None:
        """Take in entries for the estimates."""
        if column not in self.sums:
            self.sums[column] = ByArm(Sums(), Sums())
        arms = self.sums[column]
        arms.candidate.add(values[candidate])
        arms.stable.add(values[~candidate])

    @property
    def log_evidence(self) -> float:
        """Log of the e-value: the weighted mean over all bets."""
        if self._evidence is None:
            self._evidence = self._mixed()
        return self._evidence

    def _mixed(self) -> float:
        if not self.log_e_values:
            return 0.0
        logs = [self.log_e_values.get(kind, np.zeros(len(weights))) for kind, weights in self.weights.items()]
        return float(mixture(np.concatenate(logs), np.concatenate(list(self.weights.values()))))

    def means(self, column: str) -> ByArm[Sums]:
        """The sums of a column."""
        return self.sums.get(column) or ByArm(Sums(), Sums())

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "wealth": {kind: log.tolist() for kind, log in self.log_e_values.items()},
            "sums": {
                column: [[arm.count, arm.total, arm.squares] for arm in (arms.candidate, arms.stable)]
                for column, arms in self.sums.items()
            },
        }

    @classmethod
    def load(cls, weights: Mapping[str, Floats], state: Mapping[str, Any]) -> Self:
        """What was dumped."""
        return cls(
            weights,
            {kind: np.array(log) for kind, log in state["wealth"].items()},
            {column: ByArm(Sums(*candidate), Sums(*stable)) for column, (candidate, stable) in state["sums"].items()},
        )
