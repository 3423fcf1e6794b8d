"""Shards of an eval: every case in one of them, and together the same report as one process."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.sharding import Shard, outstanding, work_on_shard
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.database import Database
from tests.support.endpoints import Endpoint, Reply, variant

CASES = 60


@pytest.fixture
def wanted(endpoint: Endpoint, tmp_path: Path) -> EvalOrder:
    """Compare `good` with a candidate that is wrong on one question in four."""
    endpoint.behaviour = lambda model, question, before: Reply(
        "no" if model == "new" and int(question.split()[1]) % 4 == 0 else "yes"
    )
    golden = tmp_path / "golden.jsonl"
    cases = [{"id": f"c{number}", "question": f"question {number}", "expected": "yes"} for number in range(CASES)]
    golden.write_bytes(b"\n".join(map(orjson.dumps, cases)))
    fields = {"repeats": 2, "maximum_repeats": 2, "concurrency": 8, "timeout": 10, "early_stop": False}
    policy = EvalPolicy.model_validate({"golden_set": golden.name, **fields})
    return EvalOrder(
        "bot-1", "bot", "bot-1", variant(endpoint.url, "good"), variant(endpoint.url, "new"), policy, golden
    )


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_case_is_in_one_shard(count: int) -> None:
    """No case is asked twice or left out, and shards are of a size."""
    shards = [Shard(number, count) for number in range(1, count + 1)]
    held = [[shard.holds(f"case {number}") for shard in shards] for number in range(700)]
    assert all(sum(row) == 1 for row in held)
    assert min(map(sum, zip(*held, strict=True))) > 700 / count * 0.7


def test_a_case_falls_on_the_same_shard_in_every_process() -> None:
    """Python's own hash differs from process to process; this one is fixed for good."""
    assert [case for case in ("c0", "c1", "c2", "c3", "c4", "c5") if Shard(1, 2).holds(case)] == ["c4", "c5"]


def test_shards_together_give_the_report_of_one_process(
    database: Database, wanted: EvalOrder, endpoint: Endpoint
) -> None:
    """Each call is made once, a shard that runs again makes none, and every verdict has the same figures."""
    whole = RegressionEval(database)
    whole.work(wanted, 0)
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    assert sum(len(outstanding(database, wanted, shard)) for shard in shards) == CASES * 4
    assert [work_on_shard(database, wanted, shard, 60) for shard in [*shards, shards[0]]] == [0, 0, 0, 0]
    assert endpoint.asked.total() == CASES * 4
    alone = RegressionEval(database)
    assert _judged(whole.work(wanted, 0).report) == _judged(alone.work(replace(wanted, run_id="bot-2"), 60).report)
    alone.close()


def _judged(report: EvalReport | None) -> tuple[object, ...]:
    assert report is not None
    return report.outcome, [(one.gate, one.outcome, one.harm, one.interval) for one in report.verdicts], report.cases


def test_a_shard_that_is_out_of_time_leaves_the_rest(database: Database, wanted: EvalOrder) -> None:
    """No call is started after its time; what is left is told, and the next one goes on."""
    RegressionEval(database).work(wanted, 0)
    assert work_on_shard(database, wanted, Shard(1, 1), 0) == CASES * 4


@pytest.mark.long
def test_shards_stop_once_their_answers_together_decide(
    database: Database, wanted: EvalOrder, endpoint: Endpoint
) -> None:
    """The second shard looks at what the first has recorded; the whole eval then tells why it stopped."""
    early = replace(wanted, policy=wanted.policy.model_copy(update={"early_stop": True, "concurrency": 2}))
    whole = RegressionEval(database)
    whole.work(early, 0)
    endpoint.behaviour = lambda model, question, before: Reply("no" if model == "new" else "yes", delay=0.05)
    left = [work_on_shard(database, early, Shard(number, 2), 60) for number in (1, 2)]
    assert left[1] == 0
    assert endpoint.asked.total() < CASES * 4
    report = whole.work(early, 0).report
    assert report is not None
    assert any(verdict.gate == "early stop" for verdict in report.verdicts)
