"""Sending what waits in the outbox."""

from prefect import get_run_logger, task

from softlaunch.clock import utc_now
from softlaunch.edges.chat.console import ConsoleChat
from softlaunch.store.news import take_unsent
from tasks.ledger import ledger


@task(task_run_name="tell people")
def deliver() -> None:
    """Send every message that waits, oldest first."""
    chat = ConsoleChat(get_run_logger().info)
    with ledger() as database:
        with database.begin() as session:
            waiting = take_unsent(session, utc_now())
        for notice in waiting:
            chat.post(notice)
