"""How a metric's values become harm in [0, 1], for the bets and for people.

Two scales. A *share* (errors, unusable answers, quality, satisfaction, hallucination) is harm as it is, and a margin is
a difference. A *magnitude* (latency, cost) is ranked among stable's recent values, which makes it independent of its
unit, and a margin is a factor: the candidate's values are divided by it before they are ranked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.e_process import Side
from softlaunch.gates.observations import Floats, Observations, Tally
from softlaunch.gates.reference import ENOUGH, LEVELS, MEMORY, RECENT, Histogram, Recent, log_buckets, log_values

_LEAST_DEVIATION = 0.01
_RANK_DEVIATION = 12**-0.5
_RAREST = 0.0025
_LATELY, _ENOUGH_UNREST = 20.0, 200.0
_BY_MUCH, _CALMEST = 2.0, 5.0
_SLOW = {"the slowest 5 %": 0.95, "the slowest 1 %": 0.99}


@dataclass(frozen=True, slots=True, eq=False)
class Centred:
    """Harm by bucket, less a centre and, for the candidate, less each margin.

    The candidate's values lie in [-low, high], stable's in [-stable_low, stable_high], all of shape (margins,).
    """

    candidate: Side
    stable: Side
    low: Floats
    high: Floats
    stable_low: Floats
    stable_high: Floats


def _centre(usual: float, *sides: tuple[Floats, Floats]) -> Floats:
    """Mean of values, shape (margins, n), with weights, shape (n,), of both arms and of the past; shape (margins,).

    What moves both arms within a window then moves neither against the other. Both arms enter in the same way, so under
    the null a centre that knows the window is as good as one that was known before it.
    """
    total = sum((values @ weights for values, weights in sides), start=np.array([RECENT * usual]))
    return np.asarray(total / (RECENT + sum(weights.sum() for _, weights in sides)))


class Scale(Protocol):
    """What one metric's gate needs to know about its values."""

    reference: Histogram

    def tally(self, observed: Observations) -> Tally:
        """Observations by bucket."""
        ...

    def centred(self, candidate: Tally, stable: Tally, margins: Floats) -> Centred:
        """Harm of a window on this scale."""
        ...

    def alternative(self) -> Tally:
        """What a harmless candidate is expected to look like: stable's recent values, and room for rare ones."""
        ...

    def events(self, candidate: Tally, stable: Tally) -> dict[str, tuple[float, float]]:
        """Weight of bad events in the window, per kind of event: (candidate's, stable's)."""
        ...

    @property
    def calm(self) -> float:
        """How much more a value tells now than usually: one over its variance, relative to the reference's."""
        ...

    def note(self, candidate: Tally, stable: Tally) -> None:
        """Take in both arms' values for the estimates."""
        ...

    def values(self) -> ByArm[float | None]:
        """Candidate's and stable's typical value in the metric's own unit."""
        ...

    def harms(self) -> dict[str, float]:
        """Estimated harm in the margin's unit, by what was estimated, the typical value first; empty without data."""
        ...

    def dump(self) -> dict[str, Any]:
        """The scale's state as JSON values."""
        ...


