"""Each unit's own past as a baseline: what it takes from a value, and what that does to the evidence."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.split import takes_candidate
from softlaunch.core.verdict import Outcome
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Floats, Units, Window
from softlaunch.gates.own_past import Baseline, Baselines, learn_before
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from tests.gates.adjusting import begin_panel

LATENCY, COST = Metric.LATENCY, Metric.COST
HALF_ALIKE = np.sqrt(0.5)
LOOK_SECONDS = 10.0


def visits(rng: np.random.Generator, units: int, each: int) -> tuple[Units, Floats, Floats]:
    """Unit and logarithm of visits that are half alike, and each unit's own level."""
    level = HALF_ALIKE * rng.normal(size=units)
    who = np.repeat(np.arange(units), each)
    return who, level[who] + HALF_ALIKE * rng.normal(size=len(who)), level


@pytest.mark.parametrize("each", [2, 5, 20])
def test_a_baseline_shrinks_with_what_is_known(each: int) -> None:
    """By half of the visits' similarity for one visit and hardly for many: ICC k / (1 + (k - 1) ICC)."""
    who, values, _ = visits(np.random.default_rng(5), 3000, each)
    baseline = Baseline.learn(who, values)
    means = np.bincount(who, values) / each
    expected = 0.5 * each / (1 + (each - 1) * 0.5) * (means - values.mean())
    assert np.log(baseline.factor) == pytest.approx(expected, abs=0.1)


def test_what_a_unit_is_used_to_vanishes() -> None:
    """After division a later value of a unit has little left of the unit's own level."""
    rng = np.random.default_rng(6)
    who, values, level = visits(rng, 2000, 10)
    later = np.exp(level + HALF_ALIKE * rng.normal(size=2000))
    adjusted = Baseline.learn(who, values).divide(np.arange(2000), later)
    assert np.var(np.log(later)) == pytest.approx(1.0, rel=0.1)
    assert np.var(np.log(adjusted)) == pytest.approx(0.5 * (1 + 1 / 11), rel=0.1)


@pytest.mark.parametrize(
    "units",
    [
        pytest.param([], id="nobody"),
        pytest.param([1], id="one"),
        pytest.param([*range(100)], id="everybody once"),
        pytest.param([*range(9), *range(9)], id="too few twice"),
    ],
)
def test_where_likeness_is_not_known_values_stay(units: Sequence[int]) -> None:
    """A unit's single visit says nothing of how alike its visits are."""
    values = np.random.default_rng(7).normal(size=len(units))
    baseline = Baseline.learn(np.array(units, np.int64), values)
    assert baseline.divide(np.arange(5), np.full(5, 3.0)) == pytest.approx(3.0)


def test_units_without_likeness_are_left_alone() -> None:
    """Where visits of a unit are like anybody's, its past says nothing of its future."""
    values = np.random.default_rng(8).normal(size=4000)
    factor = Baseline.learn(np.arange(4000) % 400, values).factor
    assert np.abs(np.log(factor)).max() < 0.15


def test_a_unit_without_a_past_stays_as_it_is() -> None:
    """Also among units that have one."""
    who, values, _ = visits(np.random.default_rng(9), 100, 10)
    divided = Baseline.learn(who * 2, values).divide(np.array([3, -5, 1000, 2]), np.full(4, 7.0))
    assert divided[:3].tolist() == [7.0] * 3
    assert divided[3] != 7.0


def past_of(units: Units, at: Floats, latency: Floats) -> Events:
    """What stable answered."""
    cost = np.full(len(at), np.nan)
    return Events(at, units, np.zeros(len(at), np.bool_), {LATENCY: latency, COST: cost})


def test_requests_of_one_visit_are_one_piece_of_the_past() -> None:
    """A unit that asked a hundred times in one go is as little known as one that asked once."""
    rng = np.random.default_rng(10)
    who, logs, _ = visits(rng, 200, 4)
    began = np.tile(np.arange(4) * 10_000.0, 200) + who
    often = np.where(who == 0, 30, 3)
    at = np.repeat(began, often) + np.concatenate([np.arange(count) * 1.0 for count in often])
    repeated = past_of(np.repeat(who, often), at, np.exp(np.repeat(logs, often)))
    order = np.argsort(repeated.at, kind="stable")
    learnt = Baselines.learn([LATENCY], repeated.only(order)).by_metric[LATENCY]
    assert learnt.factor == pytest.approx(Baseline.learn(who, logs).factor)


def test_only_what_was_asked_for_is_adjusted() -> None:
    """Other metrics stay as they are, and what wasn't measured isn't made up; the window itself is not changed."""
    who, logs, _ = visits(np.random.default_rng(11), 50, 4)
    past = past_of(who, np.tile(np.arange(4) * 10_000.0, 50) + who, np.exp(logs))
    latency, cost = np.array([100.0, np.nan]), np.array([1.0, 2.0])
    seen = Events(np.array([1.0, 2.0]), np.array([0, 1]), np.array([True, False]), {LATENCY: latency, COST: cost})
    window = Window(0.5, requests=seen, until=3.0)
    adjusted = Baselines.learn([LATENCY, COST], past).adjust(window).requests
    assert adjusted is not None
    assert adjusted.values[LATENCY][0] != 100.0
    assert np.isnan(adjusted.values[LATENCY][1])
    assert adjusted.values[COST].tolist() == [1.0, 2.0]
    assert latency[0] == 100.0
    assert Baselines().adjust(window) is window


