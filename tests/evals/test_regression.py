"""The regression eval on a real ledger and a real endpoint: piece by piece, killed, resumed, judged."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from softlaunch.core.endpoint import MissingKeyError
from softlaunch.core.errors import ConflictError
from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.recorded_answers import finished_calls, read_answers
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.suites.suite import SuiteError
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalAnswerRow, EvalRunRow
from tests.evals.regression_orders import LONG, finish, golden_set, order
from tests.support.endpoints import Endpoint, Reply, variant
from tests.support.paths import ROOT


def test_a_good_candidate_passes(
    evaluation: RegressionEval, database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Every call is stored with the run, counted and priced, and the report passes."""
    progress = finish(evaluation, order(endpoint, golden_set(tmp_path, 160)))
    assert (progress.done, progress.planned) == (320, 320)
    assert progress.cost_usd == pytest.approx(320 * 30e-6)
    assert progress.report is not None
    assert progress.report.outcome is Outcome.PASS
    with database.read() as session:
        (run,) = session.exec(select(EvalRunRow)).all()
        assert (run.id, run.app, run.release_id) == ("support-1", "support", "support-1")
        assert len(session.exec(select(EvalAnswerRow)).all()) == 320


def test_a_candidate_that_is_often_wrong_fails(evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path) -> None:
    """Wrong on one question in four: rejected, with the size of the loss."""
    endpoint.behaviour = lambda model, question, before: Reply(
        "no" if model == "new" and int(question.split()[1]) % 4 == 0 else "yes"
    )
    report = finish(evaluation, order(endpoint, golden_set(tmp_path, 60), early_stop=False)).report
    assert report is not None
    assert report.outcome is Outcome.FAIL
    assert report.metrics[0].estimate.harm == pytest.approx(0.25)


def test_one_text_for_every_question_is_for_people(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path
) -> None:
    """However often it is right: a candidate that says the same whatever it is asked has read no question."""
    endpoint.behaviour = lambda model, question, before: Reply(
        "yes" if model == "new" else f"yes, {question}" if int(question.split()[1]) % 4 else f"no, {question}"
    )
    report = finish(evaluation, order(endpoint, golden_set(tmp_path, 160), early_stop=False)).report
    assert report is not None
    assert report.outcome is Outcome.REVIEW
    assert "100 % of the candidate's outputs are the same text ('yes') for 160 different questions" in report.reason


