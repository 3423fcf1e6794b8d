"""One gate: what it promises, measured, and what it says on particular evidence."""

import json
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.e_process import event_growth
from softlaunch.gates.gate import PASSING_WEIGHTS, Gate
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.reference import ENOUGH
from softlaunch.gates.rules import STEPS, GateRule
from tests.support.builders import arm

ALPHA = 0.1
MARGINS = {Metric.ERRORS: 0.04, Metric.LATENCY: 0.25, Metric.COST: 0.25, Metric.SATISFACTION: 0.1}
PROMISED = [
    pytest.param(Metric.ERRORS, 0.5, id="errors, half of the units"),
    pytest.param(Metric.ERRORS, 0.1, id="errors, a tenth of the units"),
    pytest.param(Metric.SATISFACTION, 0.5, id="satisfaction"),
    pytest.param(Metric.LATENCY, 0.2, id="latency"),
]
NOT_COMPARED: dict[str, Any] = {"harm": None, "candidate_value": None, "stable_value": None}
"""What a dump rounds."""


def make_rule(metric: Metric, material: float | None = None, alpha: float = ALPHA) -> GateRule:
    """A rule with the metric's margin, a false-alarm share of 10 % and a confidence of 95 %."""
    margin = MARGINS.get(metric, 0.1)
    return GateRule(metric, Role.REQUIRED, margin, margin if material is None else material, alpha, 0.95)


def begin(rule: GateRule, rng: np.random.Generator, history: int = 1000) -> Gate:
    """A gate that knows this many of stable's requests."""
    return Gate.begin(rule, Window(0.5, {}, arm(history, rng)) if history else None)


def window(rng: np.random.Generator, count: int, share: float, metric: Metric, harm: float) -> Window:
    """Concurrent requests; the candidate's are worse by `harm` in one metric."""
    of_candidate = int(rng.binomial(count, share))
    worse = {
        Metric.ERRORS: {"errors": 0.01 + harm},
        Metric.LATENCY: {"latency": 1 + harm},
        Metric.COST: {"cost": 1 + harm},
        Metric.SATISFACTION: {"satisfaction": 0.8 - harm},
    }[metric]
    return Window(share, arm(of_candidate, rng, **worse), arm(count - of_candidate, rng))


def failing(bad: int, count: int) -> dict[Metric, Observations]:
    """Units of one arm, of which the first so many fail."""
    return {Metric.ERRORS: Observations(np.arange(count), (np.arange(count) < bad).astype(np.float64))}


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
        assert verdict.interval.upper <= verdict.margin == MARGINS[metric]  # type: ignore[operator]


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
    assert often.counts == (200, 20)


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
        assert gate.stakes is not None
        stakes.append(gate.stakes.tolist())
    assert stakes[0] == stakes[1]
