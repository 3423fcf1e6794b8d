"""One gate: what it promises, measured, and what it says on particular evidence."""

from dataclasses import replace

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Observations, Window
from tests.gates.single_gate import ALPHA, MARGINS, begin, make_rule, window
from tests.support.builders import arm

PROMISED = [
    pytest.param(Metric.ERRORS, 0.5, id="errors, half of the units"),
    pytest.param(Metric.ERRORS, 0.1, id="errors, a tenth of the units"),
    pytest.param(Metric.SATISFACTION, 0.5, id="satisfaction"),
    pytest.param(Metric.LATENCY, 0.2, id="latency"),
]


def fails_at_any_of_15_looks(metric: Metric, share: float, seed: int) -> bool:
    """Whether a gate for which any harm is material ever fails a candidate that is like stable."""
    rng = np.random.default_rng(seed)
    gate = begin(make_rule(metric, material=1e-9), rng)
    for _ in range(15):
        gate.update(window(rng, 150, share, metric, 0.0))
        if gate.judge().outcome is Outcome.FAIL:
            return True
    return False


@pytest.mark.parametrize(("metric", "share"), PROMISED)
def test_without_harm_false_alarms_stay_within_alpha(metric: Metric, share: float) -> None:
    """Looking 15 times at equal arms, ever failing is no likelier than alpha.

    Harm of any size counts as material here, so that nothing but the evidence keeps the gate from failing.
    """
    assert np.mean([fails_at_any_of_15_looks(metric, share, seed) for seed in range(40)]) <= ALPHA


def test_what_hits_both_arms_is_not_held_against_the_candidate() -> None:
    """At 5 % of little traffic most looks see no candidate: an outage that both arms share still is no harm."""
    failures = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        gate = begin(make_rule(Metric.ERRORS, material=0.01, alpha=0.0025), rng)
        failed = False
        for look in range(100):
            rate = 0.3 if look >= 30 else 0.01
            of_candidate = int(rng.binomial(3, 0.05))
            gate.update(Window(0.05, arm(of_candidate, rng, errors=rate), arm(3 - of_candidate, rng, errors=rate)))
            failed |= gate.judge().outcome is Outcome.FAIL
        failures += failed
    assert failures <= 1


@pytest.mark.parametrize(
    ("metric", "harm"),
    [
        pytest.param(Metric.LATENCY, 1.0, id="latency doubles"),
        pytest.param(Metric.ERRORS, 0.1, id="10 points more errors"),
        pytest.param(Metric.SATISFACTION, 0.2, id="20 points less satisfaction"),
        pytest.param(Metric.COST, 0.3, id="30 % dearer, at 0.00001 USD a request"),
    ],
)
def test_clear_harm_is_found(metric: Metric, harm: float) -> None:
    """2,000 requests at 20 % are enough for every one of ten releases, at a thousandth of false alarms."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        gate = begin(make_rule(metric, alpha=0.001), rng)
        for _ in range(20):
            gate.update(window(rng, 100, 0.2, metric, harm))
        verdict = gate.judge()
        assert verdict.outcome is Outcome.FAIL, (seed, verdict)
        assert "more than the acceptable" in verdict.reason


def test_a_slow_tail_is_found_behind_a_median_that_stands_still() -> None:
    """One request in five takes five times as long."""
    rng = np.random.default_rng(2)
    gate = begin(make_rule(Metric.LATENCY, alpha=0.001), rng)
    for _ in range(15):
        candidate, stable = arm(50, rng), arm(50, rng)
        slow = candidate[Metric.LATENCY]
        slow.values[:10] *= 5
        gate.update(Window(0.5, candidate, stable))
    assert gate.judge().outcome is Outcome.FAIL


def test_a_slow_tail_does_not_pass_behind_a_good_average() -> None:
    """One request in twenty takes three times as long: the ranks alone would soon be content, the verdict never is."""
    rng = np.random.default_rng(5)
    gate = begin(make_rule(Metric.LATENCY), rng)
    content = 0
    for _ in range(40):
        candidate, stable = arm(60, rng), arm(60, rng)
        candidate[Metric.LATENCY].values[:3] *= 3
        gate.update(Window(0.5, candidate, stable))
        content += gate.interval.upper <= gate.rule.margin
        assert gate.judge().outcome is not Outcome.PASS
    assert content > 20


@pytest.mark.parametrize("metric", list(MARGINS), ids=str)
def test_a_harmless_candidate_passes_when_there_is_evidence(metric: Metric) -> None:
    """6,000 requests are enough for each of five releases, and the verdict carries its figures."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        gate = begin(make_rule(metric, alpha=0.001), rng)
        for _ in range(30):
            gate.update(window(rng, 200, 0.5, metric, 0.0))
        verdict = gate.judge()
        assert verdict.outcome is Outcome.PASS, (seed, verdict)
        assert verdict.candidate_count + verdict.stable_count == 6000
        assert verdict.interval is not None
        assert verdict.interval.upper <= verdict.margin == MARGINS[metric]  # type: ignore[operator]  # a verdict on data has both


def test_a_widened_stage_passes_what_it_is_to_accept() -> None:
    """Where a stage widens the margin, harm between the policy's margin and its own holds nothing up."""
    rule = replace(make_rule(Metric.ERRORS, material=0.04, alpha=1e-30), margin=0.16)
    gate, rng = begin(rule, np.random.default_rng(0)), np.random.default_rng(1)
    for _ in range(10):
        gate.update(window(rng, 200, 0.5, Metric.ERRORS, 0.06))
    assert gate.is_material
    assert gate.judge().outcome is Outcome.PASS


def test_small_harm_inside_the_margin_is_no_reason_to_roll_back() -> None:
    """Where the change is sure but acceptable the gate doesn't fail."""
    rng = np.random.default_rng(4)
    gate = begin(make_rule(Metric.LATENCY), rng)
    for _ in range(40):
        gate.update(window(rng, 400, 0.5, Metric.LATENCY, 0.1))
    assert gate.log_evidence_of_harm > -np.log(ALPHA)
    assert gate.judge().outcome is Outcome.PASS


@pytest.mark.parametrize("harm", [pytest.param(0.0, id="no harm"), pytest.param(1.0, id="twice as slow")])
def test_the_unit_of_a_latency_does_not_matter(harm: float) -> None:
    """In milliseconds or in thousands of seconds, verdict and harm are the same."""

    def scaled(seen: dict[Metric, Observations], factor: float) -> dict[Metric, Observations]:
        latency = seen[Metric.LATENCY]
        return {Metric.LATENCY: Observations(latency.units, latency.values * factor)}

    ends = []
    for factor in (1.0, 1e-6):
        rng = np.random.default_rng(9)
        gate = Gate.begin(make_rule(Metric.LATENCY), Window(0.5, {}, scaled(arm(1000, rng), factor)))
        for _ in range(30):
            drawn = window(rng, 200, 0.5, Metric.LATENCY, harm)
            gate.update(Window(0.5, scaled(dict(drawn.candidate), factor), scaled(dict(drawn.stable), factor)))
        ends.append(gate.judge())
    assert ends[0].outcome is ends[1].outcome
    assert ends[0].outcome is (Outcome.FAIL if harm else Outcome.PASS)
    assert ends[0].harm == pytest.approx(ends[1].harm, abs=0.05)  # a ratio of two medians, each right to 1 or 2 %
