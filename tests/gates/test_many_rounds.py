"""The error rate over many rounds of the same users: what is promised, measured; and what it would be otherwise."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.bets import Bets, Known
from softlaunch.gates.channels import MagnitudeChannels, ShareChannels, make_channels
from softlaunch.gates.observations import Events, Flags, Floats, Units
from softlaunch.gates.reference import Recent
from softlaunch.gates.stage_evidence import StageEvidence
from softlaunch.gates.unit_entries import RETURNING, Way, round_part
from softlaunch.gates.visits import VisitRule

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

USERS, ROUNDS, LOOKS, SHARE = 300, 120, 3, 0.1
LONGER = 8
RUNS = 40
ALPHAS = (0.05, 0.01)


def most(runs: int, alpha: float) -> int:
    """How many of the runs may err by chance, once in a thousand such tests, if alpha is kept."""
    return int(binom.ppf(0.999, runs, alpha))


@dataclass
class Habits:
    """300 users with habits of their own, whose requests correlate by `icc`; each makes five requests a round."""

    rng: np.random.Generator
    metric: Metric
    icc: float
    own: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Draw habits: a rate of failures, or what is typical."""
        spread = 1 / self.icc - 1
        if self.metric is Metric.ERRORS:
            self.own = self.rng.beta(0.1 * spread, 0.9 * spread, USERS)
        else:
            self.own = math.sqrt(self.icc) * self.rng.normal(size=USERS)

    def values(self) -> Floats:
        """A round's requests, shape (users, 5)."""
        if self.metric is Metric.ERRORS:
            return (self.rng.random((USERS, 5)) < self.own[:, None]).astype(np.float64)
        size = self.own[:, None] + math.sqrt(1 - self.icc) * self.rng.normal(size=(USERS, 5))
        return 800 * np.exp(0.5 * size) if self.metric is Metric.LATENCY else np.clip(0.75 + 0.15 * size, 0, 1)


@dataclass
class Process:
    """Bets on entries of one kind, and the highest that they ever rose above what they needed at an alpha of one."""

    channel: ShareChannels | MagnitudeChannels
    known: dict[str, Known]
    bets: Bets = field(init=False)
    peak: float = -math.inf

    def __post_init__(self) -> None:
        """Begin without evidence."""
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.bets = Bets(self.channel.weights)

    def take(self, table: Floats, arm: Flags, part: float) -> None:
        """Bet on entries, shape (n, columns), with a part of the budget."""
        entries = dict(zip(self.channel.names, table.T, strict=True))
        self.channel.bet(self.bets, entries, self.known, arm, SHARE)
        self.peak = max(self.peak, self.bets.log_evidence + math.log(part))


def learn(known: Mapping[str, Known], channel: ShareChannels | MagnitudeChannels, table: Floats) -> None:
    """Learn entries without regard to arms."""
    for name, column in zip(channel.names, table.T, strict=True):
        if name in known:
            known[name].add(np.exp(column) if name == "log" else column)


def peaks(seed: int, metric: Metric, icc: float) -> tuple[float, float]:
    """How near a candidate that is like stable came to failing: by any way, and by one process through all rounds.

    Both as the log of one over the alpha at which it would have failed.
    """
    rng = np.random.default_rng(seed)
    people, past = Habits(rng, metric, icc), Habits(rng, metric, icc)
    history = past.values()
    stable = Events(np.arange(history.size * 1.0), np.arange(history.size), np.zeros(history.size, np.bool_))
    channel = make_channels(metric, 0.1, Events(stable.at, stable.units, stable.candidate, {metric: history.ravel()}))
    known, known_long = channel.known(), channel.known()
    ways = {way: Process(channel, known_long if way is Way.LONG else known) for way in Way}
    carried = Process(channel, known)
    arm = rng.random(USERS) < SHARE
    gathered: list[Floats] = []
    for _ in range(3):
        table = channel.columns(past.values().ravel()).reshape(USERS, 5, -1).mean(axis=1)
        for one in (known, known_long):
            learn(one, channel, table)
    for number in range(1, ROUNDS + 1):
        requests = channel.columns(people.values().ravel()).reshape(USERS, 5, -1)
        table = requests.mean(axis=1)
        gathered = [*gathered[-LONGER + 1 :], table]
        if number == 1:
            ways[Way.FIRST].take(requests[:, 0], arm, RETURNING[Way.FIRST])
            ways[Way.VISIT].take(table, arm, RETURNING[Way.VISIT])
        if number % LONGER == 0:
            ways[Way.LONG].restart()
            means = np.mean(gathered, axis=0)
            ways[Way.LONG].take(means, arm, RETURNING[Way.LONG] * round_part(number // LONGER))
            learn(known_long, channel, means)
        ways[Way.ROUND].restart()
        for look in np.array_split(rng.permutation(USERS), LOOKS):
            ways[Way.ROUND].take(table[look], arm[look], RETURNING[Way.ROUND] * round_part(number))
            carried.take(table[look], arm[look], 1.0)
            learn(known, channel, table[look])
    return max(process.peak for process in ways.values()), carried.peak


@pytest.mark.parametrize("icc", [pytest.param(0.3, marks=pytest.mark.soak), 0.9])
@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.LATENCY, Metric.QUALITY], ids=str)
def test_120_rounds_of_the_same_users_keep_alpha(metric: Metric, icc: float) -> None:
    """By any way, at any look; while one process that goes on through all rounds, as if users were new, would not."""
    found = np.array([peaks(seed, metric, icc) for seed in range(RUNS)])
    for alpha in ALPHAS:
        needed = -math.log(alpha)
        assert (found[:, 0] >= needed).sum() <= most(RUNS, alpha)
        assert (found[:, 1] >= needed).sum() > most(RUNS, alpha)


