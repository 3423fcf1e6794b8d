"""Regression evals that end once their verdict is known, and where further repeats go if it isn't."""

from dataclasses import replace
from pathlib import Path

from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.recorded_answers import read_answers
from softlaunch.evals.regression import RegressionEval
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from tests.evals.regression_orders import finish, golden_set, order
from tests.support.endpoints import Endpoint, Reply


def test_an_eval_stops_once_harm_is_plain(
    evaluation: RegressionEval, database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Half of the answers lost: a part of the calls; those under way are used, and the report says what was saved."""
    endpoint.behaviour = lambda model, question, before: Reply(
        "no" if model == "new" and int(question.split()[1]) % 2 else "yes", delay=0.02
    )
    progress = finish(evaluation, order(endpoint, golden_set(tmp_path, 200), repeats=3, maximum_repeats=6))
    assert progress.report is not None
    assert progress.report.outcome is Outcome.FAIL
    assert progress.done == progress.planned == endpoint.asked.total() < 300
    stop = next(verdict for verdict in progress.report.verdicts if verdict.gate == "early stop")
    assert f"{progress.done} of 1,200 calls were made, {1200 - progress.done:,} saved" in stop.reason
    assert progress.report.candidate.calls + progress.report.stable.calls == progress.done
    with database.read() as session:
        assert len(read_answers(session, "support-1")) == progress.done


def test_an_eval_that_stopped_says_the_same_again_and_asks_nobody(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Another process reads the same verdict from the ledger, whatever has flickered since."""
    endpoint.behaviour = lambda model, question, before: Reply("no" if model == "new" else "yes")
    wanted = order(endpoint, golden_set(tmp_path, 200), repeats=3, maximum_repeats=6)
    first = finish(RegressionEval(database), wanted)
    asked = endpoint.asked.total()
    assert first.report is not None
    assert finish(RegressionEval(database), wanted).report == first.report
    assert endpoint.asked.total() == asked


def test_an_eval_that_was_cut_off_goes_on_and_decides_the_same(
    database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """By steps of other objects, each closed in the middle of its calls: every call is paid once."""

    def behave(model: str, question: str, before: int) -> Reply:
        return Reply("no" if model == "new" and int(question.split()[1]) % 3 == 0 else "yes", delay=0.02)

    endpoint.behaviour = behave
    golden = golden_set(tmp_path, 150)
    whole = finish(RegressionEval(database), replace(order(endpoint, golden, concurrency=1), run_id="drawn"))
    endpoint.asked.clear()
    wanted = replace(order(endpoint, golden, concurrency=2), run_id="drawn", release_id="support-1")
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    for _ in range(200):
        part = RegressionEval(other)
        progress = part.work(wanted, 0.25)
        part.close()
        if progress.report is not None:
            break
    assert progress.report is not None
    assert set(endpoint.asked.values()) == {1}
    reasons = [
        next(verdict.reason.split(":")[0] for verdict in one.verdicts if verdict.gate == "early stop")
        for one in (progress.report, whole.report)
        if one is not None
    ]
    assert reasons[0] == reasons[1]
    other.close()


def test_an_eval_begun_without_early_stop_makes_all_of_its_calls(
    evaluation: RegressionEval, database: Database, endpoint: Endpoint, tmp_path: Path
) -> None:
    """What an older version has begun, too: it has answers and no drawn order."""
    endpoint.behaviour = lambda model, question, before: Reply("no" if model == "new" else "yes", delay=0.01)
    golden = golden_set(tmp_path, 100)
    begun = RegressionEval(database)
    while not endpoint.asked:
        begun.work(order(endpoint, golden, early_stop=False), 0.3)
    begun.close()
    assert finish(evaluation, order(endpoint, golden)).done == 200


def test_further_repeats_go_to_the_cases_that_vary(
    evaluation: RegressionEval, endpoint: Endpoint, tmp_path: Path
) -> None:
    """An undecided eval asks each case at least once more, and most often those whose answers differ."""

    def behave(model: str, question: str, before: int) -> Reply:
        return Reply("no" if int(question.split()[1]) < 5 and before % 2 else "yes")

    endpoint.behaviour = behave
    progress = finish(evaluation, order(endpoint, golden_set(tmp_path, 40), repeats=2, maximum_repeats=4))
    assert progress.done == progress.planned == 320
    assert endpoint.asked["good", "question 20"] < 4
    assert endpoint.asked["good", "question 2"] == endpoint.asked["new", "question 2"] > 4
    assert min(endpoint.asked.values()) >= 3
