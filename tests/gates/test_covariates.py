"""What a request's size and kind foretell: what that takes from a value, and what it does to the evidence."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.gates.adjustments import Adjustments
from softlaunch.gates.covariates import Regression
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Flags, Floats, Units, Window
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from tests.gates.adjusting import begin_panel

LATENCY, COST = Metric.LATENCY, Metric.COST
SIZE, STREAMED = Adjustment.REQUEST_SIZE, Adjustment.STREAMED
LOOK_SECONDS = 10.0
A_SECOND = 20


class Askers:
    """20 requests a second, each by somebody else, whose sizes explain half of what latencies differ by.

    Where there are `regulars`, they are so many users who come back, each with half of the spread of sizes as a habit.
    10 % meet the candidate, which is `slower` by a factor. The provider counts a question together with the arm's own
    prompt, of which the candidate's is `prompt_tokens` long and stable's 400.
    """

    def __init__(
        self,
        seed: int,
        slower: float = 1.0,
        prompt_tokens: float = 400.0,
        *,
        by_tokens: bool = False,
        regulars: int = 0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.slower, self.prompt_tokens, self.by_tokens = slower, prompt_tokens, by_tokens
        self.asked, self.regulars = 0, regulars
        self.habit = self.rng.normal(size=regulars)
        self.chosen = self.rng.random(regulars) < 0.1
        self.past = self.events(-600.0, 600.0, split=False)

    def events(self, begin: float, seconds: float, *, split: bool = True) -> Events:
        """What happens in a while."""
        rng, count = self.rng, int(self.rng.poisson(A_SECOND * seconds))
        units, candidate, scale = self.who(count)
        candidate, streamed = candidate & split, rng.random(count) < 0.5
        size = np.round(np.exp(6 + scale)).astype(np.float64)
        spread = np.sqrt(0.5) * (scale + rng.normal(size=count))
        latency = np.exp(6.7 + 0.9 * spread) * np.where(candidate, self.slower, 1.0)
        values = {LATENCY: latency, Metric.ERRORS: np.zeros(count), Metric.UNUSABLE: np.zeros(count)}
        tokens = size / 4 + np.where(candidate, self.prompt_tokens, 400.0)
        covariates = {SIZE: tokens if self.by_tokens else size, STREAMED: streamed.astype(np.float64)}
        return Events(np.sort(rng.uniform(begin, begin + seconds, count)), units, candidate, values, covariates)

    def who(self, count: int) -> tuple[Units, Flags, Floats]:
        """Who asks, whether they fall on the candidate, and how large the questions are, as a normal score."""
        if not self.regulars:
            self.asked += count
            units = np.arange(self.asked - count, self.asked)
            return units, self.rng.random(count) < 0.1, self.rng.normal(size=count)
        units = self.rng.integers(0, self.regulars, count)
        return units, self.chosen[units], np.sqrt(0.5) * (self.habit[units] + self.rng.normal(size=count))

    def window(self, begin: float) -> Window:
        """The window of a look."""
        events = self.events(begin, LOOK_SECONDS)
        of_candidate = int(events.candidate.sum())
        split = None if self.regulars else ByArm(of_candidate, len(events) - of_candidate)
        return Window(0.1, split=split, requests=events, until=begin + LOOK_SECONDS)

    def begin(self, policy: Policy) -> GateSet:
        """Gates that know the last requests before the stage, and whatever they adjust for."""
        return begin_panel(policy, self.past)


def make_policy(*adjust_for: str) -> Policy:
    """Latency at 10 %, adjusted or not."""
    gates = [{"metric": "latency", "margin": "10 %", "adjust_for": adjust_for}]
    stages = [{"weight_percent": 10, "margin_factor": 1}, {"weight_percent": 100}]
    return Policy.model_validate(
        {"app": "bot", "eval": {"golden_set": "g"}, "shadow": None, "stages": stages, "gates": gates}
    )


def met_until_caught(users: Askers, policy: Policy, minutes: int = 20) -> float:
    """How many requests the candidate answered until it was rolled back; infinite where it wasn't."""
    panel, met = users.begin(policy), 0
    for begin in np.arange(0, 60.0 * minutes, LOOK_SECONDS):
        window = users.window(float(begin))
        met += 0 if window.requests is None else int(np.count_nonzero(window.requests.candidate))
        panel.update(window)
        if panel.verdicts()[0].outcome is Outcome.FAIL:
            return met
    return np.inf


def highest_evidence(users: Askers, policy: Policy, minutes: int) -> float:
    """The most that ever spoke against the candidate, as the logarithm of an e-value."""
    panel, highest = users.begin(policy), -np.inf
    for begin in np.arange(0, 60.0 * minutes, LOOK_SECONDS):
        panel.update(users.window(float(begin)))
        highest = max(highest, panel.log_evidence_of_harm(LATENCY))
    return highest


