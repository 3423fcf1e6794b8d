"""Driving a stage of a release."""

from contextlib import nullcontext

from prefect import get_run_logger, task

from softlaunch.core.settings import Settings
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import FencedError
from softlaunch.releases.driver import Progress
from softlaunch.releases.run import drive_stage
from softlaunch.reports.wording import show_verdict
from softlaunch.tasks.evals import evaluating
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
        driver = build_driver(database, DRIVER)
        try:
            with evaluating(driver) if stage.is_eval else nullcontext(driver) as able:
                drive_stage(
                    able,
                    stage.release_id,
                    token,
                    Settings().poll_seconds,
                    tell=lambda progress: logger.info(_sentence(progress)),
                    complain=logger.warning,
                )
        except FencedError as error:
            logger.info("This driver stops: %s.", error)


def _sentence(progress: Progress) -> str:
    decided = [verdict for verdict in progress.verdicts if verdict.outcome is not Outcome.INCONCLUSIVE]
    shown = "; ".join(show_verdict(verdict) for verdict in decided)
    return f"{progress.stage}: {progress.told}." + (f" {shown}." if shown else "")
