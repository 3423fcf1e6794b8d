"""Several metrics compared at once: contradictions, losses, levels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import Finding, MetricPlan
from softlaunch.metrics import ACCURACY
from tests.evals.arms import candidate, cases, stable
from tests.evals.compared import POLICY, RIGHT, WRONG, outcomes


def test_several_metrics_share_the_level_for_failing() -> None:
    """What just fails alone doesn't fail as one of two metrics, because either of them could have failed by chance."""
    two = ("accuracy", "style")
    both = [*stable([RIGHT] * 30), *candidate([WRONG] * 6 + [RIGHT] * 24)]
    scored = [replace(answer, scores={**answer.scores, "style": 1.0}) for answer in both]
    level = 0.025
    alone = compare(cases(30), scored, POLICY, level=level)
    together = compare(cases(30), scored, POLICY, level=level, metrics=tuple(map(MetricPlan, two)))
    assert outcomes(alone)["accuracy"] is Outcome.FAIL
    assert outcomes(together)["accuracy"] is Outcome.INCONCLUSIVE
    assert [one.metric for one in together.metrics] == list(two)


def with_scores(answers: list[EvalAnswer], metric: str, values: Sequence[float | None]) -> list[EvalAnswer]:
    """The answers with one more score each; None leaves it out."""
    return [
        replace(one, scores=one.scores if value is None else {**one.scores, metric: value})
        for one, value in zip(answers, values, strict=True)
    ]


BOTH = (MetricPlan(ACCURACY), MetricPlan("style"))
FALLS = [*stable([RIGHT] * 100), *candidate([WRONG] * 30 + [RIGHT] * 70)]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        pytest.param([0.0] * 100 + [1.0] * 20 + [0.0] * 80, Outcome.REVIEW, id="the other rises"),
        pytest.param([0.0] * 100 + [1.0] * 2 + [0.0] * 98, Outcome.FAIL, id="the other may have risen by chance"),
        pytest.param([1.0] * 200, Outcome.FAIL, id="the other stays"),
        pytest.param([1.0] * 120 + [0.0] * 80, Outcome.FAIL, id="the other falls, too"),
    ],
)
def test_metrics_that_contradict_each_other_are_for_a_person(style: list[float], expected: Outcome) -> None:
    """One score falls and another is shown to rise: that is looked at, not rejected."""
    report = compare(cases(100), with_scores(FALLS, "style", style), POLICY, metrics=BOTH)
    assert report.outcome is expected
    assert outcomes(report)[ACCURACY] is expected
    assert report.metrics[0].outcome is Outcome.FAIL
    assert ("the metrics disagree" in report.reason) is (expected is Outcome.REVIEW)


def test_cheaper_and_faster_is_no_excuse_for_wrong() -> None:
    """Latency and cost are amounts; that they got better doesn't contradict a fall in accuracy."""
    relative = Margin.parse("10 %")
    plans = (
        MetricPlan(ACCURACY),
        *(MetricPlan(name, relative, higher_is_better=False) for name in ("latency", "cost")),
    )
    arms = [*stable([RIGHT] * 100), *candidate([WRONG] * 30 + [RIGHT] * 70, latency_ms=10.0, cost_usd=0.0001)]
    report = compare(cases(100), arms, POLICY, metrics=plans)
    assert outcomes(report) == {
        "accuracy": Outcome.FAIL,
        "latency": Outcome.PASS,
        "cost": Outcome.PASS,
        "unscored": Outcome.PASS,
    }
    assert report.outcome is Outcome.FAIL
    latency = report.metrics[1]
    assert (latency.stable, latency.candidate, latency.difference) == (100.0, 10.0, -90.0)
    assert latency.bounds.lower <= -90.0 <= latency.bounds.upper < 0


def test_a_metric_that_is_silent_about_many_answers_is_an_error() -> None:
    """A judge that answers nonsense leaves a sample that nobody chose, so what it says about the rest doesn't pass."""
    arms = [*stable([RIGHT] * 200), *candidate([RIGHT] * 200)]
    few = compare(cases(200), with_scores(arms, "style", [None] * 2 + [1.0] * 398), POLICY, metrics=BOTH)
    many = compare(cases(200), with_scores(arms, "style", [None] * 50 + [1.0] * 350), POLICY, metrics=BOTH)
    assert outcomes(few)["unscored: style"] is Outcome.PASS
    assert outcomes(many)["unscored: style"] is Outcome.ERROR
    assert many.outcome is Outcome.ERROR
    assert many.metrics[1].unscored == 50
    assert "repair the metric" in many.reason


def test_a_shown_loss_within_the_tolerance_is_named() -> None:
    """The direction is a finding of its own, whatever the tolerance says."""
    wide = POLICY.model_copy(update={"tolerance": Margin.parse("20 points")})
    arms = [*stable([RIGHT] * 100), *candidate([WRONG] * 8 + [RIGHT] * 92)]
    report = compare(cases(100), arms, wide)
    assert (report.outcome, report.metrics[0].finding) == (Outcome.PASS, Finding.WORSE)
    assert "worse, at most" in report.verdicts[0].reason
    same = compare(cases(100), [*stable([RIGHT] * 100), *candidate([RIGHT] * 100)], wide)
    assert same.metrics[0].finding is Finding.NONE
    assert "no difference shown" in same.verdicts[0].reason


@pytest.mark.long
def test_five_hundred_comparisons_of_an_unchanged_variant() -> None:
    """A/A on 100 cases, three repeats, three metrics: false rejections at most as often as the level says (5 %)."""
    rng = np.random.default_rng(2026)
    plans = (
        MetricPlan("right"),
        MetricPlan("rating"),
        MetricPlan("latency", Margin.parse("1 %"), higher_is_better=False),
    )
    tight = POLICY.model_copy(update={"tolerance": Margin.parse("0.1 points")})
    failed = 0
    for _ in range(500):
        chance, speed = rng.beta(2.0, 1.0, 100), rng.lognormal(6.0, 0.8, 100)
        answers = [
            EvalAnswer(
                CallKey(arm, f"c{case}", repeat),
                arm,
                Status.SCORED,
                scores={"right": float(rng.random() < chance[case]), "rating": float(rng.beta(4 * chance[case], 2))},
                latency_ms=float(speed[case] * rng.lognormal(0.0, 0.5)),
            )
            for arm in EvalArm
            for case in range(100)
            for repeat in range(3)
        ]
        failed += compare(cases(100), answers, tight, metrics=plans).outcome is Outcome.FAIL
    assert failed <= 500 * 0.05