def test_history_is_not_held_against_itself() -> None:
    """What is learnt of visits from before the stage rests on what came before these."""
    who, logs, _ = visits(np.random.default_rng(12), 50, 8)
    past = past_of(who, np.tile(np.arange(8) * 10_000.0, 50) + who, np.exp(logs))
    older = learn_before([LATENCY], past, 40_000.0).by_metric[LATENCY]
    assert older.factor == pytest.approx(
        Baselines.learn([LATENCY], past.only(past.at < 40_000)).by_metric[LATENCY].factor
    )


class FewUsers:
    """300 users at 20 requests a second, 30 % of whose spread is their own, of whom 10 % meet the candidate."""

    def __init__(self, seed: int, slower: float = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.users = self.rng.integers(-(2**62), 2**62, 300)
        self.level = np.sqrt(0.3) * self.rng.normal(size=300)
        self.candidates = np.array([takes_candidate(int(user), f"bot-{seed}", 10) for user in self.users])
        self.slower = slower
        self.past = self.events(-1500.0, 1500.0, split=False)
        self.seen = np.zeros(300, np.bool_)

    def events(self, begin: float, seconds: float, *, split: bool = True) -> Events:
        """What happens in a while."""
        count = int(self.rng.poisson(20 * seconds))
        at, who = np.sort(self.rng.uniform(begin, begin + seconds, count)), self.rng.integers(0, 300, count)
        candidate = self.candidates[who] & split
        spread = self.level[who] + np.sqrt(0.7) * self.rng.normal(size=count)
        latency = np.exp(6.7 + 0.5 * spread) * np.where(candidate, self.slower, 1.0)
        values = {LATENCY: latency, Metric.ERRORS: np.zeros(count), Metric.UNUSABLE: np.zeros(count)}
        return Events(at, self.users[who], candidate, values)

    def window(self, begin: float) -> Window:
        """The window of a look."""
        events = self.events(begin, LOOK_SECONDS)
        fresh = np.isin(self.users, events.units) & ~self.seen
        self.seen |= fresh
        split = ByArm(int(np.count_nonzero(fresh & self.candidates)), int(np.count_nonzero(fresh & ~self.candidates)))
        return Window(0.1, split=split, requests=events, until=begin + LOOK_SECONDS)

    def begin(self, policy: Policy) -> GateSet:
        """Gates that know the last requests before the stage, and whatever they adjust for."""
        return begin_panel(policy, self.past)


def make_policy(*adjust_for: str) -> Policy:
    """Latency at 10 %, adjusted or not."""
    gates = [{"metric": "latency", "margin": "10 %", "adjust_for": adjust_for}]
    stages = [{"weight_percent": 10}, {"weight_percent": 100}]
    return Policy.model_validate(
        {"app": "bot", "eval": {"golden_set": "g"}, "shadow": None, "stages": stages, "gates": gates}
    )


def outcome_within(minutes: int, seed: int, policy: Policy, slower: float) -> Outcome:
    """What the gate on latency says first, or at last."""
    users = FewUsers(seed, slower)
    panel = users.begin(policy)
    for begin in np.arange(0, 60.0 * minutes, LOOK_SECONDS):
        panel.update(users.window(float(begin)))
        verdict = panel.verdicts()[0]
        if verdict.outcome is Outcome.FAIL:
            break
    return verdict.outcome


def test_a_slower_candidate_is_caught_among_few_users() -> None:
    """A quarter slower is less than how users differ; beside their own past it shows in minutes."""
    caught = {
        adjust_for: sum(outcome_within(10, seed, make_policy(*adjust_for), 1.25) is Outcome.FAIL for seed in range(6))
        for adjust_for in ((), ("own_past",))
    }
    assert caught["own_past",] >= 5
    assert caught[()] <= 3


def test_a_panel_that_is_loaded_goes_on_as_if_it_had_not_stopped() -> None:
    """Told its past and what it has seen, it bets on the same adjusted values."""
    users, policy = FewUsers(3), make_policy("own_past")
    kept = users.begin(policy)
    windows = [users.window(LOOK_SECONDS * number) for number in range(12)]
    for window in windows[:6]:
        kept.update(window)
    loaded = GateSet.load(policy, plan(policy)[1], kept.dump())
    loaded.learn_past(users.past)
    loaded.remember([replace(window, split=None) for window in windows[:6]])
    recalled = GateSet.load(policy, plan(policy)[1], kept.dump())
    recalled.recall(kept)
    for window in windows[6:]:
        for panel in (kept, loaded, recalled):
            panel.update(window)
    evidence = [panel.log_evidence_of_harm(LATENCY) for panel in (kept, loaded, recalled)]
    assert evidence == pytest.approx([evidence[0]] * 3, abs=1e-5)
    assert kept.verdicts()[0].outcome is loaded.verdicts()[0].outcome


@pytest.mark.long
def test_a_fine_candidate_is_not_taken_back() -> None:
    """At looks without end, evidence of 20 comes in at most one in twenty releases, less what its price takes off."""
    beyond = 0
    for seed in range(60):
        users = FewUsers(1000 + seed)
        panel = users.begin(make_policy("own_past"))
        highest = -np.inf
        for begin in np.arange(0, 600.0, LOOK_SECONDS):
            panel.update(users.window(float(begin)))
            highest = max(highest, panel.log_evidence_of_harm(LATENCY))
        beyond += highest >= np.log(20)
    assert beyond <= 6  # 5 % of 60 are 3; seven or more come by chance in 3 of 100