class BySplit(StageEvidence):
    """A book that takes the split for the share of what it hears."""

    def _observed(self, way: Way) -> float | None:
        return self.share


RATED, SPLIT = Metric.SATISFACTION, 0.5
RATING_RUNS = 30


def ratings(
    rng: np.random.Generator, arms: Flags | None, rates: tuple[float, float], looks: int
) -> Iterator[tuple[Events, float]]:
    """Ratings, one a user and look, in a world whose users are alike on both arms and drift by 15 points.

    So much is rated of the candidate's and of stable's answers. Users come once each, or are those of `arms`.
    """
    for look in range(looks):
        units: Units = np.arange(60) + 100 * look if arms is None else rng.permutation(len(arms))[:60]
        arm = rng.random(60) < SPLIT if arms is None else arms[units]
        heard = rng.random(60) < np.where(arm, *rates)
        happy = rng.random(60) < 0.75 + 0.15 * math.sin(look / 15)
        at = 20.0 * look + np.sort(rng.random(60))
        yield Events(at, units, arm, {RATED: happy.astype(np.float64)}).only(heard), 20.0 * look + 20


def rating_peak(kind: type[StageEvidence], seed: int, rates: tuple[float, float], *, regular: bool) -> float:
    """How near a candidate that makes users as happy as stable came to failing, as `peaks` says it."""
    rng = np.random.default_rng(seed)
    arms = rng.random(USERS) < SPLIT if regular else None
    count = 400
    past = (rng.random(count) < 0.75).astype(np.float64)
    history = Events(
        np.arange(-50.0 * count, 0, 50), np.arange(count) - count, np.zeros(count, np.bool_), {RATED: past}
    )
    book = kind.begin(SPLIT, {RATED: 0.02}, VisitRule(), history)
    peak = -math.inf
    for events, until in ratings(rng, arms, rates, 150):
        book.update(events, until)
        for way, (bets, part) in book.processes(RATED).items():
            peak = max(peak, bets.log_evidence + math.log(RETURNING[way] * part))
    return peak


@pytest.mark.parametrize("people", ["new users", "the same users"])
@pytest.mark.parametrize("rates", [(1.0, 0.25), (0.25, 1.0)], ids=["candidate's 4:1", "stable's 4:1"])
def test_arms_of_which_one_is_rated_more_often_keep_alpha(rates: tuple[float, float], people: str) -> None:
    """Under drift that moves both arms alike."""
    found = np.array(
        [rating_peak(StageEvidence, seed, rates, regular=people == "the same users") for seed in range(RATING_RUNS)]
    )
    for alpha in ALPHAS:
        assert (found >= -math.log(alpha)).sum() <= most(RATING_RUNS, alpha)


def test_the_split_and_a_centre_of_long_ago_would_break_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can fail: with the candidate's answers rated four times as often, and drift not followed.

    Either of the two, the share of what was heard and the centre that follows, is enough by itself here.
    """
    monkeypatch.setattr(Recent, "differs", lambda *_: False)
    found = np.array([rating_peak(BySplit, seed, (1.0, 0.25), regular=False) for seed in range(RATING_RUNS)])
    assert (found >= -math.log(0.05)).sum() > most(RATING_RUNS, 0.05)