def test_calls_that_took_the_same_time_are_copies(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Whatever stands in between, both arms were one; what took times of its own was asked twice."""
    wanted = order(endpoint, golden_set(tmp_path, 160))
    evaluation = RegressionEval(database)
    assert getattr(finish(evaluation, wanted).report, "outcome", None) is Outcome.PASS
    evaluation.close()
    with database.begin() as session:
        for row in session.exec(select(EvalAnswerRow)).all():
            row.latency_ms = 100.0 + int(row.case_id[1:])
            session.add(row)
    report = finish(RegressionEval(database), wanted).report
    assert report is not None
    assert report.outcome is Outcome.REVIEW
    assert "the calls of both arms are the same, the time of each too (160 calls)" in report.reason


def test_a_variant_against_itself(evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path) -> None:
    """Equal digests are two arms all the same: each is called, and nothing differs."""
    progress = finish(evaluation, order(endpoint, golden_set(tmp_path, 160), candidate="good"))
    assert endpoint.asked.total() == 320
    assert progress.report is not None
    assert progress.report.outcome is Outcome.PASS


def test_a_step_returns_in_time_and_the_next_goes_on(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Slow calls don't hold a step up; they are stored when they end, and nothing is asked twice."""
    endpoint.behaviour = lambda model, question, before: Reply(delay=0.4)
    wanted = order(endpoint, golden_set(tmp_path, 20))
    first = evaluation.work(wanted, 0.1)
    assert (first.done, first.planned, first.report) == (0, 40, None)
    last = finish(evaluation, wanted, 0.1)
    assert last.done == 40
    assert set(endpoint.asked.values()) == {1}


def test_looking_asks_nobody(evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path) -> None:
    """Work for zero seconds tells the progress and makes no call."""
    progress = evaluation.work(order(endpoint, golden_set(tmp_path, 5)), 0)
    assert (progress.done, progress.planned, progress.cost_usd) == (0, 10, None)
    assert not endpoint.asked


def test_a_finished_eval_is_not_paid_again(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """Another process that works on it gets the same report from what is stored."""
    wanted = order(endpoint, golden_set(tmp_path, 20))
    first = finish(RegressionEval(database), wanted)
    asked = endpoint.asked.total()
    assert finish(RegressionEval(database), wanted).report == first.report
    assert endpoint.asked.total() == asked == 40


def test_calls_stop_when_nobody_asks_for_work(database: Database, endpoint: Endpoint, tmp_path: Path) -> None:
    """After `close` what was under way is stored, and another eval pays only for the rest."""
    endpoint.behaviour = lambda model, question, before: Reply(delay=0.03)
    wanted = order(endpoint, golden_set(tmp_path, 100))
    first = RegressionEval(database)
    for _ in range(100):  # a busy machine may need some of these before the first call is made
        first.work(wanted, 0.3)
        if endpoint.asked:
            break
    first.close()
    asked = endpoint.asked.total()
    with database.read() as session:
        stored = len(finished_calls(session, wanted.run_id))
    assert 0 < stored < 200
    assert stored == asked
    assert finish(RegressionEval(database), wanted).done == 200
    assert set(endpoint.asked.values()) == {1}


def test_an_inconclusive_eval_plans_more_repeats(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Forty equal cases can't show two points, so all repeats are used before the report says so."""
    wanted = order(endpoint, golden_set(tmp_path, 40), repeats=1, maximum_repeats=3)
    progress = finish(evaluation, wanted)
    assert (progress.done, progress.planned) == (240, 240)
    assert progress.report is not None
    assert (progress.report.outcome, progress.report.repeats) == (Outcome.INCONCLUSIVE, 3)
    assert set(endpoint.asked.values()) == {3}


def test_a_conclusive_eval_stops_early(evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path) -> None:
    """What is clear after the first repeats isn't paid for again."""
    endpoint.behaviour = lambda model, question, before: Reply("no" if model == "new" else "yes")
    wanted = order(endpoint, golden_set(tmp_path, 40), repeats=1, maximum_repeats=3, early_stop=False)
    progress = finish(evaluation, wanted)
    assert progress.planned == 80
    assert progress.report is not None
    assert progress.report.outcome is Outcome.FAIL


def test_an_endpoint_that_is_down_is_an_error(database: Database, tmp_path: Path) -> None:
    """Neither arm answers: nothing is said about the candidate, and nothing passes."""
    gone = Endpoint(url="http://127.0.0.1:1/v1")
    quick = Retries(attempts=2, first_seconds=0.01)
    report = finish(RegressionEval(database, retries=quick), order(gone, golden_set(tmp_path, 2))).report
    assert report is not None
    assert report.outcome is Outcome.ERROR
    assert "connect" in report.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param("suite", "the golden set of eval support-1 of support has changed", id="golden set"),
        pytest.param("candidate", "the candidate of eval support-1 of support has changed", id="candidate"),
    ],
)
def test_an_eval_that_changes_midway_is_refused(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path, change: str, said: str
) -> None:
    """Answers to different questions, or of different variants, are never compared."""
    evaluation.work(order(endpoint, golden_set(tmp_path, 5)), 0)
    golden = golden_set(tmp_path, 6 if change == "suite" else 5)
    candidate = "other" if change == "candidate" else "new"
    with pytest.raises(ConflictError, match=said):
        evaluation.work(order(endpoint, golden, candidate), 0)


def test_a_broken_golden_set_is_refused(evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path) -> None:
    """The message of the suite reaches the caller, and nothing is asked."""
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"id": "a"}\n')
    with pytest.raises(SuiteError, match="line 1: expected: is missing"):
        evaluation.work(order(endpoint, golden), LONG)
    assert not endpoint.asked


