"""The simulation that judges of a canary are compared in."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gates.contest import JUDGES, Task, Tuning, contest, make_judges, perform, tasks
from benchmarks.gates.ert import Bets
from benchmarks.gates.judges import Decision
from benchmarks.gates.kayenta import is_high
from benchmarks.gates.model import METRICS, SCENARIOS, STAGES, Effect, Kind, Levels, Scenario
from benchmarks.gates.report import Summary, as_json, beside, from_json, summaries, tables, targets, upper_bound
from benchmarks.gates.simulate import End, Result, release
from benchmarks.gates.thresholds import Argo, Flagger, Rehearsal, naive_argo, naive_flagger
from benchmarks.gates.traffic import Look, Traffic
from benchmarks.gates.ttests import Moments, UnitMoments, sequential_halfwidth, spending_boundaries, welch_p
from benchmarks.gates.yeast import Yeast, planned_requests
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Observations, Window

FINE = Scenario("fine", Kind.FINE)
HALF = STAGES[2]
UNTUNED = Tuning(naive_argo(Levels()), naive_flagger(Levels()))


def _look(traffic: Traffic, requests: int = 40_000) -> Look:
    return traffic.stage(HALF, 0.0).until(requests / traffic.scenario.rate)


def _mean(seen: Observations) -> float:
    return float(seen.values.mean())


def test_stable_answers_as_the_model_says() -> None:
    """Levels come out as they are written down, and one request in ten is rated."""
    stable = _look(Traffic(FINE, (1,))).window.stable
    assert _mean(stable[Metric.ERRORS]) == pytest.approx(0.005, abs=0.002)
    assert np.median(stable[Metric.LATENCY].values) == pytest.approx(1000, rel=0.02)
    assert np.median(stable[Metric.COST].values) == pytest.approx(2e-4, rel=0.02)
    assert _mean(stable[Metric.QUALITY]) == pytest.approx(0.85, abs=0.005)
    assert stable[Metric.QUALITY].values.std() == pytest.approx(0.2, abs=0.005)
    assert _mean(stable[Metric.SATISFACTION]) == pytest.approx(0.8, abs=0.03)
    assert len(stable[Metric.SATISFACTION]) / len(stable[Metric.ERRORS]) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("effect", "metric", "harm"),
    [
        pytest.param(Effect(errors=0.045), Metric.ERRORS, 0.045, id="errors"),
        pytest.param(Effect(quality=0.15), Metric.QUALITY, -0.15, id="quality"),
        pytest.param(Effect(satisfaction=0.2), Metric.SATISFACTION, -0.2, id="satisfaction"),
    ],
)
def test_an_effect_hits_the_candidate_only(effect: Effect, metric: Metric, harm: float) -> None:
    """The difference between the arms is the effect, also while both drift."""
    window = _look(Traffic(replace(FINE, effect=effect, drift=True), (1,))).window
    assert _mean(window.candidate[metric]) - _mean(window.stable[metric]) == pytest.approx(harm, abs=0.03)


def test_every_judge_meets_the_same_requests() -> None:
    """Reading in other steps, or at another share, changes neither a request's luck nor who is split off first."""
    whole, pieces = Traffic(FINE, (1,)), Traffic(FINE, (1,))
    at_once = _look(whole, 5000).shown[Metric.LATENCY].values
    stage, step = pieces.stage(HALF, 0.0), 100 / FINE.rate
    step_by_step = [stage.until(number * step).shown[Metric.LATENCY].values for number in range(1, 51)]
    assert np.array_equal(at_once, np.concatenate(step_by_step))
    few = whole.stage(STAGES[0], 0.0).until(5000 / FINE.rate)
    assert set(few.units.tolist()) < set(_look(whole, 5000).units.tolist())


