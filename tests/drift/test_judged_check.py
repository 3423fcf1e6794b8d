"""A check of everything that the golden set and the policy name: several metrics, judges, and what isn't known."""

import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlmodel import col, select

from softlaunch.catalog.records import record_model
from softlaunch.core.variant import ModelVersion
from softlaunch.drift.check import check_drift, freeze_baseline
from softlaunch.drift.collect import BudgetUsedUpError
from softlaunch.drift.figures import measure_drift
from softlaunch.drift.next_step import NothingToDoError, act
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.judges.agreement import Estimate, agreement_of
from softlaunch.evals.judges.calibration import Calibration
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.panel import JudgeError
from softlaunch.evals.judges.recorded_judgements import record_calibration
from softlaunch.evals.recordings.comparing import RecordedCase
from softlaunch.evals.statistics.report import Finding, MetricPlan
from softlaunch.metrics import Spent
from softlaunch.policy.drift import DriftPolicy
from softlaunch.policy.evals import JudgePolicy
from softlaunch.reports.drift_page import drift_markdown, render_drift
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, IncidentRow
from tests.support.builders import ANNA, APP, NOON, make_policy
from tests.support.drift_scenes import CASES, LATER, Model, make_app
from tests.support.endpoints import Endpoint, Reply, running_endpoint

KIND, RUDE = "It is a pleasure. ", "Find it yourself. "
WITH_A_JUDGE = {"golden_set": "golden.jsonl", "metrics": [{"metric": "rubric"}], "judge": {"models": ["judge"]}}


@pytest.fixture
def database_url(migrated_file: Path, tmp_path: Path) -> str:
    """A ledger on SQLite alone; what is stored is tested on both databases where it is stored."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint that plays the app's model and its judge."""
    with running_endpoint() as running:
        yield running


def play(endpoint: Endpoint, words: str, right_percent: int = 90) -> None:
    """The model says so many right things in these words; the judge likes only kind ones."""
    model = Model(right_percent=right_percent, words=lambda question, before: words)

    def behave(name: str, question: str, before: int) -> Reply:
        if name == "judge":
            return Reply("Kind. [[5]]" if KIND.strip() in question else "Rude. [[1]]")
        return model.reply(name, question, before)

    endpoint.behaviour = behave


def frozen(database: Database, endpoint: Endpoint, folder: Path, eval_policy: dict[str, Any] = WITH_A_JUDGE) -> None:
    """An app with a kind baseline, and a judge whom nobody has compared with people."""
    play(endpoint, KIND)
    make_app(database, endpoint, folder, drift={"repeats": 2}, eval=eval_policy)
    judge = ModelVersion(name="judge", provider="test", model="judge", endpoint=endpoint.url)
    with database.begin() as session:
        record_model(session, judge, "models.yaml", NOON)
    freeze_baseline(database, APP, "anna", NOON)


def calibrate(database: Database) -> None:
    """As if somebody had compared the judge with people, who agree with it."""
    measured = agreement_of([("yes", "yes"), ("no", "no")])
    agreement = type(measured)(200, 0, measured.agreement, Estimate(0.7, 0.6, 0.8), measured.table)
    with database.begin() as session:
        digest = judges_of(session, JudgePolicy(models=("judge",))).digest("judge-rubric")
        found = Calibration(Kind.GRADE, agreement, None, None, 0, Spent())
        record_calibration(session, digest, "labels", found, "anna", NOON)


def open_summaries(database: Database) -> list[str]:
    """What open incidents say."""
    with database.read() as session:
        return list(session.exec(select(IncidentRow.summary).where(col(IncidentRow.resolved_at).is_(None))))


