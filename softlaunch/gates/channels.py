"""What of a metric is bet on: the columns that entries have, and the bets that are placed on them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.bets import (
    EVENT_STAKE_WEIGHTS,
    FAR_STAKE_WEIGHTS,
    GRADED_STAKE_WEIGHTS,
    RATIO_WEIGHTS,
    RATIOS,
    SHIFT_WEIGHTS,
    SHIFTS,
    Bets,
    Known,
    linear,
    tilted,
)
from softlaunch.gates.observations import NO_EVENTS, Events, Flags, Floats

_TILTS = np.log(RATIOS)
_SIZES = (1e-18, 1e18)
_ENOUGH_VALUES = 200
_CHEAPEST, _FAR_BELOW = 0.05, 10.0
_SLOW = {"slowest 5 %": 0.95, "slowest 1 %": 0.99}


class Channels(Protocol):
    """The bets on one metric's entries. `names` are its columns.

    `weights` are those of the bets of each kind, shape (sizes,); all of them add up to one.
    """

    names: tuple[str, ...]
    weights: Mapping[str, Floats]

    def columns(self, values: Floats, at: Floats | float = np.inf) -> Floats:
        """Requests at these times (epoch seconds) as columns, shape (n, names); NaN where nothing was measured."""
        ...

    def known(self) -> dict[str, Known]:
        """What is to be known of each column before bets are placed: nothing as yet."""
        ...

    def bet(
        self, bets: Bets, entries: Mapping[str, Floats], known: Mapping[str, Known], arm: Flags, share: float
    ) -> None:
        """Bet on entries by what is known, and note them for the estimates."""
        ...

    def odds(self, entries: Mapping[str, Floats], known: Mapping[str, Known]) -> dict[str, tuple[Floats, Floats]]:
        """Log of the odds that are bet by kind, shape (n, bets), and the mean of the odds over the past, (bets,)."""
        ...

    def harm(self, bets: Bets) -> tuple[float, float]:
        """Estimated harm in the margin's unit and its standard error; zero and infinite without data."""
        ...

    def is_slower(self, bets: Bets) -> bool:
        """Whether the 95th percentile is worse by more than the margin."""
        ...

    def dump(self) -> dict[str, Any]:
        """What was fixed when the stage began, as JSON values."""
        ...


def _event_odds(shares: Floats, known: Known) -> tuple[Floats, Floats]:
    happened = (shares > 0).astype(np.float64)
    return happened[:, None] * _TILTS, known.usual_odds(_TILTS)


@dataclass(frozen=True, slots=True)
class ShareChannels:
    """Harm in [0, 1]: bets on its mean, and where it either happens or doesn't, on whether it ever happened.

    Values that were corrected by a prediction may lie beyond by `reach`. Of them the mean alone tells anything.
    """

    metric: Metric
    reach: float = 0.0
    names: tuple[str, ...] = ("harm",)

    @property
    def weights(self) -> Mapping[str, Floats]:
        """A metric of events is bet on as such with more than half of the capital."""
        if self.metric.is_event and not self.reach:
            return {"mean": 0.4 * EVENT_STAKE_WEIGHTS, "any": 0.6 * RATIO_WEIGHTS}
        return {"mean": FAR_STAKE_WEIGHTS if self.reach else GRADED_STAKE_WEIGHTS}

    def columns(self, values: Floats, at: Floats | float = np.inf) -> Floats:  # noqa: ARG002
        """Harm, turned so that more is worse."""
        shares = np.clip(values, -self.reach, 1.0 + self.reach)
        flipped = self.metric.higher_is_better
        return np.asarray((1 - shares if flipped else shares)[:, None])

    def known(self) -> dict[str, Known]:
        """The entries' harm."""
        return {"harm": Known()}

    def bet(
        self, bets: Bets, entries: Mapping[str, Floats], known: Mapping[str, Known], arm: Flags, share: float
    ) -> None:
        """Bet on the mean, and on events."""
        harm, past = entries["harm"], known["harm"]
        bets.note("harm", harm, arm)
        if not (past.is_enough and len(harm)):
            return
        bets.grow("mean", linear(harm, past.mean(harm), arm, share, self.reach))
        for kind, (log_odds, usual) in self.odds(entries, known).items():
            bets.grow(kind, tilted(log_odds, usual, arm, share))

    def odds(self, entries: Mapping[str, Floats], known: Mapping[str, Known]) -> dict[str, tuple[Floats, Floats]]:
        """Log of the odds of entries that had an event, where the metric counts these."""
        if "any" not in self.weights:
            return {}
        return {"any": _event_odds(entries["harm"], known["harm"])}

    def harm(self, bets: Bets) -> tuple[float, float]:
        """Difference of the means."""
        of = bets.means("harm")
        if not (of.candidate.count and of.stable.count):
            return 0.0, np.inf
        error = np.sqrt(of.candidate.variance_of_mean + of.stable.variance_of_mean)
        return of.candidate.mean - of.stable.mean, float(error)

    def is_slower(self, bets: Bets) -> bool:  # noqa: ARG002
        """A share has no percentiles to speak of."""
        return False

    def dump(self) -> dict[str, Any]:
        """How far values may lie beyond, where they do."""
        return {"reach": self.reach} if self.reach else {}


