"""Regression evals sharded over a Dask cluster, where an installation asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from prefect import task

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.sharding import Shard, outstanding, work_on_shard
from softlaunch.releases.observe import Evaluator
from softlaunch.store.database import Database
from softlaunch.tasks.ledger import ledger

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

_SHARD_SECONDS = 30.0
"""How long a shard starts calls before it is asked again: so long an eval goes on paying when its driver has died."""
_WHOLE = Shard(1, 1)


class DaskMissingError(SoftlaunchError):
    """Evals are to be sharded, but what that needs is not installed."""


@task(task_run_name="Ask the models of {order.app}, shard {shard.number} of {shard.of}")
def ask_shard(order: EvalOrder, shard: Shard) -> int:
    """Make outstanding calls of a shard, wherever the cluster puts it; returns how many are left."""
    with ledger() as database:
        return work_on_shard(database, order, shard, _SHARD_SECONDS)


class ShardedEval:
    """Runs the calls that every eval makes in shards; what comes after, such as more repeats, the whole eval does."""

    def __init__(self, database: Database, whole: Evaluator, runner: "DaskTaskRunner", shards: int) -> None:
        self._database = database
        self._whole = whole
        self._runner = runner
        self._shards = [Shard(number, shards) for number in range(1, shards + 1)]
        self._under_way: list[PrefectDaskFuture[int]] = []

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Have the shards work, and wait for so many seconds. A shard that failed leaves its calls to this process."""
        until = monotonic() + seconds
        standing = self._whole.work(order, 0)
        if standing.report is not None:
            return standing
        if any(map(_failed, self._under_way)) or not outstanding(self._database, order, _WHOLE):
            return self._whole.work(order, seconds)
        if all(map(_over, self._under_way)):
            self._under_way = [self._submit(order, shard) for shard in self._shards]
        for one in self._under_way:
            one.wait(max(0.01, until - monotonic()))
        return self._whole.work(order, 0)

    def _submit(self, order: EvalOrder, shard: Shard) -> "PrefectDaskFuture[int]":
        return self._runner.submit(ask_shard, parameters={"order": order, "shard": shard})


def _over(future: "PrefectDaskFuture[int]") -> bool:
    """Whether the cluster is done with a shard; asks the cluster, not Prefect, which may be down."""
    asked: Any = future.wrapped_future
    return bool(asked.done())


def _failed(future: "PrefectDaskFuture[int]") -> bool:
    """Whether a shard broke, or the cluster lost it."""
    asked: Any = future.wrapped_future
    return _over(future) and (asked.status != "finished" or asked.result().is_failed())


@contextmanager
def sharded_evaluator(database: Database) -> Iterator[Evaluator | None]:
    """What runs evals in shards where SOFTLAUNCH_EVAL_SHARDS asks for more than one; None where it doesn't."""
    settings = Settings()
    if settings.eval_shards == 1:
        yield None
        return
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise DaskMissingError(
            "SOFTLAUNCH_EVAL_SHARDS asks for a Dask cluster, but prefect-dask is not installed: pip install "
            "'softlaunch[dask]', or set it to 1"
        ) from error
    local = {"n_workers": settings.eval_shards, "threads_per_worker": 1, "dashboard_address": None}
    where: dict[str, Any] = {"address": settings.dask_address} if settings.dask_address else {"cluster_kwargs": local}
    with DaskTaskRunner(**where) as runner:
        yield ShardedEval(database, RegressionEval(database), runner, settings.eval_shards)