@dataclass(slots=True)
class ShareScale:
    """Harm that already lies in [0, 1]; `flipped` where a higher value is better.

    Values that were corrected by a prediction may lie beyond by `reach`.
    """

    flipped: bool = False
    countable: bool = False
    reach: float = 0.0
    reference: Histogram = field(default_factory=Histogram)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])  # units and harm, candidate then stable
    recent: Recent = field(default_factory=Recent)
    lately: Recent = field(default_factory=lambda: Recent(memory=_LATELY))
    unrest: Recent = field(default_factory=lambda: Recent(memory=MEMORY))  # squares of how far `lately` was off

    def tally(self, observed: Observations) -> Tally:
        """Harm in buckets of half a point."""
        clipped = np.clip(observed.values, -self.reach, 1.0 + self.reach)
        harm = 1 - clipped if self.flipped else clipped
        return Tally.of(observed.units, np.rint(harm * LEVELS).astype(np.int64))

    def centred(self, candidate: Tally, stable: Tally, margins: Floats) -> Centred:
        """Harm less its mean over both arms and the past, and less each margin for the candidate.

        The mean is kept off the ends, so that a first event can't be infinitely surprising.
        """
        usual = self._usual()
        harm, same = candidate.index / LEVELS - margins[:, None], stable.index[None, :] / LEVELS
        centre = np.clip(_centre(usual, (harm, candidate.weight), (same, stable.weight)), 0.001, 0.999)
        return Centred(
            candidate=Side(harm - centre[:, None], candidate.weight),
            stable=Side(same - centre[:, None], stable.weight),
            low=np.maximum(centre + margins + self.reach, 0.0),
            high=np.maximum(1 + self.reach - centre - margins, 0.0),
            stable_low=centre + self.reach,
            stable_high=1 + self.reach - centre,
        )

    def _usual(self) -> float:
        """Stable's mean, or that of the last units of both arms where it isn't that any more."""
        held = self.reference.tally()
        harms = held.index / LEVELS
        mean = float(harms @ held.weight / held.units)
        deviation = float(np.sqrt((harms - mean) ** 2 @ held.weight / held.units))
        return self.recent.mean if self.recent.differs(mean, max(deviation, _LEAST_DEVIATION)) else mean

    @property
    def calm(self) -> float:
        """By the variance of what happens or doesn't, at the present rate and at the usual one.

        The present rate is that of the last units of both arms, where it is known to move by more than chance explains;
        where it doesn't, it is the usual one. What is calm now may be disturbed from one look to the next, so that a
        unit never counts for more than a few.
        """
        held = self.reference.tally()
        usual = float(np.clip((held.index / LEVELS) @ held.weight / held.units, _RAREST, 1 - _RAREST))
        by_chance = usual * (1 - usual) / _LATELY
        if self.unrest.weight < _ENOUGH_UNREST or self.unrest.mean < _BY_MUCH * by_chance:
            return 1.0
        now = (self.lately.mean * self.lately.weight + usual) / (self.lately.weight + 1)
        return float(np.clip(usual * (1 - usual) / max(now * (1 - now), _RAREST), 1 / _CALMEST, _CALMEST))

    def alternative(self) -> Tally:
        """Stable's recent harms, and one more at each end: what never happened may still."""
        held = Histogram(self.reference.index, self.reference.weight)
        held.add(Tally(np.array([0, LEVELS]), np.ones(2)))
        return held.tally()

    def events(self, candidate: Tally, stable: Tally) -> dict[str, tuple[float, float]]:
        """Failures, where the metric counts them."""
        if not self.countable:
            return {}
        failed = [float(seen.weight[seen.index > 0].sum()) for seen in (candidate, stable)]
        return {"failures": (failed[0], failed[1])}

    def note(self, candidate: Tally, stable: Tally) -> None:
        """Add to both arms' sums."""
        harms = [float((seen.index / LEVELS) @ seen.weight) for seen in (candidate, stable)]
        for offset, seen, harm in ((0, candidate, harms[0]), (2, stable, harms[1])):
            self.sums[offset] += seen.units
            self.sums[offset + 1] += harm
        units = candidate.units + stable.units
        self.recent.add(sum(harms), units)
        self.lately.add(sum(harms), units)
        if is_ready(self) and self.lately.weight >= _LATELY:
            held = self.reference.tally()
            usual = float((held.index / LEVELS) @ held.weight / held.units)
            self.unrest.add(units * (self.lately.mean - usual) ** 2, units)

    def values(self) -> ByArm[float | None]:
        """Means of both arms."""
        means = [harm / units if units else None for units, harm in (self.sums[:2], self.sums[2:])]
        shown = [None if mean is None else 1 - mean if self.flipped else mean for mean in means]
        return ByArm(shown[0], shown[1])

    def harms(self) -> dict[str, float]:
        """Difference of the means."""
        if not (self.sums[0] and self.sums[2]):
            return {}
        return {"on average": self.sums[1] / self.sums[0] - self.sums[3] / self.sums[2]}

    def dump(self) -> dict[str, Any]:
        """Reference and sums."""
        return {
            "reference": self.reference.dump(),
            "sums": self.sums,
            "recent": self.recent.dump(),
            "lately": self.lately.dump(),
            "unrest": self.unrest.dump(),
        }


