"""Driving a stage of a release."""

from contextlib import nullcontext

from prefect import get_run_logger, task

from softlaunch.core.settings import Settings
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import FencedError
from softlaunch.releases.controller import Controller
from softlaunch.releases.driver import Progress
from softlaunch.releases.wording import show_verdict
from softlaunch.tasks.evals import sharded_evaluator
from softlaunch.tasks.ledger import DRIVER, Standing, ledger
from softlaunch.tasks.progress import shown_progress
from softlaunch.wiring import build_driver


@task(task_run_name="Watch {stage.stage} of {stage.release_id}")
def run_stage(stage: Standing, token: int) -> None:
    """Watch a stage until it is over. One log line a decision; the ledger holds everything else.

    Returns quietly when somebody else took over: the ledger says how things stand.
    """
    logger = get_run_logger()
    with ledger() as database, shown_progress(stage):
        try:
            with sharded_evaluator(database) if stage.is_eval else nullcontext() as evaluator:
                driver = build_driver(database, DRIVER, evaluator)
                seconds = Settings().poll_seconds
                controller = Controller(driver, seconds, lambda done: logger.info(_sentence(done)), logger.warning)
                controller.run_stage(stage.release_id, token)
        except FencedError as error:
            logger.info("This driver stops: %s.", error)


def _sentence(progress: Progress) -> str:
    decided = [verdict for verdict in progress.verdicts if verdict.outcome is not Outcome.INCONCLUSIVE]
    shown = "; ".join(show_verdict(verdict) for verdict in decided)
    return f"{progress.stage}: {progress.message}." + (f" {shown}." if shown else "")
