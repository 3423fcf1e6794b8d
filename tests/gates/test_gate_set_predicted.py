"""Gates on ratings that judges' scores predict: sooner sure, and never fooled by the judge."""

import json
from dataclasses import replace

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Window
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from tests.support.judged_ratings import RATED, JudgedAnswers

UNPREDICTED = {"metric": "satisfaction", "margin": "4 points"}
PREDICTED = {**UNPREDICTED, "predicted_by": "quality"}


def policy(gate: dict[str, str], alpha: float = 0.05) -> Policy:
    """A release whose first stage is at 50 %, with this gate on satisfaction."""
    gates = [gate, {"metric": "errors", "margin": "1 point"}]
    unusable = {"metric": "unusable", "margin": "1 point", "role": "muted"}
    stages = [{"weight_percent": 50}, {"weight_percent": 100}]
    content = {"app": "app", "eval": {"golden_set": "golden.jsonl"}, "shadow": None, "stages": stages, "alpha": alpha}
    return Policy.model_validate({**content, "gates": [*gates, unusable]})


def begun(gate: dict[str, str], answers: JudgedAnswers, rng: np.random.Generator, alpha: float = 0.05) -> GateSet:
    """Gates of that stage, which know an hour of stable's past."""
    known = policy(gate, alpha)
    past = replace(answers, share=0.0).window(rng, 3000, -3600.0, 3600.0)
    return GateSet.begin(known, plan(known)[1], past)


def released(gate: dict[str, str], answers: JudgedAnswers, seed: int, looks: int, alpha: float = 0.05) -> Verdict:
    """What the gate says in the end, or as soon as it fails or passes, at a look a minute of 100 answers."""
    rng = np.random.default_rng(seed)
    panel = begun(gate, answers, rng, alpha)
    for look in range(looks):
        panel.update(answers.window(rng, 100, 60.0 * look))
        verdict = panel.verdicts()[0]
        if verdict.outcome in {Outcome.FAIL, Outcome.PASS}:
            break
    return verdict


def test_a_verdict_tells_both_estimates() -> None:
    """The difference is told with and without scores, and the reason says how much narrower that made it."""
    verdict = released(PREDICTED, JudgedAnswers(harm=0.02), 1, 40)
    found = verdict.prediction
    assert found is not None
    assert found.by == "quality"
    assert found.ratings == pytest.approx(800, abs=120)
    assert found.scored > 0.9 * found.ratings
    assert found.powered.lower < found.powered.value < found.powered.upper
    assert found.narrower == pytest.approx(1 - np.sqrt(1 - 0.7**2 * 0.8), abs=0.08)
    assert "rated answers have a score of quality, interval" in verdict.reason


def test_without_scores_a_gate_goes_on_with_ratings_alone() -> None:
    """A judge that is away holds nothing: its ratings are settled ten minutes later, and the reason says so."""
    verdict = released(PREDICTED, JudgedAnswers(harm=0.02, scored=(0.0, 0.0)), 2, 40)
    assert verdict.candidate_count > 200
    assert "not helped by quality: none of" in verdict.reason


def test_a_gate_set_goes_on_as_if_it_had_never_been_stored() -> None:
    """Who waits for a score, which scores were used and what they are worth is learnt again from the log."""
    answers, rng = JudgedAnswers(harm=0.03), np.random.default_rng(3)
    steady = begun(PREDICTED, answers, rng)
    windows = [answers.window(rng, 100, 60.0 * look) for look in range(30)]
    for window in windows[:20]:
        steady.update(window)
    stored = GateSet.load(steady.policy, steady.stage, json.loads(json.dumps(steady.dump())))
    stored.remember(windows[:20])
    heir = GateSet.load(steady.policy, steady.stage, json.loads(json.dumps(steady.dump())))
    heir.recall(steady)
    for window in windows[20:]:
        for panel in (steady, stored, heir):
            panel.update(window)
    assert stored.dump() == steady.dump() == heir.dump()
    assert stored.verdicts() == steady.verdicts()


def test_gates_that_cannot_tell_answers_apart_are_not_predicted() -> None:
    """Where requests of a unit can't be distinguished, ratings are judged as they are."""
    panel = GateSet.begin(policy(PREDICTED), plan(policy(PREDICTED))[1])
    assert panel.gates[0].rule.predicted_by is None
    again = GateSet.load(panel.policy, panel.stage, json.loads(json.dumps(panel.dump())))
    assert again.gates[0].rule.predicted_by is None