def test_requests_of_a_unit_stay_in_one_arm_and_resemble_each_other() -> None:
    """Five requests a unit, all in one arm, with the correlation that the model names, and unchanged averages."""
    window = _look(Traffic(replace(FINE, unit_size=5), (1,))).window
    candidate, stable = window.candidate[Metric.LATENCY], window.stable[Metric.LATENCY]
    assert not set(candidate.units.tolist()) & set(stable.units.tolist())
    values = np.log(candidate.values[np.argsort(candidate.units, kind="stable")]).reshape(-1, 5)
    correlation = np.corrcoef(values.T)[np.triu_indices(5, 1)].mean()
    assert correlation == pytest.approx(0.3, abs=0.05)
    assert np.median(candidate.values) == pytest.approx(1000, rel=0.03)


def test_at_100_percent_only_copies_can_be_compared() -> None:
    """Everybody is exposed, one request in twenty is a pair, and copies carry no ratings."""
    seen = Traffic(FINE, (1,)).stage(STAGES[3], 0.0).until(4000 / FINE.rate)
    assert seen.exposed == len(seen.shown[Metric.ERRORS]) == 4000
    assert len(seen.window.candidate[Metric.ERRORS]) == len(seen.window.stable[Metric.ERRORS])
    assert len(seen.window.stable[Metric.ERRORS]) == pytest.approx(200, abs=50)
    assert Metric.QUALITY not in seen.window.candidate
    assert seen.window.requests is None


def test_harm_that_starts_late_is_counted_from_there() -> None:
    """Requests before the harm are no exposure to it."""

    class RollsBackAtHalf:
        at_intervals = False
        blamed = "latency"

        def look(self, seen: Look) -> Decision:
            return Decision.ROLLBACK if seen.stage.share == 0.5 else Decision.PASS

    late = replace(FINE, effect=Effect(latency=2, from_share=0.5))
    result = release(late, RollsBackAtHalf(), Traffic(late, (1,)))
    assert result.end is End.ROLLED_BACK
    assert result.harmed is not None
    assert 0 < result.harmed < result.exposed


def test_a_release_that_nobody_decides_ends_undecided() -> None:
    """The candidate's requests in all are bounded where traffic is."""

    class Waits:
        at_intervals = False
        blamed = None

        def look(self, seen: Look) -> Decision:
            return Decision.CONTINUE

    sparse = replace(FINE, candidate_limit=100)
    result = release(sparse, Waits(), Traffic(sparse, (1,)))
    assert (result.end, result.stage) == (End.UNDECIDED, 1)
    assert 100 <= result.exposed < 140


@pytest.mark.long
def test_results_do_not_depend_on_the_number_of_processes() -> None:
    """The same seed gives the same results, however the work is spread."""
    work = list(tasks([SCENARIOS[0]], ["argo, naive", "kayenta"], 4, 7, UNTUNED))
    assert contest(work, 1, lambda _: None) == contest(work, 2, lambda _: None)


@pytest.mark.parametrize("judge", JUDGES)
def test_every_judge_stops_a_disaster(judge: str) -> None:
    """Five times the latency is rolled back by all of them before half of the users see it."""
    scenario = next(one for one in SCENARIOS if one.name == "latency x5")
    _, _, results = perform(Task(scenario, (judge,), 3, 0, UNTUNED))
    assert results[judge].end is End.ROLLED_BACK
    assert results[judge].stage <= 2


def _observed(values: list[float], units: list[int] | None = None) -> Observations:
    return Observations.of(np.array(units or range(len(values)), dtype=np.int64), np.array(values))


def _seen(*, errors: list[float] | None) -> Look:
    fine = {
        Metric.LATENCY: _observed([1000.0]),
        Metric.COST: _observed([2e-4]),
        Metric.QUALITY: _observed([0.85]),
        Metric.SATISFACTION: _observed([1.0]),
    }
    shown = {**fine, Metric.ERRORS: _observed(errors or [])}
    nobody = np.empty(0, np.int64)
    return Look(HALF, False, Window(0.5, shown, shown), shown, shown, shown, np.empty(0), nobody, is_time_up=False)


def _decisions(judge: Argo | Flagger, looks: list[Look]) -> list[Decision]:
    return [judge.look(replace(seen, first=number == 0)) for number, seen in enumerate(looks)]


