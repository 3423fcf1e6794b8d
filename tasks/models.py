"""The model registry beside the ledger, as flows use it."""

from prefect import get_run_logger, task

from softlaunch.clock import utc_now
from softlaunch.edges.models.opening import open_registry
from softlaunch.registry.floating import watch_resolved_models
from softlaunch.registry.mirror import mirror
from softlaunch.settings import Settings
from tasks.ledger import ledger


@task(task_run_name="Mirror aliases to the model registry")
def mirror_aliases() -> None:
    """Let the other registry's aliases follow; what can't now is tried again the next time."""
    settings, logger = Settings(), get_run_logger()
    if not settings.model_registry:
        return
    with ledger() as database:
        for one in mirror(database, open_registry(settings, database, "reconcile")):
            (logger.warning if one.problem else logger.info)(one.sentence)


@task(task_run_name="Look whether models answer as they did")
def watch_models() -> None:
    """Open an incident where a provider has begun to answer with another model."""
    logger = get_run_logger()
    with ledger() as database:
        for sentence in watch_resolved_models(database, utc_now()):
            logger.warning(sentence)
