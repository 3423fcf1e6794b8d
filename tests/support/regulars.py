"""Users who come back: what a fixed population does in a stage, and how it looks through windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import NO_EVENTS, Events, Flags, Floats, Units, Window

Harm = Callable[[Metric, Floats, Floats, Units], Floats]
"""A metric's values of the candidate by what they would have been, when, and how often the unit had come before."""
_RATED = (Metric.SATISFACTION, Metric.QUALITY)


def no_harm(_metric: Metric, values: Floats, _at: Floats, _visits: Units) -> Floats:
    """A candidate that is like stable."""
    return values


def slower(factor: float, since: float = 0.0) -> Harm:
    """Latency times a factor from a moment on."""
    return lambda metric, values, at, _: (
        values * np.where(at >= since, factor, 1.0) if metric is Metric.LATENCY else values
    )


@dataclass
class Regulars:
    """So many users, who make `rate` requests a second between them; each has habits of its own.

    `candidates` are the users on the candidate, once it has come.
    """

    rng: np.random.Generator
    users: int = 300
    rate: float = 20.0
    share: float = 0.1
    candidates: Flags = field(init=False)
    _slow: Floats = field(init=False)
    _happy: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Draw arms and habits."""
        self.candidates = self.rng.random(self.users) < self.share
        self._slow = self.rng.normal(0, 0.3, self.users)
        self._happy = self.rng.beta(8, 2, self.users)

    def requests(self, early: float, late: float, harm: Harm | None = None) -> Events:
        """Everything between two moments, rated or not; of stable alone without a `harm`."""
        count = int((late - early) * self.rate)
        at = np.sort(self.rng.uniform(early, late, count))
        units = self.rng.integers(0, self.users, count)
        values = {
            Metric.ERRORS: (self.rng.random(count) < 0.02).astype(np.float64),
            Metric.UNUSABLE: (self.rng.random(count) < 0.01).astype(np.float64),
            Metric.LATENCY: 800 * np.exp(self._slow[units] + self.rng.normal(0, 0.4, count)),
            Metric.COST: 1e-5 * np.exp(self._slow[units] / 2 + self.rng.normal(0, 0.3, count)),
            Metric.SATISFACTION: (self.rng.random(count) < self._happy[units]).astype(np.float64),
            Metric.QUALITY: np.clip(self._happy[units] + self.rng.normal(0, 0.1, count), 0, 1),
        }
        arm = self.candidates[units] if harm is not None else np.zeros(count, np.bool_)
        if harm is not None:
            before = visits_before(units)
            values = {name: np.where(arm, harm(name, one, at, before), one) for name, one in values.items()}
        return Events(at, units, arm, values)

    def history(self, seconds: float = 200.0) -> Window:
        """Stable's past, up to the moment zero."""
        return windows(self.requests(-seconds, 0.0), [0.0], self.share)[0]

    def stage(self, seconds: float, harm: Harm = no_harm, look: float = 5.0) -> list[Window]:
        """Windows of a stage that begins at zero."""
        return windows(self.requests(0.0, seconds, harm), np.arange(look, seconds + look / 2, look), self.share)


def visits_before(units: Units) -> Units:
    """How often each request's unit had come before, shape (n,)."""
    order = np.argsort(units, kind="stable")
    _, start, length = np.unique(units[order], return_index=True, return_counts=True)
    before = np.empty(len(units), np.int64)
    before[order] = np.arange(len(units)) - np.repeat(start, length)
    return before


def windows(events: Events, edges: Sequence[float] | Floats, share: float) -> list[Window]:
    """What was done and, three seconds later, said of every third request, in windows that end at these moments."""
    rated = events.only(np.arange(0, len(events), 3))
    said = {
        metric: Events(rated.at + 3.0, rated.units, rated.candidate, {metric: rated.values[metric]})
        for metric in _RATED
        if len(rated)
    }
    done = Events(
        events.at,
        events.units,
        events.candidate,
        {metric: column for metric, column in events.values.items() if metric not in _RATED},
    )
    known: set[int] = set()
    cut = []
    for early, late in zip([-np.inf, *edges], edges, strict=False):
        requests = _between(done, early, late)
        units, first = np.unique(requests.units, return_index=True)
        fresh = requests.candidate[first[[unit not in known for unit in units.tolist()]]]
        known |= set(units.tolist())
        cut.append(
            Window(
                share,
                split=ByArm(int(fresh.sum()), int((~fresh).sum())),
                requests=requests,
                ratings={metric: _between(one, early, late) for metric, one in said.items()},
                until=float(late),
            )
        )
    return cut


def _between(events: Events, early: float, late: float) -> Events:
    return events.only((events.at >= early) & (events.at < late)) if len(events) else NO_EVENTS