def test_argo_rolls_back_beyond_its_failure_limit_and_after_five_errors_in_a_row() -> None:
    """Failures may be scattered; measurements without data count only when consecutive."""
    good, bad, nothing = _seen(errors=[0.0]), _seen(errors=[1.0]), _seen(errors=None)
    assert _decisions(Argo(UNTUNED.argo, 1), [bad, good, bad])[-1] is Decision.ROLLBACK
    assert _decisions(Argo(UNTUNED.argo, 1), [bad] + [good] * 9)[-1] is Decision.PASS
    assert _decisions(Argo(UNTUNED.argo, 1), [nothing] * 5)[-1] is Decision.ROLLBACK
    assert _decisions(Argo(UNTUNED.argo, 1), [nothing] * 4 + [good])[-1] is Decision.CONTINUE


def test_flagger_adds_failed_checks_up_and_takes_no_data_for_failure() -> None:
    """Good checks don't make failed ones forgotten."""
    good, nothing = _seen(errors=[0.0]), _seen(errors=None)
    assert _decisions(Flagger(UNTUNED.flagger, 2), [nothing, good, good, nothing])[-1] is Decision.ROLLBACK
    assert _decisions(Flagger(UNTUNED.flagger, 2), [nothing] + [good] * 10)[-1] is Decision.PASS


def test_tuned_limits_let_the_releases_pass_that_they_were_tuned_on() -> None:
    """No fine release without drift is rolled back by limits made from it, and they are tighter than its worst."""
    rehearsal = Rehearsal.of(5, 3)
    tuning = Tuning(rehearsal.argo_limits(2), rehearsal.flagger_limits(3))
    scenario = Scenario("tuning", Kind.FINE)
    for run in range(3):
        for name in ("argo, tuned", "flagger, tuned"):
            traffic = Traffic(scenario, (5, 0, run))
            judge = make_judges(tuning, scenario, traffic.history())[name]()
            assert release(scenario, judge, traffic).end is End.PROMOTED
    assert tuning.argo[Metric.LATENCY] < rehearsal.harms[..., 1].max()


@pytest.mark.parametrize(
    ("candidate", "stable", "high"),
    [
        pytest.param([20, 22, 21, 25, 30], [1, 2.2, 1.1, 2.5, 3], True, id="clearly higher"),
        pytest.param([10, 12.2, 10.1, 12.5, 23], [20, 22, 21, 25, 30], False, id="lower"),
        pytest.param([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], False, id="the same in another order"),
        pytest.param([1, 1, 1, 1, 10], [1, 1, 1, 1, 1], False, id="one outlier"),
        pytest.param([0, 1, 2, 1, 0, 0], [0, 0, 0, 0, 0, 0], False, id="sparse errors, which it misses"),
    ],
)
def test_kayenta_answers_its_published_cases(candidate: list[float], stable: list[float], *, high: bool) -> None:
    """The imitation classifies like the original's own tests."""
    assert is_high(np.array(candidate, dtype=float), np.array(stable, dtype=float)) is high


def test_group_sequential_boundaries_are_the_published_ones() -> None:
    """One-sided 2.5 % over five analyses (Lan & DeMets 1983, O'Brien-Fleming-like), rounded up to the grid."""
    assert spending_boundaries(0.025, 5) == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=0.02)


def test_sequential_interval_is_the_published_one() -> None:
    """After 5,000 units at 5 %, gbstats' one-sided half-width is 2.779 standard errors."""
    assert sequential_halfwidth(1 / 5000, 5000, 0.05, 5000) == pytest.approx(2.779 / np.sqrt(5000), rel=0.001)


def test_welch_p_is_one_while_there_is_too_little() -> None:
    """Ten values an arm say nothing, forty that differ clearly do."""
    low, high = Moments(), Moments()
    for moments, level in ((low, 0.0), (high, 1.0)):
        moments.add(_observed([level, level + 0.5] * 5))
    assert welch_p(high, low, 1.0) == 1.0
    for moments, level in ((low, 0.0), (high, 1.0)):
        moments.add(_observed([level, level + 0.5] * 15))
    assert welch_p(high, low, 1.0) < 1e-6
    assert welch_p(low, high, 1.0) > 0.99


