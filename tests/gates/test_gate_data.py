"""What a gate makes of values that are constant, missing, infinite or few."""

import json

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.gates.e_process import event_growth
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.reference import ENOUGH
from tests.gates.single_gate import begin, failing, make_rule, window
from tests.support.builders import arm


def constant(value: float, count: int, start: int = 0) -> dict[Metric, Observations]:
    """Every request takes and costs the same."""
    units = np.arange(start, start + count, dtype=np.int64)
    return {metric: Observations(units, np.full(count, value)) for metric in (Metric.LATENCY, Metric.COST)}


@pytest.mark.parametrize(
    ("stable", "candidate", "outcome"),
    [
        pytest.param(100.0, 100.0, Outcome.PASS, id="the same constant"),
        pytest.param(100.0, 110.0, Outcome.PASS, id="another constant inside the margin"),
        pytest.param(100.0, 200.0, Outcome.FAIL, id="another constant beyond it"),
        pytest.param(100.0, 50.0, Outcome.PASS, id="a better constant"),
        pytest.param(1e-9, 1e-9, Outcome.PASS, id="the same billionth"),
        pytest.param(1e-9, 2e-9, Outcome.FAIL, id="two billionths instead of one"),
        pytest.param(0.0, 0.0, Outcome.PASS, id="both nothing"),
        pytest.param(0.0, 1e-5, Outcome.FAIL, id="free before, priced now"),
    ],
)
@pytest.mark.parametrize("metric", [Metric.LATENCY, Metric.COST], ids=str)
def test_constant_values_are_judged_too(metric: Metric, stable: float, candidate: float, outcome: Outcome) -> None:
    """Ties are no trouble: a constant equals itself, and differs from another."""
    gate = Gate.begin(make_rule(metric), Window(0.5, {}, constant(stable, 200)))
    for _ in range(20):
        gate.update(Window(0.5, constant(candidate, 20), constant(stable, 20, start=20)))
    assert gate.judge().outcome is outcome


@pytest.mark.parametrize(
    ("failing", "outcome"),
    [pytest.param(0.0, Outcome.PASS, id="none fails"), pytest.param(0.1, Outcome.FAIL, id="one in ten fails")],
)
def test_a_stable_that_never_failed_can_be_compared_with(failing: float, outcome: Outcome) -> None:
    """Zero errors in the reference neither pass nor fail a candidate by themselves."""
    rng = np.random.default_rng(3)
    gate = Gate.begin(make_rule(Metric.ERRORS), Window(0.5, {}, arm(1000, rng, errors=0.0)))
    for _ in range(20):
        gate.update(Window(0.5, arm(50, rng, errors=failing), arm(50, rng, errors=0.0)))
    assert gate.judge().outcome is outcome


@pytest.mark.parametrize(
    ("candidates", "stables", "missing"),
    [
        pytest.param(0, 30, "no data from candidate", id="no candidate"),
        pytest.param(10, 0, "no data from stable", id="no stable"),
        pytest.param(0, 0, "no data from candidate and stable", id="neither"),
    ],
)
def test_an_arm_without_data_leaves_the_gate_inconclusive(candidates: int, stables: int, missing: str) -> None:
    """No data is said, and never passes."""
    rng = np.random.default_rng(1)
    gate = begin(make_rule(Metric.ERRORS), rng)
    for _ in range(50):
        gate.update(Window(0.1, arm(candidates, rng), arm(stables, rng)))
    verdict = gate.judge()
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, missing)
    assert verdict.harm is None


def test_values_that_were_never_measured_are_no_data() -> None:
    """NaN on one side leaves the gate inconclusive, and NaN among values leaves the values."""
    rng = np.random.default_rng(1)
    gate = begin(make_rule(Metric.LATENCY), rng)
    lost = Observations.of(np.arange(50), np.full(50, np.nan))
    for _ in range(20):
        gate.update(Window(0.5, {Metric.LATENCY: lost}, arm(50, rng)))
    assert gate.judge().reason == "no data from candidate"
    some = np.where(np.arange(50) % 2 == 0, 800.0, np.nan)
    gate.update(Window(0.5, {Metric.LATENCY: Observations.of(np.arange(50), some)}, arm(50, rng)))
    assert gate.judge().candidate_count == 25
    assert np.isfinite(gate.above).all()
    assert np.isfinite(gate.below).all()


