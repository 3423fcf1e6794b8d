"""Users of a stage as a forecast draws them: stable's own, and the same when their requests are made worse."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betaln, gammaln

from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.forecast.gate_paths import Weighted
from softlaunch.gates.channels import make_channels
from softlaunch.gates.observations import Events, Floats, Units
from softlaunch.gates.rules import GateRule
from softlaunch.gates.stage_evidence import Channel
from softlaunch.gates.unit_entries import Way

_MOST_VISITS = 1000  # a sample of more is thinned
_GROUPS, _FEWER_GROUPS = 24, 12  # of visits of one request, and of more
_TAIL = (0.95, 0.975, 0.99, 0.995)
_FAILED_PARTS = 3
_SMALLEST = 1e-12

Columns = dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class UserEntries(Weighted):
    """Users of an arm: the columns of each one's first request and of its visit, every array of shape (n,)."""

    first: Columns
    visit: Columns

    def of(self, way: Way) -> Columns:
        """The columns that one way looks at."""
        return self.first if way is Way.FIRST else self.visit


@dataclass(frozen=True)
class StageUsers:
    """Users whose first visits are `visits`, seen as the columns of a gate's channel."""

    rule: GateRule
    visits: FirstVisits

    @cached_property
    def sample(self) -> FirstVisits:
        """The visits, or evenly spaced ones in order of size."""
        if len(self.visits) <= _MOST_VISITS:
            return self.visits
        order = np.argsort(self.visits.means(self.visits.values[:, None])[:, 0], kind="stable")
        step = np.arange(_MOST_VISITS) + 0.5
        chosen = np.sort(order[(step * len(order) / _MOST_VISITS).astype(np.int64)])
        lengths = self.visits.lengths[chosen]
        row = np.repeat(self.visits.start[chosen] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        return FirstVisits.of_lengths(self.visits.values[row], lengths)

    @cached_property
    def channel(self) -> Channel:
        """What the gate looks at, learned from stable's requests."""
        values, metric = self.visits.values, self.rule.metric
        nothing = np.zeros(len(values))
        past = Events(nothing, nothing.astype(np.int64), nothing > 0, {metric: values})
        return make_channels(metric, self.rule.material, past)

    @property
    def main(self) -> str:
        """The column whose mean is the metric itself."""
        return self.channel.names[0]

    @cached_property
    def columns(self) -> Columns:
        """The columns of all of stable's requests."""
        return self.named(self.channel.columns(self.visits.values))

    def named(self, columns: Floats) -> Columns:
        """The columns of a table of shape (n, names), by name."""
        return dict(zip(self.channel.names, columns.T, strict=True))

    @cached_property
    def is_binary(self) -> bool:
        """Whether each request is either good or bad."""
        return not self.rule.metric.is_relative and bool(np.isin(self.columns[self.main], (0.0, 1.0)).all())

    @cached_property
    def bad_rate(self) -> float:
        """Share of bad requests; what never happened may still."""
        harm = self.columns[self.main]
        return float((harm.sum() + 1) / (len(harm) + 2))

    def worse(self, harm: float) -> UserEntries:
        """Stable's users, whose requests are made worse by `harm`.

        Magnitudes are multiplied. What either happens or doesn't happens more often, to users as similar as before;
        graded scores all shift, as far as they can, by what makes their mean right.
        """
        if self.is_binary:
            return self._failing(min(self.bad_rate + harm, 1.0))
        sample = self.sample
        if self.rule.metric.is_relative:
            columns = self.channel.columns(sample.values * (1 + harm))
        else:
            columns = _shifted(self.channel.columns(sample.values), harm)
        weight = np.full(len(sample), 1 / len(sample))
        first, visit = columns[sample.start], sample.means(columns)
        return UserEntries(weight, self._groups, self.named(first), self.named(visit))

    @cached_property
    def _groups(self) -> Units:
        """Users whose visits are about as good, and among these whose first requests are."""
        sample = self.sample
        main = self.channel.columns(sample.values)[:, 0]
        visit, first = sample.means(main[:, None])[:, 0], main[sample.start]
        place = (np.argsort(np.argsort(visit, kind="stable")) + 0.5) / len(visit)
        is_alone = len(sample.values) == len(sample)
        edges = np.arange(1, _GROUPS if is_alone else _FEWER_GROUPS) / (_GROUPS if is_alone else _FEWER_GROUPS)
        group = np.searchsorted(np.sort([*edges[edges < _TAIL[0] - 0.01], *_TAIL]), place)
        if not is_alone:
            middle = np.array([np.median(first[group == one]) if (group == one).any() else 0.0 for one in range(99)])
            group = 2 * group + (first > middle[group])
        return np.asarray(np.unique(group, return_inverse=True)[1], dtype=np.int64)

    def _failing(self, rate: float) -> UserEntries:
        """Users whose requests fail at this rate, as similar within a visit as stable's: beta-binomial counts."""
        rows: list[tuple[float, float, bool]] = []
        lengths, seen = np.unique(self.visits.lengths, return_counts=True)
        for length, among in zip(lengths.tolist(), seen / seen.sum(), strict=True):
            for failed, chance in enumerate(_counts(length, rate, self._similarity)):
                mean = failed / length
                rows += [(among * chance * mean, mean, True), (among * chance * (1 - mean), mean, False)]
        weight, visit, first = np.array([row for row in rows if row[0] > 0]).T
        kind = np.where(visit > 0, 1 + 2 * np.ceil(visit * _FAILED_PARTS) + first, 0)
        group = np.unique(kind, return_inverse=True)[1]
        return UserEntries(weight, np.asarray(group, dtype=np.int64), {self.main: first}, {self.main: visit})

    @cached_property
    def _similarity(self) -> float:
        return self.visits.correlation(self.columns[self.main])


def _shifted(columns: Floats, harm: float) -> Floats:
    """Graded harms after a shift that makes their mean larger by `harm`, as far as they can."""
    wanted = min(float(columns.mean()) + harm, 1.0)
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(columns + middle, 1).mean() < wanted else (low, middle)
    return np.asarray(np.minimum(columns + high, 1.0)) if harm > 0 else columns


def _counts(length: int, rate: float, similarity: float) -> Floats:
    """Probability of 0, 1, ... failures among so many requests of one user; shape (length + 1,)."""
    failed = np.arange(length + 1.0)
    rate = float(np.clip(rate, _SMALLEST, 1 - _SMALLEST))
    ways = gammaln(length + 1) - gammaln(failed + 1) - gammaln(length - failed + 1)
    if similarity < 1e-6 or length == 1:
        chance = failed * math.log(rate) + (length - failed) * math.log1p(-rate)
    else:
        size = (1 - similarity) / similarity
        a, b = rate * size, (1 - rate) * size
        chance = betaln(failed + a, length - failed + b) - betaln(a, b)
    return np.asarray(np.exp(ways + chance))
