"""Monitoring of models, as flows use it."""

from prefect import get_run_logger, task

from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.retention import model_checks
from softlaunch.tasks.ledger import ledger


@task(task_run_name="Look whether models answer, and as they did, and let aliases elsewhere follow")
def monitor_models() -> None:
    """Check every model; what can't be done now is tried again the next time."""
    logger = get_run_logger()
    with ledger() as database:
        for noted in model_checks.monitor_models(database, Settings(), utc_now()):
            (logger.warning if noted.problem else logger.info)(noted.sentence)