@pytest.mark.long
def test_a_judged_metric_alerts_like_any_other(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """As many answers are right as were, and all of them are rude: the incident, the page and the text say both."""
    frozen(database, endpoint, tmp_path)
    calibrate(database)
    play(endpoint, RUDE)
    run = check_drift(database, APP, "anna", LATER)
    alerts = [one["sentence"] for one in run.report["remarks"] if one["weight"] == "alert"]
    assert alerts == ["rubric fell from 100.0 % to 0.0 %"]
    assert run.report["cause"] == "model"
    (summary,) = open_summaries(database)
    accuracy = next(one for one in run.report["metrics"] if one["metric"] == "accuracy")
    level = f"{accuracy['then'] * 100:.1f}"
    assert f"Then and now: accuracy {level} -> {level} %, rubric 100.0 -> 0.0 %." in summary
    for shown in (drift_markdown(APP, run.report), render_drift(APP, run.id, run.report, LATER)):
        assert "rubric" in shown
        assert "accuracy" in shown
        assert "muted</span>" not in shown


def test_a_judge_below_the_floor_alerts_nobody(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """What it says is shown as muted, with what would change that; the check itself is well."""
    frozen(database, endpoint, tmp_path)
    play(endpoint, RUDE)
    run = check_drift(database, APP, "anna", LATER)
    assert run.report["drifted"] is False
    assert open_summaries(database) == []
    rubric = next(one for one in run.report["metrics"] if one["metric"] == "rubric")
    assert "it hasn't been compared with people's labels" in rubric["muted"]
    remark = next(one for one in run.report["remarks"] if one["subject"] == "rubric")
    assert remark["weight"] == "notice"
    assert remark["sentence"].startswith("rubric fell from 100.0 % to 0.0 %, but is muted: judge can't gate")
    assert "| rubric (muted) |" in drift_markdown(APP, run.report)
    assert "muted</span>" in render_drift(APP, run.id, run.report, LATER)


@pytest.mark.long
def test_metrics_that_contradict_each_other_are_for_a_person(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """More answers are right, and all of them are rude: nothing is proposed but to look."""
    frozen(database, endpoint, tmp_path)
    calibrate(database)
    play(endpoint, KIND, right_percent=50)
    freeze_baseline(database, APP, "anna", NOON)
    play(endpoint, RUDE, right_percent=95)
    run = check_drift(database, APP, "anna", LATER)
    assert (run.report["cause"], run.report["step"]) == ("unclear", "look")
    (summary,) = open_summaries(database)
    assert "the metrics disagree: accuracy rose from" in summary
    assert "rubric fell from 100.0 % to 0.0 %" in summary


@pytest.mark.long
def test_a_check_killed_among_its_judges_asks_only_for_the_rest(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """A budget ends it half-way, as a kill would; with more, the same run goes on and pays for the rest alone."""
    limited = {**WITH_A_JUDGE, "budget_calls": 2 * CASES + 50}
    frozen(database, endpoint, tmp_path, limited)
    with pytest.raises(BudgetUsedUpError, match=r"190 of 240 judgements still to come; raise eval\.budget_calls"):
        check_drift(database, APP, "anna", LATER)
    assert open_summaries(database) == []
    _set_policy(database, WITH_A_JUDGE)
    run = check_drift(database, APP, "anna", LATER)
    assert run.id == f"{APP}-drift-2"
    judged = sum(count for (name, _), count in endpoint.asked.items() if name == "judge")
    assert judged == 4 * CASES


def _set_policy(database: Database, eval_policy: dict[str, Any]) -> None:
    with database.begin() as session:
        made = make_policy(drift={"repeats": 2}, eval=eval_policy)
        session.get_one(AppRow, APP).policy = made.model_dump(mode="json")


def test_a_golden_set_that_only_a_poor_judge_can_score_is_not_known(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Its cases name the rubric themselves: that nothing has drifted is nothing that anybody could say."""
    frozen(database, endpoint, tmp_path)
    cases = [{"id": f"c{number}", "question": f"Question {number}?", "metric": "rubric"} for number in range(CASES)]
    (tmp_path / "golden.jsonl").write_bytes(b"\n".join(orjson.dumps(case) for case in cases))
    _set_policy(database, {"golden_set": "golden.jsonl", "judge": {"models": ["judge"]}})
    freeze_baseline(database, APP, "anna", NOON)
    run = check_drift(database, APP, "anna", LATER)
    assert (run.report["cause"], run.report["step"]) == ("unknown", "check_again")
    assert "no metric of quality may alert: judge can't gate" in run.summary
    calibrate(database)
    assert check_drift(database, APP, "anna", LATER).report["drifted"] is False
    assert open_summaries(database) == []


def test_calls_that_fail_are_no_proof_that_all_is_well(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """An open incident stays open, and the next step is to mend the endpoint."""
    frozen(database, endpoint, tmp_path, {"golden_set": "golden.jsonl"})
    endpoint.behaviour = lambda model, question, before: Reply(status=400)
    run = check_drift(database, APP, "anna", LATER)
    assert (run.report["cause"], run.report["step"]) == ("unknown", "check_again")
    (summary,) = open_summaries(database)
    assert "120 of 120 calls failed now, 0 of 120 then (http_400); 5 points may" in summary
    assert "Repair what is missing, and check again" in summary
    assert render_drift(APP, run.id, run.report, LATER).count("Not known") == 2
    with pytest.raises(NothingToDoError, match="too little evidence"):
        act(database, APP, None, ANNA, LATER)


def test_judges_that_nobody_named_are_missed_before_anything_is_paid(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The message names the policy's key."""
    frozen(database, endpoint, tmp_path)
    cases = [{"id": f"c{number}", "question": f"Question {number}?", "metric": "rubric"} for number in range(3)]
    (tmp_path / "golden.jsonl").write_bytes(b"\n".join(orjson.dumps(case) for case in cases))
    _set_policy(database, {"golden_set": "golden.jsonl"})
    asked = endpoint.asked.total()
    with pytest.raises(JudgeError, match=r"eval\.judge\.models"):
        check_drift(database, APP, "anna", LATER)
    assert endpoint.asked.total() == asked


@pytest.mark.long
def test_the_more_metrics_the_more_is_asked_of_each() -> None:
    """Over six metrics together a check finds a fall where there is none in at most 2.5 of a hundred runs.

    The bound leaves room for three standard errors; without the adjustment it would be 14 of a hundred.
    """
    runs = 250
    assert _found(runs, lost=0.0) / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)


def test_one_metric_that_fell_is_found_among_six() -> None:
    """The adjustment doesn't blind the check: three in four are right, then one in four, in 80 cases."""
    assert _found(10, lost=0.5) == 10


def _found(runs: int, *, lost: float) -> int:
    """In how many of so many checks any metric is shown to have fallen, where one of six loses a share."""
    rng = random.Random(11)
    cases = [RecordedCase(f"c{number}", "?", "") for number in range(80)]
    plans = [MetricPlan(f"m{number}") for number in range(6)]
    found = 0
    for _ in range(runs):
        answers = [
            EvalAnswer(CallKey(arm, case.id, 0), "v", Status.SCORED, scores=_scores(rng, arm, lost))
            for case in cases
            for arm in EvalArm
        ]
        figures = measure_drift(cases, answers, plans, DriftPolicy())
        found += any(one.finding is Finding.WORSE for one in figures.quality)
    return found


def _scores(rng: random.Random, arm: EvalArm, lost: float) -> dict[str, float]:
    """Six metrics of an answer that are right in three of four cases, by chance; the first one loses a share."""
    fall = lost if arm is EvalArm.CANDIDATE else 0.0
    return {f"m{number}": float(rng.random() < 0.75 - (fall if number == 0 else 0)) for number in range(6)}
