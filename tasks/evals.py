"""Regression evals sharded over a Dask cluster, where an installation asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.futures import wait

from softlaunch.driver import Driver
from softlaunch.errors import SoftlaunchError
from softlaunch.evals.regression import EvalOrder, EvalProgress
from softlaunch.evals.sharding import Shard, outstanding, work_on_shard
from softlaunch.look import Evaluator
from softlaunch.settings import Settings
from softlaunch.store.database import Database
from tasks.ledger import ledger

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

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
        self._under_way: list[Any] = []

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Have the shards work, and wait for so many seconds. A shard that failed leaves its calls to this process."""
        standing = self._whole.work(order, 0)
        if not outstanding(self._database, order, _WHOLE) or any(one.state.is_failed() for one in self._done()):
            return self._whole.work(order, seconds) if standing.report is None else standing
        if len(self._done()) == len(self._under_way):
            self._under_way = [self._submit(order, shard) for shard in self._shards]
        wait(self._under_way, timeout=seconds)
        return self._whole.work(order, 0)

    def _submit(self, order: EvalOrder, shard: Shard) -> Any:
        return self._runner.submit(ask_shard, parameters={"order": order, "shard": shard})

    def _done(self) -> list[Any]:
        return [one for one in self._under_way if one.state.is_final()]


@contextmanager
def evaluating(driver: Driver) -> Iterator[Driver]:
    """The driver, with an eval in shards where SOFTLAUNCH_EVAL_SHARDS asks for more than one."""
    settings = Settings()
    if settings.eval_shards == 1:
        yield driver
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
        evaluator = ShardedEval(driver.database, driver.eyes.evaluator, runner, settings.eval_shards)
        yield replace(driver, eyes=replace(driver.eyes, evaluator=evaluator))
