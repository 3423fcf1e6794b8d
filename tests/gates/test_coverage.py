"""What a gate promises, measured: its bounds hold at every look, and a candidate at its margin hardly ever passes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Role
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Floats, Observations, Window
from softlaunch.gates.rules import GateRule

pytestmark = pytest.mark.long

CONFIDENCE = 0.95
RUNS = 40
LOOKS = 8
SHARES = [
    pytest.param(0.01, 300, id="1 % of the units"),
    pytest.param(0.05, 150, id="5 %"),
    pytest.param(0.5, 80, id="half"),
]
Draw = Callable[[np.random.Generator, int, float, float], Floats]


@dataclass(frozen=True)
class Case:
    """A metric, its margin, a harm on top of none, and how values are drawn: (rng, count, harm, drift of the base)."""

    metric: Metric
    margin: float
    harm: float
    draw: Draw


def failures(base: float) -> Draw:
    """Errors at a base rate that the drift multiplies, plus the harm."""
    return lambda rng, count, harm, drift: (rng.random(count) < base * drift + harm).astype(np.float64)


def scores(rng: np.random.Generator, count: int, harm: float, drift: float) -> Floats:
    """Beta-distributed scores around 0.85, less the harm; drift takes up to ten points more."""
    mean = 0.85 - harm - 0.1 * (drift - 1)
    return rng.beta(8 * mean, 8 * (1 - mean), count)


def thumbs(rng: np.random.Generator, count: int, harm: float, drift: float) -> Floats:
    """Four of five users content, less the harm; drift takes up to ten points more."""
    return (rng.random(count) < 0.8 - harm - 0.1 * (drift - 1)).astype(np.float64)


def sizes(typical: float, sigma: float) -> Draw:
    """Log-normal values around a typical one, times one plus the harm."""
    return lambda rng, count, harm, drift: typical * drift * (1 + harm) * rng.lognormal(0, sigma, count)


CASES = [
    pytest.param(Case(Metric.ERRORS, 0.01, 0.02, failures(0.005)), id="rare errors"),
    pytest.param(Case(Metric.ERRORS, 0.01, 0.02, failures(0.05)), id="errors of 5 %"),
    pytest.param(Case(Metric.QUALITY, 0.02, 0.04, scores), id="quality"),
    pytest.param(Case(Metric.SATISFACTION, 0.04, 0.04, thumbs), id="satisfaction"),
    pytest.param(Case(Metric.LATENCY, 0.15, 0.15, sizes(800.0, 0.4)), id="latency"),
    pytest.param(Case(Metric.COST, 0.15, 0.15, sizes(1e-5, 0.3)), id="cost"),
]


def chance_allows(promised: float, runs: int) -> int:
    """As many misses as a promise that is just kept leads to, but for one time in a thousand."""
    return int(binom.ppf(0.999, runs, promised))


def begin(case: Case, rng: np.random.Generator) -> Gate:
    """A gate that knows 300 of stable's values."""
    rule = GateRule(case.metric, Role.REQUIRED, case.margin, case.margin, alpha=0.01, confidence=CONFIDENCE)
    return Gate.begin(rule, Window(0.5, {}, {case.metric: seen(case.draw(rng, 300, 0.0, 1.0))}))


def seen(values: Floats) -> Observations:
    """Values of as many units."""
    return Observations(np.arange(len(values), dtype=np.int64), values)


def window(case: Case, rng: np.random.Generator, share: float, count: int, harm: float, drift: float = 1.0) -> Window:
    """Concurrent values, each the candidate's with probability `share`."""
    of_candidate = int(rng.binomial(count, share))
    return Window(
        share,
        {case.metric: seen(case.draw(rng, of_candidate, harm, drift))},
        {case.metric: seen(case.draw(rng, count - of_candidate, 0.0, drift))},
    )


def missed(case: Case, seed: int, share: float, count: int, harm: float, *, drifting: bool) -> tuple[bool, bool]:
    """Whether at any look the lower bound was above the true harm, or the upper below it."""
    rng = np.random.default_rng(seed)
    gate = begin(case, rng)
    too_high = too_low = False
    for look in range(LOOKS):
        drift = 1.0 + (0.8 * np.sin(2 * np.pi * look / LOOKS) if drifting else 0.0)
        gate.update(window(case, rng, share, count, harm, drift))
        interval = gate.interval
        too_high |= interval.lower > harm + 1e-9
        too_low |= interval.upper < harm - 1e-9
    return too_high, too_low


@pytest.mark.parametrize(("share", "count"), SHARES)
@pytest.mark.parametrize("case", CASES)
def test_bounds_hold_at_every_look(case: Case, share: float, count: int) -> None:
    """Each is on the right side of the truth at all looks together in 95 % of the runs, of which half have harm."""
    ends = np.array([missed(case, seed, share, count, case.harm * (seed % 2), drifting=False) for seed in range(RUNS)])
    assert (ends.sum(axis=0) <= chance_allows(1 - CONFIDENCE, RUNS)).all(), ends.mean(axis=0)


@pytest.mark.parametrize("case", CASES)
def test_bounds_hold_while_both_arms_drift(case: Case) -> None:
    """A base that grows and falls by four fifths over the day is not taken for harm, nor does it hide any."""
    ends = np.array(
        [missed(case, seed, 0.05, 150, case.harm * (seed % 2), drifting=True) for seed in range(1000, 1000 + RUNS)]
    )
    assert (ends.sum(axis=0) <= chance_allows(1 - CONFIDENCE, RUNS)).all(), ends.mean(axis=0)


@pytest.mark.parametrize("case", CASES)
def test_bounds_close_in_on_the_harm(case: Case) -> None:
    """They are no mere formality: with much traffic they exclude no harm, and harm of a few margins."""
    rng = np.random.default_rng(5)
    gate = begin(case, rng)
    for _ in range(20):
        gate.update(window(case, rng, 0.5, 1500, case.harm))
    assert 0 <= gate.interval.lower <= case.harm <= gate.interval.upper <= 4 * max(case.margin, case.harm)
    assert gate.interval.upper - gate.interval.lower <= 3 * case.margin


def passes(case: Case, seed: int, harm: float) -> bool:
    """Whether the upper bound, by which a gate passes, is within the margin at any of twelve looks."""
    rng = np.random.default_rng(seed)
    gate = begin(case, rng)
    for _ in range(12):
        gate.update(window(case, rng, 0.5, 250, harm))
        if gate.interval.upper <= case.margin:
            return True
    return False


@pytest.mark.parametrize("case", CASES)
def test_a_candidate_at_the_margin_hardly_ever_passes(case: Case) -> None:
    """One that is just unacceptable passes at any of twelve looks in 5 % of the runs at most."""
    passed = sum(passes(case, seed, case.margin) for seed in range(2000, 2000 + RUNS))
    assert passed <= chance_allows(1 - CONFIDENCE, RUNS)


@pytest.mark.parametrize("case", CASES)
def test_a_candidate_twice_as_bad_never_passes(case: Case) -> None:
    """Twice the margin is beyond what chance could hide."""
    assert not any(passes(case, seed, 2 * case.margin) for seed in range(3000, 3020))