def test_evidence_of_before_there_were_predictions_is_loaded() -> None:
    """A stage that began unpredicted goes on unpredicted, as it was stored."""
    panel = begun(UNPREDICTED, JudgedAnswers(), np.random.default_rng(4))
    stored = panel.dump()
    assert "predictions" not in stored
    assert GateSet.load(panel.policy, panel.stage, json.loads(json.dumps(stored))).dump() == stored


def test_labels_of_drawn_answers_may_be_unequally_many() -> None:
    """That one arm's answers are drawn more often is intended, and no reason for doubt as reports would be."""
    metric = {"name": "reviewed", "kind": "share", "better": "up"}
    gates = [{"metric": "reviewed", "margin": "20 points"}, {"metric": "errors", "margin": "1 point"}]
    answers, reasons = JudgedAnswers(rated=(0.6, 0.1), share=0.3), []
    for drawn in (True, False):
        known = policy(UNPREDICTED).model_dump(exclude={"gates", "metrics", "stages"})
        stages = [{"weight_percent": 30}, {"weight_percent": 100}]
        content = {**known, "metrics": [{**metric, "drawn": drawn}], "gates": gates, "stages": stages}
        labelled = Policy.model_validate(content)
        rng = np.random.default_rng(6)
        past = _renamed(replace(answers, share=0.0).window(rng, 3000, -3600.0, 3600.0))
        panel = GateSet.begin(labelled, plan(labelled)[1], past)
        for look in range(25):
            panel.update(_renamed(answers.window(rng, 200, 60.0 * look)))
        reasons.append(panel.verdicts()[0].reason)
    assert "reported for" not in reasons[0]
    assert "reported for" in reasons[1]


def _renamed(window: Window) -> Window:
    """The same, with users' ratings as values of the declared metric."""
    reviewed, rated = Metric.reported("reviewed"), window.ratings[RATED]
    split = None if window.requests is None else int(window.requests.candidate.sum())
    units = None if window.requests is None or split is None else ByArm(split, len(window.requests) - split)
    return replace(window, split=units, ratings={reviewed: replace(rated, values={reviewed: rated.values[RATED]})})


@pytest.mark.long
def test_harm_is_caught_sooner_with_scores() -> None:
    """Of candidates that please 8 points fewer, more are caught by as many ratings."""
    answers = JudgedAnswers(harm=0.08, agreement=0.8, rated=(0.1, 0.1))
    caught = {
        name: sum(released(gate, answers, seed, 120).outcome is Outcome.FAIL for seed in range(30))
        for name, gate in (("plain", UNPREDICTED), ("predicted", PREDICTED))
    }
    assert caught["predicted"] >= caught["plain"] + 3


@pytest.mark.long
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(JudgedAnswers(), id="a judge that treats both alike", marks=pytest.mark.soak),
        pytest.param(JudgedAnswers(liking=0.5, rated=(0.3, 0.1)), id="one that likes the candidate, rated more often"),
        pytest.param(
            JudgedAnswers(agreement=0.0, scored=(1.0, 0.2)),
            id="one that knows nothing, of a fifth of stable",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_false_alarms_stay_within_alpha(answers: JudgedAnswers) -> None:
    """Who pleases as many is failed at most as often as the budget says: 20 % here, half of it a gate's."""
    failed = sum(released(PREDICTED, answers, seed, 60, alpha=0.2).outcome is Outcome.FAIL for seed in range(40))
    assert failed <= 8  # 10 % of 40 are 4, and 9 or more come by chance in one of sixty


@pytest.mark.long
@pytest.mark.parametrize("liking", [pytest.param(0.0, marks=pytest.mark.soak), 0.5])
def test_what_is_as_bad_as_the_margin_rarely_passes(liking: float) -> None:
    """A candidate that pleases 4 points fewer passes in at most 5 % of stages, whether or not the judge likes it."""
    answers = JudgedAnswers(harm=0.04, liking=liking)
    passed = sum(released(PREDICTED, answers, seed, 100).outcome is Outcome.PASS for seed in range(30))
    assert passed <= 4


@pytest.mark.long
def test_harm_that_the_judge_likes_is_caught_nevertheless() -> None:
    """A judge that likes the candidate's style hides no harm from those who rate."""
    answers = JudgedAnswers(harm=0.12, liking=0.6, rated=(0.3, 0.3))
    assert sum(released(PREDICTED, answers, seed, 120).outcome is Outcome.FAIL for seed in range(10)) >= 9


def test_ratings_that_come_are_shown_as_they_are() -> None:
    """What users met isn't corrected."""
    verdict = released(PREDICTED, JudgedAnswers(liking=0.9, harm=0.02), 5, 20)
    assert verdict.gate == RATED
    assert verdict.candidate_met is not None
    assert verdict.candidate_met.value == pytest.approx(0.78, abs=0.08)