@dataclass(frozen=True, slots=True)
class MagnitudeChannels:
    """Values above zero whose size matters relatively: bets on the mean logarithm's rank, and on slow requests.

    `edges` are quantiles of single requests, of which a share of requests is beyond; the last is the 95th percentile
    times one plus the margin. They are stable's of before the stage, or where these are unknown those of the stage's
    first requests without regard to arms, and stay as they are, so that an entry doesn't depend on looks. Less than
    `floor`, a tenth of what nineteen in twenty exceed, counts as the floor: what costs nothing would otherwise be
    endlessly cheaper, and a few such answers would decide over the mean logarithm. Neither holds for requests of
    before `since` (epoch seconds): when they are learnt again, these are left as they were.
    """

    metric: Metric
    margin: float
    edges: tuple[float, float, float] = (np.inf, np.inf, np.inf)
    floor: float = _SIZES[0]
    since: float = -np.inf
    names: tuple[str, ...] = ("log", "slowest 5 %", "slowest 1 %", "beyond")

    @classmethod
    def of(cls, metric: Metric, margin: float, history: Events) -> Self:
        """Channels for an app with this history; where it is short nothing is ever beyond."""
        return cls(metric, margin).taught(history.measured(metric))

    @property
    def knows_tails(self) -> bool:
        """Whether it is known what a slow request is; until then none is."""
        return bool(np.isfinite(self.edges).all())

    def taught(self, values: Floats, now: float = -np.inf) -> Self:
        """The same with the edges of these values, shape (n,), from now on, if they are enough."""
        if len(values) < _ENOUGH_VALUES:
            return self
        sizes = np.clip(values, *_SIZES)
        slow, slowest = (float(np.quantile(sizes, share)) for share in _SLOW.values())
        positive = sizes[values > 0]
        floor = float(np.quantile(positive, _CHEAPEST)) / _FAR_BELOW if len(positive) else _SIZES[0]
        return replace(self, edges=(slow, slowest, slow * (1 + self.margin)), floor=max(floor, _SIZES[0]), since=now)

    @property
    def weights(self) -> Mapping[str, Floats]:
        """Most of the capital is on the typical request, some on tails that it can't show."""
        return {"log": 0.75 * SHIFT_WEIGHTS, "slowest 5 %": 0.1 * RATIO_WEIGHTS, "slowest 1 %": 0.15 * RATIO_WEIGHTS}

    def columns(self, values: Floats, at: Floats | float = np.inf) -> Floats:
        """Logarithm, and whether the request was beyond each edge."""
        missing, known = np.isnan(values), at >= self.since
        beyond = [np.where(missing, np.nan, (values > edge) & known) for edge in self.edges]
        lowest = np.where(known, self.floor, _SIZES[0])
        return np.stack([np.log(np.clip(values, lowest, _SIZES[1])), *beyond], axis=1)

    def known(self) -> dict[str, Known]:
        """The entries' typical size, and how often they have a slow request."""
        return {"log": Known(is_magnitude=True), **{name: Known() for name in _SLOW}}

    def bet(
        self, bets: Bets, entries: Mapping[str, Floats], known: Mapping[str, Known], arm: Flags, share: float
    ) -> None:
        """Bet on ranks and on slow requests."""
        for name in self.names:
            bets.note(name, entries[name], arm)
        if not (known["log"].is_enough and len(arm)):
            return
        for kind, (log_odds, usual) in self.odds(entries, known).items():
            bets.grow(kind, tilted(log_odds, usual, arm, share))

    def odds(self, entries: Mapping[str, Floats], known: Mapping[str, Known]) -> dict[str, tuple[Floats, Floats]]:
        """Log of the odds of entries by their rank, and by whether they had slow requests."""
        scores = known["log"].scores(np.exp(entries["log"]))
        slow = {name: _event_odds(entries[name], known[name]) for name in _SLOW}
        return {"log": (scores[:, None] * SHIFTS, known["log"].usual_score_odds()), **slow}

    def harm(self, bets: Bets) -> tuple[float, float]:
        """Relative change of the geometric mean."""
        of = bets.means("log")
        if not (of.candidate.count and of.stable.count):
            return 0.0, np.inf
        change = float(np.exp(min(of.candidate.mean - of.stable.mean, 500.0)))
        error = np.sqrt(of.candidate.variance_of_mean + of.stable.variance_of_mean)
        return change - 1, change * float(error)

    def is_slower(self, bets: Bets) -> bool:
        """Whether more of the candidate's requests are beyond the moved edge than of stable's beyond the edge."""
        candidate, stable = bets.means("beyond").candidate, bets.means("slowest 5 %").stable
        return bool(candidate.count and stable.count and candidate.mean > stable.mean)

    def dump(self) -> dict[str, Any]:
        """The margin, the edges, the floor, and since when they are known."""
        return {
            "margin": self.margin,
            "edges": [edge if np.isfinite(edge) else None for edge in self.edges],
            "floor": self.floor,
            "since": self.since if np.isfinite(self.since) else None,
        }


def make_channels(
    metric: Metric, margin: float, history: Events = NO_EVENTS, reach: float = 0.0
) -> ShareChannels | MagnitudeChannels:
    """What is bet on for a metric, knowing stable's past; `reach` is how far shares may lie beyond [0, 1]."""
    if metric.is_relative:
        return MagnitudeChannels.of(metric, margin, history)
    return ShareChannels(metric, reach)
