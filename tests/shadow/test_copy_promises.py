"""What gates on copies promise, measured: equals are hardly ever stopped, what is too bad hardly ever passes."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Floats, Observations, Window
from softlaunch.gates.rules import GateRule

pytestmark = pytest.mark.long

RUNS = 100
PAIRS = 240
MARGIN, ALPHA, CONFIDENCE = 0.1, 0.01, 0.95
Draw = Callable[[np.random.Generator, int, float], Floats]


def preferences(rng: np.random.Generator, count: int, harm: float) -> Floats:
    """A judge who sees a tie in four of ten pairs; the rest is split evenly, less the harm."""
    return rng.choice([1.0, 0.5, 0.0], size=count, p=[0.3 - harm, 0.4, 0.3 + harm])


def similarities(rng: np.random.Generator, count: int, harm: float) -> Floats:
    """Answers that are seven tenths alike, give or take, less the harm."""
    return np.clip(rng.normal(0.7 - harm, 0.15, count), 0, 1)


def preference_window(rng: np.random.Generator, count: int, harm: float) -> Window:
    """The candidate's pairs against even odds."""
    units = rng.integers(0, 2**60, count)
    judged = Observations(units, preferences(rng, count, harm))
    return Window(0.5, {Metric.PREFERENCE: judged}, {Metric.PREFERENCE: Observations(units, np.full(count, 0.5))})


def agreement_window(rng: np.random.Generator, count: int, harm: float) -> Window:
    """The candidate's pairs, and stable's own of a fifth of the same requests."""
    units = rng.integers(0, 2**60, count)
    again = units[rng.random(count) < 0.2]
    return Window(
        1 / 1.2,
        {Metric.AGREEMENT: Observations(units, similarities(rng, count, harm))},
        {Metric.AGREEMENT: Observations(again, similarities(rng, len(again), 0.0))},
    )


def outcomes(metric: Metric, window: Callable[..., Window], seed: int, harm: float) -> set[Outcome]:
    """Every verdict that a gate gave at some look."""
    rng = np.random.default_rng(seed)
    usual = np.full(60, 0.5) if metric is Metric.PREFERENCE else similarities(rng, 60, 0.0)
    rule = GateRule(metric, Role.REQUIRED, MARGIN, MARGIN, ALPHA, CONFIDENCE)
    gate = Gate.begin(rule, Window(0.5, {}, {metric: Observations(np.arange(60), usual)}))
    seen, pairs = set[Outcome](), 0
    while pairs < PAIRS:
        count = int(rng.integers(1, 7))
        gate.update(window(rng, count, harm))
        seen.add(gate.judge().outcome)
        pairs += count
    return seen


METRICS = [
    pytest.param(Metric.PREFERENCE, preference_window, id="preference"),
    pytest.param(Metric.AGREEMENT, agreement_window, id="agreement"),
]


@pytest.mark.parametrize(("metric", "window"), METRICS)
def test_equals_pass_and_are_hardly_ever_stopped(metric: Metric, window: Callable[..., Window]) -> None:
    """At any look together at most the stated share of releases; and most of them pass, so it is no mere formality."""
    seen = [outcomes(metric, window, seed, 0.0) for seed in range(RUNS)]
    assert sum(Outcome.FAIL in one for one in seen) <= binom.ppf(0.999, RUNS, ALPHA)
    assert sum(Outcome.PASS in one for one in seen) >= RUNS * 0.6


@pytest.mark.parametrize(("metric", "window"), METRICS)
def test_a_candidate_at_the_margin_hardly_ever_passes(metric: Metric, window: Callable[..., Window]) -> None:
    """At any look together in 5 % of the runs at most."""
    passed = sum(Outcome.PASS in outcomes(metric, window, seed, MARGIN) for seed in range(1000, 1000 + RUNS))
    assert passed <= binom.ppf(0.999, RUNS, 1 - CONFIDENCE)


@pytest.mark.parametrize(("metric", "window"), METRICS)
def test_what_is_much_worse_is_stopped(metric: Metric, window: Callable[..., Window]) -> None:
    """Three margins are found in nearly every run."""
    seen = [outcomes(metric, window, seed, 0.3) for seed in range(2000, 2050)]
    assert sum(Outcome.FAIL in one for one in seen) >= 45