def test_an_infinite_latency_is_the_slowest_of_all() -> None:
    """It is no credit to the candidate, and no figure of the evidence becomes infinite."""
    rng = np.random.default_rng(1)
    gate = begin(make_rule(Metric.LATENCY), rng)
    for _ in range(10):
        endless = Observations.of(np.arange(20), np.full(20, np.inf))
        gate.update(Window(0.5, {Metric.LATENCY: endless}, arm(20, rng)))
    assert gate.judge().outcome is Outcome.FAIL
    json.dumps(gate.dump(), allow_nan=False)


def test_events_of_a_trickle_are_not_lost() -> None:
    """One request a look: no window has both arms, and failures are still counted against the candidate."""
    rng = np.random.default_rng(8)
    gate = begin(make_rule(Metric.ERRORS, alpha=0.001), rng)
    for _ in range(400):
        on_candidate = rng.random() < 0.5
        request = arm(1, rng, errors=0.3 if on_candidate else 0.01)
        gate.update(Window(0.5, request, {}) if on_candidate else Window(0.5, {}, request))
    (counted,) = gate.events.values()
    assert counted.max() > 5
    assert gate.judge().outcome is Outcome.FAIL


@pytest.mark.parametrize("alone", ["candidate", "stable"])
def test_events_of_one_arm_alone_wait_for_the_other(alone: str) -> None:
    """They count as if both arms had come in one window."""
    gate = Gate.begin(make_rule(Metric.ERRORS), Window(0.5, {}, failing(10, 1000)))
    first = failing(2, 6)
    gate.update(Window(0.5, first, {}) if alone == "candidate" else Window(0.5, {}, first))
    assert gate.events == {}
    gate.update(Window(0.5, failing(1, 3), failing(0, 4)))
    together = event_growth(3, 0, 9, 4) if alone == "candidate" else event_growth(1, 2, 3, 10)
    assert gate.events["failures"] == pytest.approx(together, abs=1e-6)


def test_a_split_that_was_not_in_force_is_no_evidence() -> None:
    """While a lease had run out all units met stable: what happened then says nothing about the candidate."""
    rng = np.random.default_rng(6)
    gate = begin(make_rule(Metric.ERRORS), rng)
    gate.update(window(rng, 100, 0.5, Metric.ERRORS, 0.0))
    before = gate.below.copy(), gate.above.copy()
    for _ in range(20):
        gate.update(Window(0.5, {}, arm(100, rng, errors=0.5)))
    assert (gate.below == before[0]).all()
    assert (gate.above == before[1]).all()


def test_without_history_a_gate_only_learns_until_it_knows_enough() -> None:
    """The first windows tell what is usual; bets begin with the window after."""
    rng = np.random.default_rng(8)
    gate = begin(make_rule(Metric.ERRORS), rng, history=0)
    gate.update(Window(0.5, arm(ENOUGH - 1, rng, errors=1.0), arm(ENOUGH - 1, rng)))
    gate.update(Window(0.5, arm(5, rng, errors=1.0), arm(5, rng)))
    assert not gate.above.any()
    assert gate.judge().outcome is Outcome.INCONCLUSIVE
    gate.update(Window(0.5, arm(5, rng, errors=1.0), arm(5, rng)))
    assert gate.above.any()


def test_repeated_requests_of_a_unit_count_once_in_a_window() -> None:
    """A user who met one error in a window met it once, however often they tried again."""
    rng = np.random.default_rng(8)
    once, often = (begin(make_rule(Metric.ERRORS), np.random.default_rng(0)) for _ in range(2))
    stable = arm(20, rng)
    errors = Observations(np.arange(20, dtype=np.int64), np.array([1.0] * 3 + [0.0] * 17))
    repeated = Observations(np.repeat(errors.units, 10), np.repeat(errors.values, 10))
    once.update(Window(0.5, {Metric.ERRORS: errors}, stable))
    often.update(Window(0.5, {Metric.ERRORS: repeated}, stable))
    assert once.log_evidence_of_harm == pytest.approx(often.log_evidence_of_harm)
    assert often.counts == ByArm(200, 20)
