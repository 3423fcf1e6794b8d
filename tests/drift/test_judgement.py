"""What a drift check concludes from figures, trends and names."""

import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.drift.figures import DriftFigures, measure_drift
from softlaunch.drift.judgement import Cause, Identity, Judgement, Setting, judge_drift
from softlaunch.drift.quality import Weight
from softlaunch.drift.trend import ChangePoint, Trend
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.recordings.comparing import RecordedCase
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.policy.drift import DriftPolicy

CASES = [RecordedCase(f"c{number}", "?", "") for number in range(60)]
POINTS = Margin(MarginKind.POINTS, 0.05)


def figures(*, latency_ms: float = 1000.0, unscored: int = 0) -> DriftFigures:
    """A steady golden set, whose answers take so long now, and of which so many lack a score now."""
    answers = [
        EvalAnswer(CallKey(arm, case.id, repeat), "v", Status.SCORED, scores=_scores(arm, place, latency_ms, unscored))
        for place, case in enumerate(CASES)
        for arm in EvalArm
        for repeat in range(2)
    ]
    return measure_drift(CASES, answers, [MetricPlan("accuracy")], DriftPolicy())


def _scores(arm: EvalArm, place: int, latency_ms: float, unscored: int) -> dict[str, float]:
    now = arm is EvalArm.CANDIDATE
    score = {} if now and place < unscored else {"accuracy": float(place % 5 > 0)}
    return {"latency": (latency_ms if now else 1000.0) * (1 + place / 1000), **score}


def judged(known: DriftFigures, *trends: Trend, setting: Setting | None = None, margin: Margin = POINTS) -> Judgement:
    """What is concluded under a margin."""
    return judge_drift(known, trends, setting or Setting(), DriftPolicy(margin=margin))


def fallen(after: float) -> Trend:
    """Satisfaction of four in five from before, and another one since."""
    return Trend(Metric.SATISFACTION, (), ChangePoint(1.7e9, 0.8, after, 0.001))


@pytest.mark.parametrize(
    ("margin", "after", "cause"),
    [
        pytest.param(POINTS, 0.76, Cause.NONE, id="4 points of 5 that may be lost"),
        pytest.param(POINTS, 0.74, Cause.USERS, id="6 points"),
        pytest.param(POINTS, 0.9, Cause.NONE, id="happier"),
        pytest.param(Margin(MarginKind.RELATIVE, 0.1), 0.73, Cause.NONE, id="7 points of 8 that a tenth is"),
        pytest.param(Margin(MarginKind.RELATIVE, 0.1), 0.71, Cause.USERS, id="9 points"),
    ],
)
def test_live_traffic_may_lose_the_margin_and_no_more(margin: Margin, after: float, cause: Cause) -> None:
    """In the policy's own unit: points of a share, or a part of the level before."""
    found = judged(figures(), fallen(after), margin=margin)
    assert found.cause is cause
    assert [remark.subject for remark in found.alerts] == ([] if cause is Cause.NONE else ["live satisfaction"])


@pytest.mark.parametrize(
    ("then", "now", "cause"),
    [
        pytest.param({"gpt-4-0314"}, {"gpt-4-0613"}, Cause.MODEL, id="another model answers"),
        pytest.param({"gpt-4-0314"}, {"gpt-4-0314"}, Cause.NONE, id="the same"),
        pytest.param(set(), {"gpt-4-0613"}, Cause.NONE, id="nobody knows who answered then"),
        pytest.param({"gpt-4-0314"}, set(), Cause.NONE, id="nobody says who answers now"),
    ],
)
def test_only_models_that_are_known_can_have_changed(then: set[str], now: set[str], cause: Cause) -> None:
    """A provider that doesn't say who answered is no alert."""
    setting = Setting(Identity(frozenset(then)), Identity(frozenset(now)))
    found = judged(figures(), setting=setting)
    assert found.cause is cause
    assert len(found.alerts) == (cause is Cause.MODEL)


def test_amounts_are_compared_with_what_they_were() -> None:
    """A latency that grew by half is remarked on as that, one that grew by a fifth is within the policy's quarter."""
    grown, little = judged(figures(latency_ms=1500.0)), judged(figures(latency_ms=1200.0))
    (remark,) = [remark for remark in grown.remarks if remark.subject == "latency"]
    assert (remark.weight, remark.sentence) == (Weight.NOTICE, "latency rose by 50 %")
    assert not [remark for remark in little.remarks if remark.subject == "latency"]


def test_scores_that_are_missing_are_no_proof_that_all_is_well() -> None:
    """Where more answers lack a score than may, the check says so, and that nothing is known."""
    found = judged(figures(unscored=10))
    assert found.cause is Cause.UNKNOWN
    assert "accuracy has no score for 17 % of the answers now and 0 % of those then" in found.summary
    assert judged(figures(unscored=2)).cause is Cause.NONE
