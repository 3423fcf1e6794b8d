"""What a test promises, measured on simulated tests: error rates, power, equality, and the case it was built for."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import norm

from softlaunch.ab.conclusion import Choice
from softlaunch.ab.power import level, power
from softlaunch.core.live_metrics import Metric
from softlaunch.policy.ab import AbPolicy
from tests.ab.trials import World, grown, run

pytestmark = pytest.mark.long

ONE = AbPolicy(metrics=(Metric.SATISFACTION,), minimum_time="30 d")
TWO = AbPolicy(minimum_time="30 d")
EXTENDS = AbPolicy(metrics=(Metric.SATISFACTION,))
EQUALS_30_PERCENT_CHEAPER = World(satisfaction=0.8, cost_ratio=0.7)


def _choices(world: World, policy: AbPolicy, units: list[int], times: int, seed: int) -> Counter[Choice]:
    rng = np.random.default_rng(seed)
    return Counter(run(grown(world, units, rng), policy)[0].choice for _ in range(times))


def _at_most(share: float, times: int) -> float:
    """What a share that is the truth stays below in all but one of a thousand seeds."""
    return share + float(norm.isf(0.001)) * float(np.sqrt(share * (1 - share) / times))


@pytest.mark.parametrize(
    ("world", "policy"),
    [
        pytest.param(World(), ONE, id="satisfaction"),
        pytest.param(World(quality=True), TWO, id="satisfaction and quality"),
        pytest.param(World(alike=0.9, requests=20), ONE, id="users who ask often and always feel the same"),
        pytest.param(World(known_past=True), ONE, id="users with a past"),
    ],
)
def test_equals_are_told_apart_at_most_as_often_as_alpha(world: World, policy: AbPolicy) -> None:
    """A/A: over all metrics together, at the planned end."""
    found = _choices(world, policy, [1500], 500, seed=21)
    assert (found[Choice.A] + found[Choice.B]) / 500 <= _at_most(policy.alpha, 500)


@pytest.mark.parametrize("times", [100, pytest.param(500, marks=pytest.mark.soak)])
def test_a_test_that_extends_itself_tells_equals_apart_at_most_as_often_as_alpha(times: int) -> None:
    """A/A over all three planned ends."""
    found = _choices(World(), EXTENDS, [800, 1600, 3400], times, seed=23)
    assert (found[Choice.A] + found[Choice.B]) / times <= _at_most(EXTENDS.alpha, times)


@pytest.mark.parametrize(
    ("policy", "seed"),
    [
        pytest.param(ONE, 31, id="one metric"),
        pytest.param(TWO, 32, id="two metrics", marks=pytest.mark.long),
    ],
)
def test_the_power_is_as_planned(policy: AbPolicy, seed: int) -> None:
    """Within three points: the smallest difference is found as often as the plan for so many users says."""
    world = World(lift=0.04, quality=len(policy.metrics) > 1)
    deviation = _deviation(world)
    units, alpha = 1900, level(policy, len(policy.metrics))
    planned = power(0.04, deviation, units, policy, alpha)
    found = _choices(world, policy, [units], 2000, seed)
    assert 0.7 < planned < 0.95
    assert found[Choice.B] / 2000 == pytest.approx(planned, abs=0.03)


def _deviation(world: World) -> float:
    seen = world.arms(200_000, np.random.default_rng(1))
    return float(np.concatenate([side[Metric.SATISFACTION].values for side in (seen.a, seen.b)]).std())


def test_unequal_variants_are_called_equal_at_most_as_often_as_alpha() -> None:
    """B is worse by exactly the margin: the equivalence test lets it through in at most 5 % of the tests."""
    found = _choices(World(lift=-0.02, cost_ratio=0.5), ONE, [9000], 250, seed=41)
    assert found[Choice.B] / 250 <= _at_most(0.05, 250)


def test_equal_variants_are_called_equal_where_there_is_enough_to_say_so() -> None:
    """And then the cheaper one wins, nearly always."""
    found = _choices(EQUALS_30_PERCENT_CHEAPER, ONE, [16_000], 100, seed=43)
    assert found[Choice.B] >= 85


def test_the_case_of_equal_satisfaction_and_a_cheaper_variant() -> None:
    """80 % satisfaction on both, B 30 % cheaper: decided with enough data, extended without."""
    rng = np.random.default_rng(47)
    decided, end = run(grown(EQUALS_30_PERCENT_CHEAPER, [20_000], rng), EXTENDS)
    assert (decided.choice, end) == (Choice.B, 0)
    assert decided.reason == "B: equal within 2 points, 30 % cheaper"
    open_still, _ = run(grown(EQUALS_30_PERCENT_CHEAPER, [1000], rng), EXTENDS)
    assert open_still.choice is Choice.EXTEND
