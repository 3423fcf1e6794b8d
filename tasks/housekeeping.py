"""The registry cleanup, as its flow uses it."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from softlaunch.clock import utc_now
from softlaunch.edges.archives.opening import open_archive
from softlaunch.registry.housekeeping import ApprovalNeededError, Housekeeper, Plan
from softlaunch.reports.cleanup import plan_markdown
from softlaunch.settings import Settings
from softlaunch.store.releases import Actor
from tasks.ledger import ledger


@task(task_run_name="plan")
def plan() -> Plan:
    """What is due, and why; an artifact shows it."""
    with _housekeeper() as keeper:
        planned = keeper.plan()
        shown = plan_markdown(planned, keeper.archive.address)
    create_markdown_artifact(key="registry-cleanup", markdown=shown, description="What the cleanup deletes, and why")
    return planned


@task(task_run_name="archive and delete", retries=2, retry_delay_seconds=60)
def clean(planned: Plan) -> str:
    """Archive, read back, delete, record; what was interrupted is repeated. A large one waits for a person."""
    with _housekeeper() as keeper:
        try:
            told = keeper.clean(planned).sentence
        except ApprovalNeededError as error:
            told = str(error)
    get_run_logger().info(told)
    return told


@contextmanager
def _housekeeper() -> Iterator[Housekeeper]:
    settings = Settings()
    actor = str(Actor("registry cleanup", "prefect"))
    with ledger() as database:
        archive = open_archive(settings.archive_address)
        price = settings.ledger_usd_per_gb_month
        yield Housekeeper(database, archive, price, actor, utc_now, get_run_logger().debug)