def test_unit_moments_count_a_returning_unit_once() -> None:
    """A unit that comes back moves its mean and stays one observation."""
    moments = UnitMoments()
    moments.add(_observed([0.0, 1.0], [1, 2]))
    moments.add(_observed([1.0, 3.0], [1, 3]))
    assert moments.count == 3
    assert moments.mean == pytest.approx((0.5 + 1.0 + 3.0) / 3)
    assert moments.variance == pytest.approx(np.var([0.5, 1.0, 3.0], ddof=1))


def test_yeasts_threshold_is_that_of_the_published_program() -> None:
    """`qnorm(1 - alpha / 2) sqrt(observations) deviation` of the authors' program, at 5 % and 500 observations."""
    past = _observed([1.0, 3.0] * 50)
    judge = Yeast(Window(0.5, {}, dict.fromkeys(METRICS, past)), 500, alpha=0.05 * len(METRICS))
    assert judge.usual[Metric.LATENCY] == pytest.approx((2.0, 1.95996 * np.sqrt(500)), rel=1e-4)


def test_yeast_plans_for_what_the_stages_hold() -> None:
    """4,000 requests of each arm at 1, 5 and 50 %."""
    assert planned_requests(FINE) == pytest.approx(8000)


def test_ert_bets_on_equal_arms_like_the_published_formula() -> None:
    """After burn-in and ramp, a success of the worse arm is bet at `0.5 + 0.5 (p_T - p_C)`."""
    bets = Bets(Metric.ERRORS)
    before = list(range(100)), list(range(100, 200))
    bets.add(_observed([1.0] * 40 + [0.0] * 60, before[0]), _observed([1.0] * 10 + [0.0] * 90, before[1]), 0.5)
    bets.add(_observed([1.0], [500]), _observed([1.0, 0.0], [501, 502]), 0.5)
    chance = 0.5 + 0.5 * 0.3
    assert bets.log_e_value == pytest.approx(np.log([chance / 0.5, (1 - chance) / 0.5, chance / 0.5]).sum())


def test_ert_bets_on_no_improvement_and_on_no_unit_twice() -> None:
    """Wealth stays one while the candidate is better, and where everybody was met before."""
    bets, better = Bets(Metric.ERRORS), Bets(Metric.ERRORS)
    bad, good = _observed([1.0] * 100), _observed([0.0] * 100, list(range(100, 200)))
    bets.add(bad, good, 0.5)
    bets.add(bad, good, 0.5)
    better.add(good, bad, 0.5)
    better.add(_observed([0.0], [900]), _observed([1.0], [901]), 0.5)
    assert bets.log_e_value == better.log_e_value == 0.0


def test_upper_bound_follows_the_rule_of_three() -> None:
    """None in 300 runs leaves room for one percent."""
    assert upper_bound(0, 300) == pytest.approx(0.00994, abs=1e-4)
    assert upper_bound(5, 5) == 1.0


def test_figures_kept_in_a_file_stand_beside_fresh_ones() -> None:
    """Peers needn't run again when only our own judge has changed."""
    good = Result(End.PROMOTED, 9000, 9000, 3000, 4, None)
    ours, theirs = summaries({"null": {"softlaunch": [good]}}), summaries({"null": {"kayenta": [good, good]}})
    kept = from_json(json.loads(json.dumps(as_json(theirs))))
    assert beside(ours, kept) == {"null": {**ours["null"], **theirs["null"]}}


def test_tables_name_what_was_missed() -> None:
    """A false rollback and a promotion at the margin show as targets that aren't met."""
    bad = Result(End.ROLLED_BACK, 100, 100, None, 1, "errors")
    good = Result(End.PROMOTED, 9000, 9000, 3000, 4, None)
    found = summaries({"null": {"softlaunch": [bad, good]}, "errors +1 point": {"softlaunch": [good]}})
    missed = {one.wanted for one in targets(found) if not one.met}
    assert "null: false rollbacks at most 1 % (95 % bound)" in missed
    assert "errors +1 point: promoted in at most 5 %" in missed
    assert "| null | 50 %" in tables(found)
    assert Summary.of([bad, good]).exposed_median == 100
