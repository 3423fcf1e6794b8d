"""The registry cleanup, as its flow uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import sleep

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from softlaunch.core.approvals import ApprovalState
from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.integrations.archives.opening import open_archive
from softlaunch.ledger.approvals import Approval, read_approval
from softlaunch.ledger.releases import Actor
from softlaunch.reports.markdown import plan_markdown
from softlaunch.retention.approval import ApprovalNeededError, close_expired
from softlaunch.retention.cleanup_run import Plan, RegistryCleanup
from softlaunch.tasks.ledger import ledger

_LOOKS = timedelta(seconds=5)


@task(task_run_name="plan")
def plan() -> Plan:
    """What is due, and why; an artifact shows it."""
    with _open_cleanup() as cleanup:
        planned = cleanup.plan()
        shown = plan_markdown(planned, cleanup.archive.address)
    create_markdown_artifact(key="registry-cleanup", markdown=shown, description="What the cleanup deletes, and why")
    return planned


@task(task_run_name="ask if it is large")
def ask(planned: Plan) -> Approval | None:
    """Ask a person where a plan is larger than goes by itself; None where it isn't, or where they have said yes."""
    with _open_cleanup() as cleanup:
        return cleanup.ask(planned)


@task(task_run_name="wait for approval {asked.id}")
def wait_for_answer(asked: Approval) -> ApprovalState:
    """Wait until a person has answered, or until their time is over, which counts as a no."""
    get_run_logger().info("%s Open until %s", asked.text, asked.expires_at)
    with ledger() as database:
        while True:
            with database.read() as session:
                stands = read_approval(session, asked.id, utc_now()).state
            if stands is not ApprovalState.PENDING:
                break
            sleep(_LOOKS.total_seconds())
        if stands is ApprovalState.EXPIRED:
            with database.begin() as session:
                close_expired(session, utc_now())
    return stands


@task(task_run_name="archive and delete", retries=2, retry_delay_seconds=60)
def clean(planned: Plan) -> str:
    """Archive, read back, delete, record; what was interrupted is repeated. A large one waits for a person."""
    with _open_cleanup() as cleanup:
        try:
            message = cleanup.clean(planned).sentence
        except ApprovalNeededError as error:
            message = str(error)
    get_run_logger().info(message)
    return message


@contextmanager
def _open_cleanup() -> Iterator[RegistryCleanup]:
    settings = Settings()
    actor = Actor("registry cleanup", "prefect")
    with ledger() as database:
        archive = open_archive(settings.archive_address)
        price = settings.ledger_usd_per_gb_month
        yield RegistryCleanup(database, archive, price, actor, utc_now, get_run_logger().debug)
