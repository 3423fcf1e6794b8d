"""Sending what waits in the outbox."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger, task

from softlaunch.notify import senders
from softlaunch.tasks.ledger import ledger


@task(task_run_name="notify people")
def deliver() -> None:
    """Send what waits, oldest first; what can't be sent now is sent later."""
    logger = get_run_logger()
    with ledger() as database:
        for problem in senders.deliver(database, logger.info).problems:
            logger.warning("Messages wait. %s", problem)


@contextmanager
def delivering() -> Iterator[None]:
    """Send messages in the background while the block works; no task of its own, for it outlasts them."""
    with ledger() as database, senders.delivering(database, get_run_logger().info):
        yield
