"""What is missing in one arm, and what is lost in one segment."""

import numpy as np
import pytest

from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import EvalReport, MetricPlan
from softlaunch.evals.suites.suite import Case
from tests.evals.arms import candidate, cases, stable
from tests.evals.compared import NONE, POLICY, RIGHT, WRONG, outcomes


def verdict(report: EvalReport, gate: str) -> Verdict:
    """The verdict of a gate."""
    return next(one for one in report.verdicts if one.gate == gate)


def test_what_only_stable_has_is_bounded_by_its_loss() -> None:
    """Four missing answers of 400 could have been a point; thirteen could have been more than is tolerated."""
    for missing, expected in ((4, Outcome.PASS), (13, Outcome.INCONCLUSIVE)):
        answered = [RIGHT] * (400 - missing) + [NONE] * missing
        report = compare(cases(400), [*stable([RIGHT] * 400), *candidate(answered)], POLICY)
        found = verdict(report, "missing: accuracy")
        assert (found.outcome, report.outcome) == (expected, expected)
        assert found.reason.startswith(f"{missing} of 400 cases have a value of one arm only ({missing} lack the")
        assert found.interval is not None
        assert found.interval.upper == pytest.approx(missing / 400)


def test_missing_answers_of_stable_are_no_loss_where_the_candidate_is_right() -> None:
    """The worst that stable could have been is right, too."""
    report = compare(cases(400), [*stable([RIGHT] * 390 + [NONE] * 10), *candidate([RIGHT] * 400)], POLICY)
    assert verdict(report, "missing: accuracy").outcome is Outcome.PASS


def test_missing_latencies_are_the_slow_ones() -> None:
    """More of them than the tail is, and nobody knows the tail."""
    plans = [MetricPlan("latency", Margin.parse("10 %"), higher_is_better=False)]
    slow = [*candidate([RIGHT] * 180, latency_ms=100.0), *candidate([NONE] * 200)[180:]]
    report = compare(cases(200), [*stable([RIGHT] * 200), *slow], POLICY, metrics=plans)
    found = verdict(report, "missing: latency")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "20 of 200 cases" in found.reason


def tagged(count: int, tag: str, others: int) -> list[Case]:
    """Cases of which the first so many have a tag."""
    return [
        Case(id=f"c{number}", question="q", expected="yes", tags=(tag if number < count else "other",))
        for number in range(count + others)
    ]


def test_a_lost_segment_is_for_people_and_a_critical_one_is_a_fail() -> None:
    """16 of 20 refunds are lost while everything else gets better."""
    known = stable([RIGHT] * 20 + [RIGHT, RIGHT, RIGHT, WRONG] * 45)
    answers = [*known, *candidate([WRONG] * 16 + [RIGHT] * 184)]
    report = compare(tagged(20, "refund", 180), answers, POLICY)
    assert outcomes(report)["accuracy"] is Outcome.PASS
    assert (verdict(report, "segment refund").outcome, report.outcome) == (Outcome.REVIEW, Outcome.REVIEW)
    assert "accuracy of its 20 cases 100.0 % -> 20.0 %: at least" in report.reason
    critical = compare(tagged(20, "refund", 180), answers, POLICY.model_copy(update={"segments": ("refund",)}))
    assert critical.outcome is Outcome.FAIL


def test_a_critical_segment_that_nobody_sees_is_no_pass() -> None:
    """A tag without cases can't be shown to be well."""
    answers = [*stable([RIGHT] * 200), *candidate([RIGHT] * 200)]
    report = compare(tagged(20, "refund", 180), answers, POLICY.model_copy(update={"segments": ("legal",)}))
    assert report.outcome is Outcome.INCONCLUSIVE
    assert "fewer than 5 of its cases" in verdict(report, "segment legal").reason


@pytest.mark.long
def test_segments_share_one_error_budget() -> None:
    """Ten segments of thirty cases without any change: one of them is said to be lost in at most 5 % of 200 runs."""
    rng = np.random.default_rng(17)
    asked = [Case(id=f"c{n}", question="q", expected="yes", tags=(f"t{n % 10}",)) for n in range(300)]
    lost = 0
    for _ in range(200):
        right = rng.random((2, 300)) < 0.85
        one, other = ([(float(is_right),) for is_right in arm] for arm in right)
        report = compare(asked, [*stable(one), *candidate(other)], POLICY)
        lost += any(gate.startswith("segment ") for gate in outcomes(report))
    assert lost <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)
