"""What is said of live judging that is wrong, and what it does when nothing else is said."""

from pathlib import Path

import pytest

from softlaunch.metrics.judged import Hallucination, Rubric
from tests.policy.policy_files import HEAD, complaints, load

KEPT = HEAD + "texts: {keep: true}\n"
JUDGED = KEPT + "live:\n  judge: {models: [strict]}\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            HEAD + "live: {metrics: [{metric: quality}], judge: {models: [strict]}}",
            "line 3: live.metrics: judges read texts of live requests, which aren't kept: set texts.keep",
            id="without texts",
        ),
        pytest.param(
            KEPT + "live: {metrics: [{metric: quality}]}",
            "line 4: live.judge: there are no judges: name models under live.judge.models, or under eval.judge.models",
            id="without judges",
        ),
        pytest.param(
            JUDGED + "  metrics: [{metric: latency, judged_by: rubric}]",
            "line 6: live.metrics[0].metric: judges can't score 'latency'; name quality, hallucination, or a metric of "
            "kind score or share that the policy declares under metrics",
            id="what no judge can know",
        ),
        pytest.param(
            "metrics: [{name: minutes, kind: duration, better: down}]\n"
            + JUDGED
            + "  metrics: [{metric: minutes, judged_by: rubric}]",
            "line 7: live.metrics[0].metric: judges can't score 'minutes'; name quality, hallucination, or a metric of "
            "kind score or share that the policy declares under metrics",
            id="a declared duration",
        ),
        pytest.param(
            "metrics: [{name: polite, kind: score, better: up}]\n" + JUDGED + "  metrics: [{metric: polite}]",
            "line 7: live.metrics[0].judged_by: set what judges are asked: rubric or hallucination",
            id="a declared metric without a question",
        ),
        pytest.param(
            JUDGED + "  metrics: [{metric: quality, judged_by: pairwise}]",
            "line 6: live.metrics[0].judged_by: pairwise doesn't ask judges about one answer; use rubric or "
            "hallucination",
            id="a question about two answers",
        ),
        pytest.param(
            JUDGED + "  metrics: [{metric: quality, judged_by: 'rubric:scale=1'}]",
            "line 6: live.metrics[0].judged_by: metric rubric: scale is '1', expected greater than or equal to 2",
            id="a scale of one grade",
        ),
        pytest.param(
            JUDGED + "  metrics: [{metric: quality}, {metric: quality}]",
            "line 6: live.metrics: a metric is listed twice; keep one",
            id="twice",
        ),
    ],
)
def test_a_mistake_names_its_key(tmp_path: Path, text: str, complaint: str) -> None:
    """Each message says which key to change, and to what."""
    assert complaint in complaints(tmp_path, text)


def test_live_judging_knows_what_to_ask_by_the_metrics_name(tmp_path: Path) -> None:
    """Quality is a rubric and hallucination a check of claims, unless the policy says something else."""
    live = load(tmp_path, JUDGED + "  metrics: [{metric: quality}, {metric: hallucination}]").live
    assert live is not None
    assert [one.parsed for one in live.metrics] == [Rubric(), Hallucination()]
    shares = live.sample_percent
    assert (shares.candidate, shares.stable, shares.afterwards) == (100, 20, 1)


def test_a_metric_of_the_policys_own_is_judged_by_its_own_criterion(tmp_path: Path) -> None:
    """A declared score may be what judges grade, by a criterion that the policy words."""
    declared = "metrics: [{name: polite, kind: score, better: up}]\n" + JUDGED
    asked = "  metrics: [{metric: polite, judged_by: rubric, parameters: {criterion: It is polite., scale: 10}}]"
    live = load(tmp_path, declared + asked).live
    assert live is not None
    assert live.metrics[0].parsed == Rubric(criterion="It is polite.", scale=10)


def test_without_the_key_nobody_judges(tmp_path: Path) -> None:
    """A policy that says nothing of it has no live judges."""
    policy = load(tmp_path, HEAD)
    assert policy.live is None
    assert policy.live_judge is None
