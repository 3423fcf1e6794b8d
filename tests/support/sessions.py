"""Users who come for a session, leave, and come again: what they do, and how it looks through windows."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Flags, Floats, Units, Window
from tests.support.regulars import windows

Harm = Callable[[Metric, Floats, Floats, Units], Floats]
"""A metric's values of the candidate by what they would have been, when, and which request of its session each is."""


def no_harm(_metric: Metric, values: Floats, _at: Floats, _rank: Units) -> Floats:
    """A candidate that is like stable."""
    return values


@dataclass
class Guests:
    """So many users, each of whom comes every `between` seconds or so for some requests with two seconds in between.

    `troubled` of them see `trouble` of their sessions fail, the others hardly any; `turns` are the requests of a
    session on stable, `candidate_turns` times as many on the candidate.
    """

    rng: np.random.Generator
    users: int = 600
    between: float = 300.0
    share: float = 0.5
    turns: float = 4.0
    candidate_turns: float = 1.0
    troubled: float = 0.0
    trouble: float = 0.9
    candidates: Flags = field(init=False)
    _slow: Floats = field(init=False)
    _fails: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Draw arms and habits."""
        self.candidates = self.rng.random(self.users) < self.share
        self._slow = self.rng.normal(0, 0.5, self.users)
        self._fails = np.where(self.rng.random(self.users) < self.troubled, self.trouble, 0.02)

    def requests(self, early: float, late: float, harm: Harm | None = None) -> Events:
        """Everything between two moments; of stable alone without a `harm`."""
        sessions = self.rng.poisson(self.users * (late - early) / self.between)
        users = self.rng.integers(0, self.users, sessions)
        arm = self.candidates[users] if harm is not None else np.zeros(sessions, np.bool_)
        length = 1 + self.rng.poisson(self.turns * np.where(arm, self.candidate_turns, 1.0) - 1)
        session = np.repeat(np.arange(sessions), length)
        rank = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
        at = self.rng.uniform(early, late, sessions)[session] + 2.0 * rank + self.rng.uniform(0, 1, len(session))
        fails = (self.rng.random(sessions) < self._fails[users])[session]
        fails &= rank == (self.rng.random(sessions) * length).astype(np.int64)[session]
        values = {
            Metric.ERRORS: fails.astype(np.float64),
            Metric.LATENCY: 800 * np.exp(self._slow[users][session] + self.rng.normal(0, 0.3, len(session))),
            Metric.SATISFACTION: self.rng.integers(0, 2, len(session)).astype(np.float64),
            Metric.QUALITY: self.rng.random(len(session)),
        }
        if harm is not None:
            values = {name: np.where(arm[session], harm(name, one, at, rank), one) for name, one in values.items()}
        events = Events(at, users[session].astype(np.int64), arm[session], values)
        kept = np.argsort(at, kind="stable")
        return events.only(kept[at[kept] < late])

    def history(self, seconds: float = 1200.0) -> Window:
        """Stable's past, up to the moment zero."""
        return windows(self.requests(-seconds, 0.0), [0.0], self.share)[0]

    def stage(self, seconds: float, harm: Harm = no_harm, look: float = 10.0) -> list[Window]:
        """Windows of a stage that begins at zero."""
        return windows(self.requests(0.0, seconds, harm), np.arange(look, seconds + look / 2, look), self.share)
