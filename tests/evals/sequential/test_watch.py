"""Watching an eval: what is decided when, by which answers, and what the report then says."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.evals.simulation import World, decide
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Outcome, Role
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.sequential.order import schedule
from softlaunch.evals.sequential.watch import GATE, Watch, Watched
from softlaunch.evals.statistics.report import EvalReport, MetricPlan
from softlaunch.evals.suites.case import Case
from softlaunch.metrics import ACCURACY
from softlaunch.policy.evals import EvalPolicy
from tests.evals.arms import answer, cases

Scores = Sequence[Sequence[float | None]]


def watched(asked: Sequence[Case], repeats: int = 1, **fields: object) -> Watched:
    """An eval of these cases; fields are those of the policy."""
    chosen = {"golden_set": "g", "repeats": repeats, "maximum_repeats": repeats, **fields}
    policy = EvalPolicy.model_validate(chosen)
    return Watched(asked, schedule(asked, repeats, "seed", frozenset()), policy, (MetricPlan(ACCURACY),))


def answers(one: Watched, stable: Scores, candidate: Scores) -> list[EvalAnswer]:
    """Both arms' answers in the order in which they are asked; the rows of scores are in that order, too."""
    places = {case_id: place for place, case_id in enumerate(one.schedule.cases)}
    arms = ((EvalArm.STABLE, stable), (EvalArm.CANDIDATE, candidate))
    return [
        answer(CallKey(arm, pair.case_id, pair.repeat), scores[places[pair.case_id]][pair.repeat])
        for pair in one.schedule.pairs
        for arm, scores in arms
    ]


def report_after(one: Watched, told: Sequence[EvalAnswer]) -> EvalReport | None:
    """The report once so much is known; None while nothing is decided."""
    watch = Watch(one)
    watch.note(told)
    return watch.report() if watch.stop else None


def gates(report: EvalReport | None) -> dict[str, str]:
    """The reasons by gate."""
    assert report is not None
    return {verdict.gate: verdict.reason for verdict in report.verdicts}


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(100, 0.25, 0.02, 0.25, 0.6), id="much worse"),
        pytest.param(World(100, 0.08, 0.02, 0.15, 0.6, graded=True), id="worse, graded"),
        pytest.param(World(100, -0.08, 0.02, 0.1, 0.6), id="better"),
        pytest.param(World(60, 0.0, 0.1, 0.1, 0.6, repeats=2), id="equal"),
    ],
)
def test_the_simulation_decides_what_the_product_decides(world: World) -> None:
    """On the same scores the same claim after the same number of calls: so its error rates are the product's."""
    rng = np.random.default_rng(6)
    for _ in range(3):
        stable, candidate = world.draw(rng)
        expected, pairs = decide(stable, candidate, world.margin)
        margin = Margin(MarginKind.POINTS, world.margin)
        one = watched(cases(world.cases), world.repeats, tolerance=margin)
        watch = Watch(one)
        watch.note(answers(one, stable.tolist(), candidate.tolist()))
        if watch.stop is None:
            assert pairs == stable.size
        else:
            outcome = watch.report().outcome
            assert (watch.stop.pairs, outcome) == (pairs, Outcome.FAIL if expected == 1 else Outcome.PASS)


def test_harm_stops_by_bets_and_the_report_says_how_many_calls_were_saved() -> None:
    """Half of the answers lost: a few dozen of 600 calls. The bounds are those of the bets, and beyond the margin."""
    one = watched(cases(300))
    told = answers(one, [(1.0,)] * 300, [(float(place % 2),) for place in range(300)])
    report = report_after(one, told[:80])
    assert report is not None
    assert report.outcome is Outcome.FAIL
    assert report.metrics[0].estimate.lower > 0.02
    assert "bets on each of 40 cases, valid at any moment" in gates(report)["accuracy"]
    assert "of 600 calls were made, 520 saved" in gates(report)[GATE]
    assert next(one for one in report.verdicts if one.gate == GATE).role is Role.MUTED


def test_safety_stops_at_a_look_and_never_between() -> None:
    """A candidate that is right where stable is wrong passes at a planned look, with that look's bounds."""
    one = watched(cases(200))
    told = answers(one, [(float(place % 4 > 0),) for place in range(200)], [(1.0,)] * 200)
    watch = Watch(one)
    stopped = 0
    while watch.stop is None:
        stopped += 2
        watch.note(told[:stopped])
    assert stopped // 2 in one.schedule.looks
    report = watch.report()
    assert report.outcome is Outcome.PASS
    assert report.metrics[0].estimate.upper <= 0.02
    assert "shown to be good enough at look" in gates(report)[GATE]


