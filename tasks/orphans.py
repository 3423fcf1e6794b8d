"""Live releases without a driver or with a cancelled run, and rollbacks that gateways don't follow."""

from datetime import timedelta
from functools import partial

from prefect import get_run_logger, task
from prefect.deployments import run_deployment

from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.ledger.releases import Actor
from softlaunch.ledger.texts import TextSweep
from softlaunch.releases.reconcile import Finding, Reconciler
from softlaunch.releases.rollback_watch import watch_rollbacks
from softlaunch.tasks.ledger import ledger
from softlaunch.tasks.runs import cancelled_runs, show_cancelled

RESUMING = "resume-release/resume-release"
_SAME_ORDER_SECONDS = 120


@task(task_run_name="check for releases without a driver")
def settle() -> tuple[Finding, ...]:
    """Free, or end, every release without a driver, and end those whose run was cancelled; one log line each.

    Texts of users whose time is over are deleted, too.
    """
    logger = get_run_logger()
    by, ttl = Actor("reconcile", "prefect"), timedelta(seconds=Settings().driver_seconds)
    with ledger() as database:
        found = Reconciler(database, by, ttl, cancelled=partial(cancelled_runs, warn=logger.warning)).run()
        TextSweep(database).look(utc_now().timestamp())
    for finding in found:
        logger.warning(finding.sentence)
    ended = [finding.cancelled_run for finding in found if finding.cancelled_run]
    if ended:
        show_cancelled(ended, logger.warning)
    return found


@task(task_run_name="resume {finding.release_id}", retries=2, retry_delay_seconds=5)
def order_resumption(finding: Finding) -> None:
    """Have a worker drive a release on. Two reconcilers at once order one run; a run that died is ordered again."""
    era = int(utc_now().timestamp() // _SAME_ORDER_SECONDS)
    run_deployment(
        RESUMING,
        parameters={"release_id": finding.release_id},
        timeout=0,
        as_subflow=False,
        idempotency_key=f"{finding.release_id}:{finding.token}:{era}",
    )


@task(task_run_name="check for gateways that don't follow a rollback")
def monitor_rollbacks() -> None:
    """Opens the incident, and resolves it; one log line each."""
    logger = get_run_logger()
    with ledger() as database:
        for sentence, worse in watch_rollbacks(database, utc_now()):
            (logger.warning if worse else logger.info)(sentence)