def test_an_error_of_the_calls_reaches_the_caller(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing key is said at the step, not swallowed by the thread that found it."""
    monkeypatch.delenv("SOME_KEY", raising=False)
    wanted = order(endpoint, golden_set(tmp_path, 5))
    keyed = variant(endpoint.url, "new", api_key_env="SOME_KEY")
    with pytest.raises(MissingKeyError):
        evaluation.work(EvalOrder(**{**_fields(wanted), "candidate": keyed}), LONG)


def _fields(wanted: EvalOrder) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in EvalOrder.__dataclass_fields__}


def test_two_threads_work_on_one_eval(evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path) -> None:
    """Whoever asks, each call is made once."""
    wanted = order(endpoint, golden_set(tmp_path, 50))
    threads = [threading.Thread(target=finish, args=(evaluation, wanted)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(endpoint.asked.values()) == {1}
    assert endpoint.asked.total() == 100


def test_text_that_a_database_refuses_is_kept_otherwise(
    evaluation: RegressionEval, database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """A NUL in an answer neither breaks the ledger nor the eval."""
    endpoint.behaviour = lambda model, question, before: Reply("yes\0 \U0001f600")
    finish(evaluation, order(endpoint, golden_set(tmp_path, 1)))
    with database.read() as session:
        assert {answer.answer for answer in read_answers(session, "support-1")} == {"yes\ufffd \U0001f600"}


DRIVER = """
import sys
sys.path.insert(0, sys.argv[4])
from pathlib import Path
from tests.support.endpoints import Endpoint
from tests.evals.test_regression import finish, order
from softlaunch.evals.regression import RegressionEval
from softlaunch.store.database import Database
finish(RegressionEval(Database(sys.argv[1])), order(Endpoint(url=sys.argv[2]), Path(sys.argv[3]), concurrency=4), 0.2)
"""


@pytest.mark.long
def test_killed_and_resumed(migrated_file: Path, endpoint: Endpoint, tmp_path: Path) -> None:
    """After SIGKILL what was stored is kept; only the calls of its last quarter of a second are asked again."""
    endpoint.behaviour = lambda model, question, before: Reply(delay=0.05)
    golden = golden_set(tmp_path, 150)
    database_url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    database = Database(database_url)
    process = subprocess.Popen([sys.executable, "-c", DRIVER, database_url, endpoint.url, str(golden), str(ROOT)])
    deadline = time.monotonic() + 60
    while endpoint.asked.total() < 100 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wanted = order(endpoint, golden, concurrency=4)
    with database.read() as session:
        stored = finished_calls(session, wanted.run_id)
    assert stored
    asked_before = dict(endpoint.asked)
    endpoint.behaviour = lambda model, question, before: Reply()
    progress = finish(RegressionEval(database), wanted)
    assert progress.done == progress.planned == 300
    models = {"stable": "good", "candidate": "new"}
    for key in stored:
        asked = (models[key.arm], f"question {key.case_id[1:]}")
        assert endpoint.asked[asked] == asked_before[asked] == 1
    database.close()


def test_a_budget_that_runs_out_says_so_and_nothing_is_lost(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The outcome is inconclusive with the reason; with more budget only the rest is paid."""
    golden = golden_set(tmp_path, 160)
    short = finish(RegressionEval(database), order(endpoint, golden, budget_calls=120))
    assert short.halted == "the budget of 120 calls is used up"
    assert short.report is not None
    assert short.report.outcome is Outcome.INCONCLUSIVE
    assert "budget: the budget of 120 calls is used up with 120 of 320 calls made" in short.report.reason
    again = finish(RegressionEval(database), order(endpoint, golden, budget_calls=120))
    assert (again.halted, endpoint.asked.total()) == (short.halted, 120)
    whole = finish(RegressionEval(database), order(endpoint, golden, budget_calls=500))
    assert (whole.halted, whole.done, endpoint.asked.total()) == (None, 320, 320)
    assert whole.report is not None
    assert whole.report.outcome is Outcome.PASS


def test_a_budget_that_is_too_small_still_shows_harm(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path
) -> None:
    """What was shown stands, however little was paid."""
    endpoint.behaviour = lambda model, question, before: Reply("no" if model == "new" else "yes")
    progress = finish(evaluation, order(endpoint, golden_set(tmp_path, 200), budget_calls=100))
    assert progress.report is not None
    assert progress.report.outcome is Outcome.FAIL
