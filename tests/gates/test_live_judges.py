"""What live judges whose kappa is 0.5 do to releases, on a compressed clock: nothing to equal ones, but to worse.

Users come back and have answers of their own quality; both arms are sampled by unit at rates that differ, and what
judges say comes up to a minute late.
"""

import random
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.live_sampling import is_judged
from softlaunch.core.split import takes_candidate
from softlaunch.core.verdict import Outcome
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Flags, Floats, Window
from softlaunch.policy.release import Stage, plan
from tests.support.builders import make_policy
from tests.support.noisy_judge import says_yes

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

POLICY = make_policy(
    gates=[
        {"metric": "errors", "margin": "2 points"},
        {"metric": "latency", "margin": "25 %"},
        {"metric": "quality", "margin": "3 points"},
        {"metric": "hallucination", "margin": "2 points"},
    ]
)
TENTH, HALF = plan(POLICY)[2:4]
USERS, RATE_RPS, SECONDS, LOOK_SECONDS = 20_000, 10.0, 1800.0, 60.0
SHARES = ByArm(100.0, 50.0)
USUAL = {Metric.QUALITY: 0.85, Metric.HALLUCINATION: 0.05}
JUDGED = tuple(USUAL)
EQUAL: dict[Metric, float] = {}
POORER, INVENTING = {Metric.QUALITY: -0.15}, {Metric.HALLUCINATION: 0.10}


class Audience:
    """Users of one app, each with answers of an own quality, and a release that is named after its seed."""

    def __init__(self, seed: int, harm: dict[Metric, float]) -> None:
        self.rng, self.luck, self.harm = np.random.default_rng(seed), random.Random(seed), harm
        self.units = self.rng.integers(-(2**62), 2**62, USERS)
        self.release = f"bot-{seed}"
        self.habits = {metric: self.rng.beta(20 * usual, 20 * (1 - usual), USERS) for metric, usual in USUAL.items()}

    @cache  # noqa: B019  (an audience is gone with its release)
    def sampled(self, share: float) -> Flags:
        """Whose answers are judged at a share."""
        return np.array([is_judged("bot", unit, share) for unit in self.units.tolist()])

    @cache  # noqa: B019
    def on_candidate(self, weight: float) -> Flags:
        """Whom the candidate serves at a weight."""
        return np.array([takes_candidate(unit, self.release, weight) for unit in self.units.tolist()])

    def seen(self, early: float, late: float, weight: float) -> list[Window]:
        """Windows of everything between two moments; the first holds what was before zero."""
        count = int((late - early) * RATE_RPS)
        at, who = np.sort(self.rng.uniform(early, late, count)), self.rng.integers(0, USERS, count)
        arm = self.on_candidate(weight)[who]
        values = {
            Metric.ERRORS: (self.rng.random(count) < 0.01).astype(np.float64),
            Metric.UNUSABLE: np.zeros(count),
            Metric.LATENCY: 800 * self.rng.lognormal(0, 0.4, count),
        }
        judged = np.where(arm, self.sampled(SHARES.candidate)[who], self.sampled(SHARES.stable)[who])
        done = Events(at, self.units[who], arm, values)
        said = {metric: self.judgements(metric, at[judged], who[judged], arm[judged]) for metric in JUDGED}
        edges = [early, 0.0] if early < 0 else np.arange(early, late + 1, LOOK_SECONDS).tolist()
        known: set[int] = set()
        return [self.window(weight, done, said, cut, known) for cut in pairwise(edges)]

    def judgements(self, metric: Metric, at: Floats, who: np.ndarray, arm: Flags) -> Events:
        """What a noisy judge says of answers, up to a minute after each."""
        level = self.habits[metric][who] + np.where(arm, self.harm.get(metric, 0.0), 0.0)
        so = (self.rng.random(len(who)) < level).tolist()
        said = np.array([says_yes(is_so=one, usual=USUAL[metric], luck=self.luck) for one in so], np.float64)
        heard = at + self.rng.uniform(1.0, 60.0, len(at))
        order = np.argsort(heard)
        return Events(heard[order], self.units[who][order], arm[order], {metric: said[order]})

    def window(
        self, weight: float, done: Events, said: dict[Metric, Events], cut: tuple[float, float], known: set[int]
    ) -> Window:
        """What was done and said between two moments; `known` are the units that were seen before."""
        requests = between(done, *cut)
        units, first = np.unique(requests.units, return_index=True)
        fresh = requests.candidate[first[[unit not in known for unit in units.tolist()]]]
        known |= set(units.tolist())
        return Window(
            weight / 100,
            split=ByArm(int(fresh.sum()), int((~fresh).sum())),
            requests=requests,
            ratings={metric: between(one, *cut) for metric, one in said.items()},
            until=cut[1],
        )


def between(events: Events, early: float, late: float) -> Events:
    """What happened between two moments."""
    return events.only((events.at >= early) & (events.at < late))


def failing(seed: int, harm: dict[Metric, float], stages: tuple[Stage, ...] = (TENTH, HALF)) -> set[str]:
    """The gates that fail at a look in any of these stages; none where none ever does."""
    audience = Audience(seed, harm)
    for stage in stages:
        (history,) = audience.seen(-300.0, 0.0, 0.0)
        gates = GateSet.begin(POLICY, stage, history)
        for window in audience.seen(0.0, SECONDS, stage.weight_percent):
            gates.update(window)
            found = {verdict.gate for verdict in gates.verdicts() if verdict.outcome is Outcome.FAIL}
            if found:
                return found
    return set()


@pytest.mark.parametrize("releases", [25, pytest.param(100, marks=pytest.mark.soak)])
def test_no_equal_release_is_rolled_back(releases: int) -> None:
    """Each has 36,000 requests in two stages, and 60 looks."""
    assert [seed for seed in range(releases) if failing(seed, EQUAL)] == []


@pytest.mark.parametrize(
    ("harm", "gate"),
    [
        pytest.param(POORER, "quality", id="quality falls from 0.85 to 0.70"),
        pytest.param(INVENTING, "hallucination", id="hallucination rises from 0.05 to 0.15"),
    ],
)
def test_a_candidate_whose_answers_are_worse_is_rolled_back(harm: dict[Metric, float], gate: str) -> None:
    """Each time, by the gate on what got worse."""
    assert [failing(seed, harm) for seed in range(20)] == [{gate}] * 20
