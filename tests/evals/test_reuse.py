"""Answers of earlier evals, taken over where they are still what serves."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.evals.regression import RegressionEval
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalAnswerRow, EvalRunRow
from tests.evals.regression_orders import finish, golden_set, order
from tests.support.endpoints import Endpoint


def test_answers_of_an_earlier_run_are_reused(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Stable's answers are paid once for two candidates, where the policy says so; they are marked and cost nothing."""
    golden = golden_set(tmp_path, 100)
    finish(RegressionEval(database), order(endpoint, golden))
    second = replace(order(endpoint, golden, candidate="newer", reuse=3600), run_id="support-2", release_id=None)
    progress = finish(RegressionEval(database), second)
    assert progress.cost_usd == pytest.approx(100 * 30e-6)
    assert endpoint.asked.total() == 300
    assert endpoint.asked["good", "question 0"] == endpoint.asked["newer", "question 0"] == 1
    third = replace(second, run_id="support-3", policy=second.policy.model_copy(update={"reuse": 0.0}))
    finish(RegressionEval(database), third)
    assert endpoint.asked["good", "question 0"] == 2


def test_a_variant_against_itself_reuses_one_side_only(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Two arms that were the same answers would always agree."""
    golden = golden_set(tmp_path, 10)
    finish(RegressionEval(database), order(endpoint, golden, candidate="good"))
    second = replace(order(endpoint, golden, candidate="good", reuse=3600), run_id="support-2", release_id=None)
    finish(RegressionEval(database), second)
    assert endpoint.asked["good", "question 3"] == 3


def test_answers_of_another_fingerprint_are_not_reused(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """The provider has changed what serves stable: only what still serves is taken over, and its number is said."""
    golden = golden_set(tmp_path, 60)
    finish(RegressionEval(database), order(endpoint, golden))
    with database.begin() as session:
        for row in session.exec(select(EvalAnswerRow)).all():
            row.fingerprint = "fp_old" if int(row.case_id[1:]) < 20 else "fp_now"
            session.add(row)
        run = session.exec(select(EvalRunRow)).one()
        session.add(
            EvalRunRow(**{**run.model_dump(), "id": "older", "started_at": run.started_at - timedelta(hours=1)})
        )
        session.flush()
        for row in session.exec(select(EvalAnswerRow).where(EvalAnswerRow.fingerprint == "fp_old")).all():
            row.run_id = "older"
            session.add(row)
    second = replace(order(endpoint, golden, candidate="newer", reuse=7200), run_id="support-2", release_id=None)
    report = finish(RegressionEval(database), second).report
    assert report is not None
    assert endpoint.asked["good", "question 5"] == 2
    assert endpoint.asked["good", "question 40"] == 1
    assert any(verdict.gate == "reuse" and "40 of 120 answers" in verdict.reason for verdict in report.verdicts)
