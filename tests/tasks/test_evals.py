"""An eval in shards, with a cluster that is scripted: who does what, and what happens when a shard breaks."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from prefect.states import Completed, Failed

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import EvalAnswer, Status
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.sharding import Shard, outstanding
from softlaunch.releases.observe import Evaluator
from softlaunch.store.database import Database
from softlaunch.tasks.evals import ShardedEval
from tests.support.builders import NOON, STABLE, eval_report, make_policy


class Asked:
    """A shard that a cluster was given; it stays under way until it is told how it ended."""

    def __init__(self) -> None:
        self.wrapped_future = self
        self.status = "pending"
        self.ended: Any = None

    def end(self, state: Any) -> None:
        """It is over."""
        self.status, self.ended = "finished", state

    def done(self) -> bool:
        """Whether it is over."""
        return self.status != "pending"

    def result(self) -> Any:
        """How it ended."""
        return self.ended

    def wait(self, seconds: float) -> None:
        """Nothing takes any time here."""


class Cluster:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[Shard, Asked]] = []

    def submit(self, task: Any, parameters: dict[str, Any]) -> Asked:
        """Take a shard."""
        self.given.append((parameters["shard"], Asked()))
        return self.given[-1][1]


class Whole(Evaluator):
    """The eval of one process: notes whether it only looked or was to work."""

    def __init__(self) -> None:
        self.worked: list[float] = []
        self.over = False

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Note it."""
        self.worked.append(seconds)
        return EvalProgress(1, 4, None, eval_report() if self.over else None)


@pytest.fixture
def order(database: Database, tmp_path: Path) -> EvalOrder:
    """An eval of two cases, opened in the ledger, of which nothing is asked yet."""
    golden = tmp_path / "golden.jsonl"
    golden.write_bytes(b"\n".join(orjson.dumps({"id": one, "question": one, "expected": "yes"}) for one in ("a", "b")))
    policy = make_policy(eval={"golden_set": golden.name, "repeats": 1, "maximum_repeats": 1}).eval
    open_run(database, "bot-1", "bot", "bot-1", ComparedDigests("suite", ByArm("candidate", "stable")), NOON)
    return EvalOrder("bot-1", "bot", "bot-1", STABLE, STABLE, policy, golden)


@pytest.fixture
def cluster() -> Cluster:
    """A cluster without work."""
    return Cluster()


@pytest.fixture
def whole() -> Whole:
    """The eval that shards are taken from."""
    return Whole()


@pytest.fixture
def sharded(database: Database, whole: Whole, cluster: Any) -> ShardedEval:
    """An eval in two shards."""
    return ShardedEval(database, whole, cluster, 2)


def test_each_shard_is_given_out_once_while_it_works(
    sharded: ShardedEval, whole: Whole, cluster: Cluster, order: EvalOrder
) -> None:
    """A driver's short steps don't give the same cases out twice, and this process only looks."""
    for _ in range(3):
        sharded.work(order, 2)
    assert [shard for shard, _ in cluster.given] == [Shard(1, 2), Shard(2, 2)]
    assert set(whole.worked) == {0}


def test_what_shards_left_is_given_out_again(sharded: ShardedEval, cluster: Cluster, order: EvalOrder) -> None:
    """Shards that ran out of time go on with the next step, once all of them are back."""
    sharded.work(order, 2)
    cluster.given[0][1].end(Completed())
    sharded.work(order, 2)
    assert len(cluster.given) == 2
    cluster.given[1][1].end(Completed())
    sharded.work(order, 2)
    assert [shard.number for shard, _ in cluster.given] == [1, 2, 1, 2]


@pytest.mark.parametrize("status", ["finished", "error", "cancelled", "lost"])
def test_a_shard_that_breaks_leaves_its_calls_to_this_process(
    sharded: ShardedEval, whole: Whole, cluster: Cluster, order: EvalOrder, status: str
) -> None:
    """The eval goes on without the cluster, and what is really wrong is said by the process that people look at."""
    sharded.work(order, 2)
    cluster.given[0][1].end(Failed())
    cluster.given[0][1].status = status
    sharded.work(order, 2)
    assert whole.worked[-1] == 2
    assert len(cluster.given) == 2


def test_what_comes_after_the_calls_is_done_here(
    sharded: ShardedEval, whole: Whole, cluster: Cluster, order: EvalOrder, database: Database
) -> None:
    """With no call outstanding the whole eval works, on more repeats or on judging; with a report nothing does."""
    calls = outstanding(database, order, Shard(1, 1))
    assert len(calls) == 4
    add_answers(database, "bot-1", [EvalAnswer(call.key, call.variant.digest, Status.UNSCORED) for call in calls])
    sharded.work(order, 2)
    assert (whole.worked, cluster.given) == ([0, 2], [])
    whole.over = True
    assert sharded.work(order, 2).report is not None
    assert whole.worked == [0, 2, 0]
