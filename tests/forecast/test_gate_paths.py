"""What is foreseen of a gate is what the gate then does, on simulated requests."""

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.forecast.gate_paths import CopyOutlook, SampledPaths, observations
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Floats, Observations, Window
from softlaunch.gates.rules import GateRule

pytestmark = pytest.mark.long

RUNS, PER_LOOK, MOST = 50, 10, 8000
MATERIAL = {Metric.ERRORS: 0.01, Metric.LATENCY: 0.1, Metric.QUALITY: 0.02, Metric.SATISFACTION: 0.04}


def values(metric: Metric, count: int, harm: float, rng: np.random.Generator) -> Floats:
    """Answers of an app with 1 % errors, a second's latency, quality 0.85 and 80 % good ratings, made worse."""
    if metric is Metric.ERRORS:
        return (rng.random(count) < 0.01 + harm).astype(np.float64)
    if metric is Metric.SATISFACTION:
        return (rng.random(count) < 0.8 - harm).astype(np.float64)
    if metric is Metric.QUALITY:
        mean = 0.85 - harm
        size = mean * (1 - mean) / 0.04 - 1
        return rng.beta(mean * size, (1 - mean) * size, count)
    return 1000 * (1 + harm) * rng.lognormal(0, 0.5, count)


def history(metric: Metric, rng: np.random.Generator) -> Observations:
    """Three thousand requests of stable."""
    return observations(values(metric, 3000, 0.0, rng))


def make_rule(metric: Metric, margin: float) -> GateRule:
    """A required gate with a tenth of an alpha of 1 %."""
    return GateRule(metric, Role.REQUIRED, margin, MATERIAL[metric], 0.001, 0.95)


def simulated(rule: GateRule, share: float, harm: float, seed: int) -> float:
    """Candidate requests, each of a user of its own, until the real gate passes (without harm) or fails (with harm)."""
    rng = np.random.default_rng([4, seed])
    metric, wanted = rule.metric, Outcome.FAIL if harm else Outcome.PASS
    gate = Gate.begin(rule, Window(share, {}, {metric: history(metric, rng)}))
    shown = 0
    while shown < MOST:
        counts = rng.poisson(PER_LOOK), rng.poisson(PER_LOOK * (1 - share) / share)
        arms = [
            {metric: Observations(rng.integers(0, 2**62, count), values(metric, count, worse, rng))}
            for count, worse in zip(counts, (harm, 0.0), strict=True)
        ]
        gate.update(Window(share, arms[0], arms[1]))
        shown += counts[0]
        if gate.judge().outcome is wanted:
            return shown
    return np.inf


@pytest.mark.parametrize(
    ("metric", "margin", "share", "harm"),
    [
        pytest.param(Metric.ERRORS, 0.04, 0.05, 0.0, id="errors pass at 5 %"),
        pytest.param(Metric.ERRORS, 0.02, 0.5, 0.0, id="errors pass at 50 %"),
        pytest.param(Metric.ERRORS, 0.01, 0.05, 0.03, id="errors x4 at 5 %"),
        pytest.param(Metric.LATENCY, 0.1, 0.5, 0.0, id="latency passes at 50 %", marks=pytest.mark.long),
        pytest.param(Metric.LATENCY, 0.1, 0.05, 0.25, id="latency x1.25 at 5 %"),
        pytest.param(Metric.LATENCY, 0.1, 0.5, 1.0, id="latency x2 at 50 %"),
        pytest.param(Metric.QUALITY, 0.04, 0.5, 0.0, id="quality passes at 50 %"),
        pytest.param(Metric.QUALITY, 0.02, 0.05, 0.05, id="quality -5 points at 5 %"),
        pytest.param(Metric.SATISFACTION, 0.08, 0.2, 0.0, id="satisfaction passes at 20 %"),
        pytest.param(Metric.SATISFACTION, 0.04, 0.05, 0.1, id="satisfaction -10 points at 5 %"),
    ],
)
def test_medians_are_those_of_a_simulation(metric: Metric, margin: float, share: float, harm: float) -> None:
    """Median candidate requests to pass or to roll back are foreseen to within a factor of 1.5."""
    rule = make_rule(metric, margin)
    stable = history(metric, np.random.default_rng(11))
    times = CopyOutlook(rule, stable, share, units_per_look=PER_LOOK).stopping_times(harm)
    foreseen = float(np.median(times.fails if harm else times.passes))
    median = float(np.median([simulated(rule, share, harm, seed) for seed in range(RUNS)]))
    assert median / 1.5 <= foreseen <= median * 1.5, f"foreseen {foreseen:.0f}, simulated {median:.0f}"


def test_the_same_question_has_the_same_answer() -> None:
    """Sampled paths are seeded."""
    stable = history(Metric.LATENCY, np.random.default_rng(1))
    first, again = (
        CopyOutlook(make_rule(Metric.LATENCY, 0.1), stable, 0.5, sampled=SampledPaths()).stopping_times(0.2).fails
        for _ in range(2)
    )
    assert np.array_equal(first, again)


@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.LATENCY, Metric.QUALITY, Metric.SATISFACTION])
def test_the_larger_the_harm_the_sooner_it_is_caught(metric: Metric) -> None:
    """And the later such a candidate passes, up to the largest harm there is."""
    outlook = CopyOutlook(make_rule(metric, 0.1), history(metric, np.random.default_rng(2)), 0.05)
    foreseen_times = [outlook.stopping_times(harm) for harm in (0.05, 0.2, 0.5, outlook.largest_harm)]
    fails, passes = ([float(np.median(getattr(one, name))) for one in foreseen_times] for name in ("fails", "passes"))
    assert fails == sorted(fails, reverse=True)
    assert passes == sorted(passes)


@pytest.mark.parametrize(("count", "known"), [pytest.param(0, False, id="none"), pytest.param(60, True, id="sixty")])
def test_nothing_is_foreseen_from_too_little(count: int, *, known: bool) -> None:
    """The gate itself bets on nothing before it knows fifty units of stable."""
    stable = observations(np.linspace(100, 900, count))
    assert CopyOutlook(make_rule(Metric.LATENCY, 0.1), stable, 0.5).is_known is known


def test_stable_without_a_single_error_is_no_obstacle() -> None:
    """A first error is still to be expected, so times are finite and harm is caught."""
    outlook = CopyOutlook(make_rule(Metric.ERRORS, 0.01), observations(np.zeros(3000)), 0.5)
    assert np.isfinite(np.median(outlook.stopping_times().passes))
    assert np.isfinite(outlook.stopping_times(0.05).fails).all()


def test_small_looks_see_fewer_events() -> None:
    """A bad event counts where a look saw both arms, which at a small share few do."""
    stable = history(Metric.ERRORS, np.random.default_rng(3))
    rule = make_rule(Metric.ERRORS, 0.01)
    often, seldom = (
        np.median(CopyOutlook(rule, stable, 0.01, units_per_look=units).stopping_times(0.03).fails)
        for units in (0.01, 20.0)
    )
    assert often > seldom