def sized(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Sizes, and latencies that differ by them and by as much again."""
    scale = rng.normal(size=count)
    size = np.round(np.exp(6 + scale)).astype(np.float64)
    return size, np.exp(6 + np.sqrt(0.5) * (scale + rng.normal(size=count)))


def test_what_was_asked_takes_its_part_of_the_spread() -> None:
    """Half of what later latencies differ by is gone, and they are as large as before on average."""
    rng = np.random.default_rng(1)
    size, latency = sized(rng, 3000)
    learnt = Regression.learn(latency, {SIZE: size})
    size, latency = sized(rng, 3000)
    adjusted = np.log(learnt.divide(latency, {SIZE: size}))
    assert np.var(adjusted) == pytest.approx(0.5 * np.var(np.log(latency)), rel=0.1)
    assert adjusted.mean() == pytest.approx(np.log(latency).mean(), abs=0.03)
    assert abs(np.corrcoef(adjusted, np.log(size))[0, 1]) < 0.05


def test_a_bend_is_learnt() -> None:
    """Short requests may all take the same, and only long ones more."""
    rng = np.random.default_rng(2)
    size = np.exp(rng.uniform(3, 9, 5000))
    latency = np.exp(6 + np.maximum(np.log(size) - 6, 0) + 0.1 * rng.normal(size=5000))
    adjusted = np.log(Regression.learn(latency, {SIZE: size}).divide(latency, {SIZE: size}))
    assert adjusted.std() < 0.2


def test_streams_and_whole_answers_are_each_seen_beside_their_like() -> None:
    """Whichever half a request belongs to."""
    rng = np.random.default_rng(3)
    streamed = (rng.random(2000) < 0.5).astype(np.float64)
    latency = np.exp(6 - streamed + 0.1 * rng.normal(size=2000))
    adjusted = np.log(Regression.learn(latency, {STREAMED: streamed}).divide(latency, {STREAMED: streamed}))
    assert adjusted[streamed == 1].mean() == pytest.approx(adjusted[streamed == 0].mean(), abs=0.03)


@pytest.mark.parametrize("other", [pytest.param(6.5, id="as long"), pytest.param(8.0, id="longer")])
def test_what_is_not_known_of_a_request_leaves_it_as_it_is(other: float) -> None:
    """Also where requests whose size nobody knows, of an older gateway, took longer or less long."""
    rng = np.random.default_rng(4)
    size, latency = sized(rng, 4000)
    older = rng.random(4000) < 0.5
    size[older], latency[older] = np.nan, np.exp(other + rng.normal(size=np.count_nonzero(older)))
    learnt = Regression.learn(latency, {SIZE: size})
    divided = learnt.divide(latency, {SIZE: size})
    assert divided[older].tolist() == latency[older].tolist()
    assert np.log(divided[~older]).mean() == pytest.approx(np.log(latency[~older]).mean(), abs=0.03)
    assert learnt.divide(latency, {}).tolist() == latency.tolist()


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(np.empty(0), id="nothing"),
        pytest.param(np.exp(np.random.default_rng(5).normal(size=199)), id="too little"),
        pytest.param(np.full(3000, 7.0), id="always the same size"),
        pytest.param(np.full(3000, np.nan), id="no size"),
    ],
)
def test_where_the_past_tells_nothing_values_stay(known: Floats) -> None:
    """Nothing is foretold from fewer than 200 requests, or of what never varies."""
    learnt = Regression.learn(np.exp(6 + np.nan_to_num(np.log(known))), {SIZE: known})
    assert learnt.divide(np.full(3, 5.0), {SIZE: np.array([1.0, 1e3, 1e6])}).tolist() == [5.0] * 3


def test_a_short_past_foretells_less() -> None:
    """Of chance alone little is left, and of what there is most."""
    rng = np.random.default_rng(6)
    size, latency = sized(rng, 200)
    by_chance = Regression.learn(rng.permutation(latency), {SIZE: size})
    told = Regression.learn(latency, {SIZE: size})
    spread = [np.std(np.log(one.divide(np.ones(200), {SIZE: size}))) for one in (by_chance, told)]
    assert spread[0] < 0.2
    assert 0.5 < spread[1] < 0.9


def test_one_odd_request_does_not_become_enormous() -> None:
    """A size beyond all that were seen counts as the largest, and no factor is above ten."""
    rng = np.random.default_rng(7)
    size = np.exp(rng.uniform(0, 10, 3000))
    learnt = Regression.learn(size, {SIZE: size})
    divided = learnt.divide(np.ones(4), {SIZE: np.array([0.0, np.exp(9.99), 1e9, np.inf])})
    assert divided.tolist() == pytest.approx([10.0, 0.1, 0.1, 0.1])


def test_free_answers_say_nothing_of_what_a_size_costs() -> None:
    """Their logarithm would drown all others; they stay free."""
    rng = np.random.default_rng(8)
    size, cost = sized(rng, 3000)
    free = rng.random(3000) < 0.05
    learnt = Regression.learn(np.where(free, 0.0, cost), {SIZE: size})
    known = Regression.learn(cost[~free], {SIZE: size[~free]})
    assert learnt.divide(cost, {SIZE: size}) == pytest.approx(known.divide(cost, {SIZE: size}))
    assert learnt.divide(np.zeros(3000), {SIZE: size}).tolist() == [0.0] * 3000


def test_a_unit_is_compared_with_what_its_questions_leave() -> None:
    """Who asks at length is slow by that, which isn't taken off twice; what else is usual for a unit is."""
    rng = np.random.default_rng(9)
    units = np.repeat(np.arange(200), 30)
    scale, line = rng.normal(size=200)[units], 0.5 * rng.normal(size=200)[units]
    latency = np.exp(6 + scale + line + 0.1 * rng.normal(size=6000))
    at: Floats = np.tile(np.arange(30) * 10_000.0, 200) + units.astype(np.float64)
    sizes = {SIZE: np.exp(6 + scale)}
    past = Events(at, units, np.zeros(6000, np.bool_), {LATENCY: latency}, sizes).only(np.argsort(at))
    gates = make_policy("request_size", "own_past").gates
    adjusted = Adjustments.learn(gates, past).adjust(Window(0.5, requests=past)).requests
    assert adjusted is not None
    assert np.log(adjusted.values[LATENCY]).std() < 0.15


def test_only_gates_that_ask_are_adjusted() -> None:
    """Ratings, counts and other metrics stay as they are, and so does the window itself."""
    users = Askers(10)
    window = users.window(0.0)
    learnt = Adjustments.learn(make_policy("request_size").gates, users.past)
    adjusted = learnt.adjust(window)
    assert window.requests is not None
    assert adjusted.requests is not None
    assert (adjusted.requests.values[LATENCY] != window.requests.values[LATENCY]).mean() > 0.99
    assert adjusted.requests.values[Metric.ERRORS] is window.requests.values[Metric.ERRORS]
    assert Adjustments.learn(make_policy().gates, users.past).adjust(window) is window


@pytest.mark.long
def test_a_slower_candidate_is_met_by_fewer() -> None:
    """A quarter slower: half of the spread is known beforehand, and about half of the requests are enough."""
    met = {
        adjust_for: np.median([met_until_caught(Askers(seed, 1.25), make_policy(*adjust_for)) for seed in range(11)])
        for adjust_for in ((), ("request_size", "streamed"))
    }
    assert met["request_size", "streamed"] < 0.75 * met[()]


def test_a_panel_that_is_loaded_goes_on_as_if_it_had_not_stopped() -> None:
    """Told the past again it learns the same to the last digit."""
    users, policy = Askers(11), make_policy("request_size", "streamed", "own_past")
    kept = users.begin(policy)
    windows = [users.window(LOOK_SECONDS * number) for number in range(12)]
    for window in windows[:6]:
        kept.update(window)
    loaded, recalled = (GateSet.load(policy, plan(policy)[1], kept.dump()) for _ in range(2))
    loaded.learn_past(users.past)
    loaded.remember([replace(window, split=None) for window in windows[:6]])
    recalled.recall(kept)
    for window in windows[6:]:
        for panel in (kept, loaded, recalled):
            panel.update(window)
    evidence = [panel.log_evidence_of_harm(LATENCY) for panel in (kept, loaded, recalled)]
    assert evidence == [evidence[0]] * 3


def test_a_prompt_does_not_change_what_a_user_asked() -> None:
    """By the provider's tokens a candidate with a shorter prompt looks slower, and one with a longer hides its harm."""
    policy = make_policy("request_size")
    shorter: dict[str, Any] = {"prompt_tokens": 0.0}
    longer: dict[str, Any] = {"prompt_tokens": 2000.0, "slower": 1.25}
    assert met_until_caught(Askers(12, **shorter, by_tokens=True), policy) < 1000
    assert met_until_caught(Askers(12, **shorter), policy, minutes=5) == np.inf
    assert met_until_caught(Askers(13, **longer, by_tokens=True), policy) == np.inf
    assert met_until_caught(Askers(13, **longer), policy) < 1000


@pytest.mark.long
@pytest.mark.parametrize(
    ("regulars", "adjust_for"),
    [
        pytest.param(0, ("request_size", "streamed"), id="people who pass by", marks=pytest.mark.soak),
        pytest.param(300, ("own_past", "request_size", "streamed"), id="regulars, beside their own past too"),
    ],
)
def test_a_fine_candidate_is_not_taken_back(regulars: int, adjust_for: tuple[str, ...]) -> None:
    """At looks without end, evidence of 20 comes in at most one in twenty releases, less what its price takes off."""
    policy = make_policy(*adjust_for)
    highest = [highest_evidence(Askers(1000 + seed, regulars=regulars), policy, 10) for seed in range(100)]
    # 5 % are 5; more than 11 come by chance in 4 of 1,000
    assert np.count_nonzero(np.array(highest) >= np.log(20)) <= 11
