"""The evidence that a gate gathers: what it may gain by chance, and how it is stored."""

import json
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate import PASSING_WEIGHTS, Gate
from softlaunch.gates.observations import Window
from softlaunch.gates.rules import STEPS, GateRule
from tests.gates.single_gate import MARGINS, begin, failing, make_rule, window

NOT_COMPARED: dict[str, Any] = {"harm": None, "candidate_value": None, "stable_value": None}
"""What a dump rounds."""


@pytest.mark.parametrize("metric", list(MARGINS), ids=str)
@pytest.mark.parametrize(
    ("harm", "count", "share", "looks"),
    [
        pytest.param(0.0, 100, 0.5, 15, id="no harm"),
        pytest.param(0.2, 100, 0.5, 15, id="harm"),
        pytest.param(0.2, 20, 0.02, 60, id="harm in a trickle, where most looks see no candidate"),
    ],
)
def test_a_gate_that_is_stored_after_each_look_judges_like_one_that_never_was(
    metric: Metric, harm: float, count: int, share: float, looks: int
) -> None:
    """A driver may die after any look; the next one's verdicts are the same, and nothing that was kept is lost."""
    rule = make_rule(metric, alpha=0.01)
    kept = begin(rule, np.random.default_rng(0))
    stored = begin(rule, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for look in range(looks):
        seen = window(rng, count, share, metric, harm)
        kept.update(seen, look / looks)
        stored.update(seen, look / looks)
        dumped = json.loads(json.dumps(stored.dump()))
        stored = Gate.load(rule, dumped)
        one, other = kept.judge(), stored.judge()
        assert replace(one, **NOT_COMPARED) == replace(other, **NOT_COMPARED)
        assert one.harm == pytest.approx(other.harm)
        assert one.harm is not None or not one.candidate_count
        assert stored.dump() == dumped
        assert stored.log_evidence_of_harm == kept.log_evidence_of_harm


@pytest.mark.parametrize("metric", Metric)
def test_a_gate_without_evidence_has_wealth_of_one(metric: Metric) -> None:
    """Ville's inequality counts from there: what begins with more errs more often than it promises."""
    gate = Gate.begin(make_rule(metric))
    assert np.exp(gate.log_evidence_below) == pytest.approx(np.ones(len(STEPS)))
    assert gate.log_evidence_of_harm == 0.0
    assert sum(PASSING_WEIGHTS) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_evidence_gains_nothing_on_average_when_the_arms_are_alike(rate: float) -> None:
    """Worked out over each way in which three units can fall on the arms and fail, after a window that nobody chose."""
    share, rule = 0.3, make_rule(Metric.ERRORS)
    known = Gate.begin(rule, Window(0.5, {}, failing(int(1000 * rate), 1000)))
    known.update(Window(share, failing(1, 2), failing(1, 5)), 0.5)
    alike = int(np.flatnonzero(rule.grid == 0)[0])
    before = np.exp([known.log_evidence_below[alike], known.log_evidence_of_harm])
    after = np.zeros(2)
    for candidates in range(4):
        for bad, worse in product(range(candidates + 1), range(4 - candidates)):
            gate = Gate.load(rule, known.dump())
            gate.update(Window(share, failing(bad, candidates), failing(worse, 3 - candidates)), 0.5)
            chance = binom.pmf(candidates, 3, share) * binom.pmf(bad, candidates, rate)
            chance *= binom.pmf(worse, 3 - candidates, rate)
            after += chance * np.exp([gate.log_evidence_below[alike], gate.log_evidence_of_harm])
    assert (after <= before * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("margin", "metric"),
    [
        pytest.param(0.001, Metric.ERRORS, id="a tenth of a point"),
        pytest.param(1.0, Metric.ERRORS, id="a hundred points"),
        pytest.param(0.9, Metric.COST, id="90 %"),
        pytest.param(8.0, Metric.LATENCY, id="nine times as slow"),
    ],
)
def test_any_margin_a_policy_may_have_can_be_judged(margin: float, metric: Metric) -> None:
    """Harms that evidence is kept for stay where the metric can be, and bounds stay in order."""
    rule = GateRule(metric, Role.REQUIRED, margin, margin, 0.01, 0.95)
    assert (np.diff(rule.grid) >= 0).all()
    rng = np.random.default_rng(1)
    gate = begin(rule, rng)
    for _ in range(5):
        gate.update(window(rng, 100, 0.5, metric, 0.0))
    verdict = gate.judge()
    assert verdict.interval is not None
    assert verdict.interval.lower <= verdict.interval.upper
    assert verdict.outcome is not Outcome.FAIL


@pytest.mark.parametrize("metric", list(MARGINS), ids=str)
def test_a_gate_passes_as_soon_as_its_upper_bound_is_within_the_margin(metric: Metric) -> None:
    """The interval that people see and the verdict never contradict each other, and the bounds are in order."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        gate = begin(make_rule(metric), rng)
        for _ in range(30):
            gate.update(window(rng, 100, 0.5, metric, 0.0))
            verdict = gate.judge()
            assert verdict.interval is not None
            assert (verdict.outcome is Outcome.PASS) == (verdict.interval.upper <= MARGINS[metric])
            assert verdict.interval.lower <= verdict.interval.upper


def test_a_bound_does_not_leap_over_a_harm_that_is_not_refuted() -> None:
    """Harms are refuted from the ends inwards: a gap may be chance, and each bound promises one error only."""
    gate = begin(make_rule(Metric.ERRORS), np.random.default_rng(0))
    harms = gate.rule.grid
    gate.above[[0, 1, 2, 5]] = 10.0
    gate.below[[-6, -3, -2, -1]] = 10.0
    assert gate.interval.lower == harms[2]
    assert gate.interval.upper == harms[-3]


def test_bets_are_chosen_before_the_window_that_they_judge() -> None:
    """The stakes after a window depend on what was known before it, so whatever it holds they are the same."""
    stakes = []
    for harm in (0.0, 0.5):
        gate = begin(make_rule(Metric.ERRORS), np.random.default_rng(0))
        gate.update(window(np.random.default_rng(1), 200, 0.5, Metric.ERRORS, harm))
        assert gate.bet_fractions is not None
        stakes.append(gate.bet_fractions.tolist())
    assert stakes[0] == stakes[1]