def test_whatever_comes_first_the_same_is_decided() -> None:
    """Answers come as endpoints please; the order that was drawn decides, all at once or one by one."""
    rng, one = random.Random(7), watched(cases(120), 2)
    told = answers(one, [(1.0, 1.0)] * 120, [(float(place % 3 > 0), 1.0) for place in range(120)])
    whole = Watch(one)
    whole.note(told)
    assert whole.stop is not None
    shuffled = told[:]
    rng.shuffle(shuffled)
    piecewise = Watch(one)
    for start in range(0, len(shuffled), 7):
        piecewise.note(shuffled[start : start + 7])
    assert piecewise.stop == whole.stop
    assert piecewise.report() == whole.report()


def test_a_slow_call_holds_up_the_decision_and_not_the_answers() -> None:
    """What came after it is used as soon as it is there."""
    one = watched(cases(100))
    told = answers(one, [(1.0,)] * 100, [(0.0,)] * 100)
    watch = Watch(one)
    watch.note(told[2:])
    assert watch.stop is None
    watch.note(told[:2])
    assert watch.stop is not None
    assert watch.stop.pairs < 30
    assert "are among the answers" in gates(watch.report())[GATE]


def test_what_is_missing_never_passes_and_is_no_harm_either() -> None:
    """Timeouts of the candidate in a third of the cases: taken for right by the bets, and for missing by the looks."""
    one = watched(cases(300), maximum_unscored=Margin(MarginKind.POINTS, 0.5))
    rows = [(None if place % 3 == 0 else 1.0,) for place in range(300)]
    assert report_after(one, answers(one, [(1.0,)] * 300, rows)) is None


def test_a_candidate_whose_calls_fail_is_stopped() -> None:
    """Half of them, where stable's succeed: the gate on calls without a score is bet on like a metric."""
    one = watched(cases(300))
    told = answers(one, [(1.0,)] * 300, [(None if place % 2 else 1.0,) for place in range(300)])
    report = report_after(one, told)
    assert report is not None
    assert report.outcome is Outcome.FAIL
    assert "the candidate's calls fail" in gates(report)[GATE]
    assert "of 600 calls" in gates(report)[GATE]


def test_a_pass_waits_for_every_case_of_a_critical_segment() -> None:
    """And harm in it stops the eval at a look, although everything else is better."""
    tagged = [
        case.model_copy(update={"tags": ("refund",) if place < 60 else ()}) for place, case in enumerate(cases(300))
    ]
    free, held = watched(tagged), watched(tagged, segments=["refund"])
    better = answers(free, [(float(place % 3 > 0),) for place in range(300)], [(1.0,)] * 300)
    assert report_after(free, better[:480]) is not None
    assert report_after(held, better[:480]) is None
    in_segment = {case.id for case in tagged if case.tags}
    lost = [(float(case_id not in in_segment),) for case_id in held.schedule.cases]
    usual = [(float(case_id in in_segment or place % 2),) for place, case_id in enumerate(held.schedule.cases)]
    report = report_after(held, answers(held, usual, lost))
    assert report is not None
    assert report.outcome is Outcome.FAIL
    assert "segment refund" in gates(report)


def test_a_muted_metric_decides_nothing() -> None:
    """However bad it is."""
    one = watched(cases(200))
    muted = Watched(one.cases, one.schedule, one.policy, (MetricPlan("style", role=Role.MUTED), MetricPlan(ACCURACY)))
    told = [
        EvalAnswer(
            **{
                **{name: getattr(said, name) for name in EvalAnswer.__dataclass_fields__},
                "scores": {ACCURACY: 1.0, "style": float(said.key.arm is EvalArm.STABLE)},
            }
        )
        for said in answers(one, [(1.0,)] * 200, [(1.0,)] * 200)
    ]
    assert report_after(muted, told) is None
    guarded = Watched(one.cases, one.schedule, one.policy, (MetricPlan("style", role=Role.GUARD), MetricPlan(ACCURACY)))
    report = report_after(guarded, told)
    assert report is not None
    assert report.outcome is Outcome.FAIL


@pytest.mark.long
@pytest.mark.timeout(400)
def test_segments_that_differ_are_no_harm() -> None:
    """One segment of four loses 50 points and the others gain: the mean is at the margin, and is seldom called more.

    An order that spreads segments evenly isn't drawn with equal chances at every moment; this is what that costs.
    """
    rng, runs, wrong = np.random.default_rng(8), 120, 0
    tagged = [case.model_copy(update={"tags": (f"t{place % 4}",)}) for place, case in enumerate(cases(200))]
    for number in range(runs):
        drawn = schedule(tagged, 1, f"{number}", frozenset())
        one = Watched(tagged, drawn, watched(tagged).policy, (MetricPlan(ACCURACY),))
        bad = {case.id for case in tagged if case.tags == ("t0",)}
        lost = [case_id in bad and rng.random() < 0.5 for case_id in drawn.cases]
        won = [case_id not in bad and rng.random() < 0.14 for case_id in drawn.cases]
        watch = Watch(one)
        watch.note(answers(one, [(float(not gain),) for gain in won], [(float(not loss),) for loss in lost]))
        wrong += watch.stop is not None and watch.report().outcome is Outcome.FAIL
    assert wrong / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