@dataclass(slots=True)
class MagnitudeScale:
    """Values above zero whose size matters relatively."""

    reference: Histogram = field(default_factory=Histogram)
    candidate: Histogram = field(default_factory=Histogram)
    stable: Histogram = field(default_factory=Histogram)
    recent: Recent = field(default_factory=Recent)

    def tally(self, observed: Observations) -> Tally:
        """Values in logarithmic buckets."""
        return Tally.of(observed.units, log_buckets(observed.values))

    def centred(self, candidate: Tally, stable: Tally, margins: Floats) -> Centred:
        """Ranks among stable's recent values less their mean over both arms and the past, which is one half.

        The candidate's values are divided by 1 + margin first.
        """
        ranks = self.reference.ranks_divided(candidate.index, 1 + margins)
        same = self.reference.ranks(stable.index)[None, :]
        usual = self.recent.mean if self.recent.differs(0.5, _RANK_DEVIATION) else 0.5
        centre = _centre(usual, (ranks, candidate.weight), (same, stable.weight))
        return Centred(
            candidate=Side(ranks - centre[:, None], candidate.weight),
            stable=Side(same - centre[:, None], stable.weight),
            low=centre,
            high=1 - centre,
            stable_low=centre,
            stable_high=1 - centre,
        )

    @property
    def calm(self) -> float:
        """Ranks vary about as much whatever happens."""
        return 1.0

    def alternative(self) -> Tally:
        """Stable's recent values."""
        return self.reference.tally()

    def events(self, candidate: Tally, stable: Tally) -> dict[str, tuple[float, float]]:
        """Values above stable's recent 95th and 99th percentiles."""
        counts: dict[str, tuple[float, float]] = {}
        for name, share in _SLOW.items():
            edge = self.reference.quantile(share) or 0
            above = [float(seen.weight[seen.index > edge].sum()) for seen in (candidate, stable)]
            counts[name] = above[0], above[1]
        return counts

    def note(self, candidate: Tally, stable: Tally) -> None:
        """Add to both arms' histograms."""
        if is_ready(self):
            ranks = [float(self.reference.ranks(seen.index) @ seen.weight) for seen in (candidate, stable)]
            self.recent.add(sum(ranks), candidate.units + stable.units)
        self.candidate.add(candidate)
        self.stable.add(stable)

    def values(self) -> ByArm[float | None]:
        """Medians of both arms."""
        return ByArm(_value(self.candidate.quantile(0.5)), _value(self.stable.quantile(0.5)))

    def harms(self) -> dict[str, float]:
        """Relative changes of the median and of the 95th percentile."""
        changes = {"at the median": self._change(0.5), "at the 95th percentile": self._change(0.95)}
        return {name: change for name, change in changes.items() if change is not None}

    def _change(self, share: float) -> float | None:
        candidate, stable = _value(self.candidate.quantile(share)), _value(self.stable.quantile(share))
        if candidate is None or stable is None:
            return None
        if stable == 0:
            return 0.0 if candidate == 0 else float("inf")
        return candidate / stable - 1

    def dump(self) -> dict[str, Any]:
        """Reference and histograms, sparse."""
        held = {"reference": self.reference, "candidate": self.candidate, "stable": self.stable}
        return {**{name: histogram.dump() for name, histogram in held.items()}, "recent": self.recent.dump()}


def _value(bucket: int | None) -> float | None:
    return None if bucket is None else float(log_values(np.array([bucket]))[0])


def learn(scale: Scale, stable: Tally) -> None:
    """Let a scale's reference follow stable's values, after they were judged."""
    scale.reference.add(stable, MEMORY)


def is_ready(scale: Scale) -> bool:
    """Whether enough is known of stable to bet."""
    return scale.reference.total >= ENOUGH


def make_scale(metric: Metric, state: Mapping[str, Any] | None = None, reach: float = 0.0) -> Scale:
    """The scale of a metric, empty or as it was dumped; `reach` is how far shares may lie beyond [0, 1]."""
    held = state or {}
    if metric.is_relative:
        return MagnitudeScale(
            _loaded(held, "reference"),
            _loaded(held, "candidate"),
            _loaded(held, "stable"),
            Recent(*held.get("recent", ())),
        )
    return ShareScale(
        flipped=metric.higher_is_better,
        countable=metric.is_event and not reach,
        reach=reach,
        reference=_loaded(held, "reference"),
        recent=Recent(*held.get("recent", ())),
        lately=Recent.load(held.get("lately", ()), _LATELY),
        unrest=Recent.load(held.get("unrest", ()), MEMORY),
        sums=list(held.get("sums", [0.0] * 4)),
    )


def _loaded(state: Mapping[str, Any], name: str) -> Histogram:
    return Histogram.load(state.get(name, ()))
