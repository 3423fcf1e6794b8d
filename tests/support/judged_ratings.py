"""Answers that a judge scores and few users rate, for the gates that predict ratings by scores."""

from dataclasses import dataclass

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Flags, Floats, Window

RATED, SCORED = Metric.SATISFACTION, Metric.QUALITY


@dataclass(frozen=True, slots=True)
class JudgedAnswers:
    """One answer a unit. The judge agrees with what its user would say with the probability `agreement`.

    Else it says what it would of any of stable's answers; it likes the candidate's better with the probability
    `liking`. `rated` and `scored` are shares of the candidate's answers and of stable's. Who is content rates `mood`
    times as often as who isn't, on the candidate. Values arrive within two minutes of the answer.
    """

    harm: float = 0.0
    agreement: float = 0.7
    rated: tuple[float, float] = (0.2, 0.2)
    scored: tuple[float, float] = (1.0, 1.0)
    liking: float = 0.0
    mood: float = 1.0
    content: float = 0.8
    share: float = 0.5

    def window(self, rng: np.random.Generator, count: int, began: float, seconds: float = 60.0) -> Window:
        """What became known between two moments of answers that were given shortly before."""
        arm = rng.random(count) < self.share
        content = rng.random(count) < self.content - self.harm * arm
        usual = rng.random(count) < self.content
        score = np.where(rng.random(count) < self.agreement, content, usual) | (arm & (rng.random(count) < self.liking))
        rate = np.where(arm, self.rated[0], self.rated[1]) * np.where(arm & content, self.mood, 1.0)
        seen = np.where(arm, self.scored[0], self.scored[1])
        answers = rng.integers(1, 2**62, count)
        requests = Events(np.sort(rng.uniform(began, began + seconds, count)), answers, arm)
        said = {
            RATED: self._said(rng, requests, content, RATED).only(rng.random(count) < rate),
            SCORED: self._said(rng, requests, score, SCORED).only(rng.random(count) < seen),
        }
        ordered = {metric: one.only(np.argsort(one.at, kind="stable")) for metric, one in said.items()}
        return Window(self.share, requests=requests, ratings=ordered, until=began + seconds)

    def _said(self, rng: np.random.Generator, requests: Events, values: Flags, metric: Metric) -> Events:
        at = requests.at[0] + rng.random(len(requests)) * (requests.at[-1] - requests.at[0])
        column: Floats = values.astype(np.float64)
        return Events(at, requests.units, requests.candidate, {metric: column}, answers=requests.units)
