"""The registry-cleanup flow: what is old and unused goes to the archive, once a month."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from softlaunch.core.approvals import ApprovalState
from softlaunch.flows.failures import fail_with_message
from softlaunch.tasks import cleanup, notices

Switch = Annotated[bool, Field(title="Dry run", description="Only show what would be archived and deleted, and why.")]
Wait = Annotated[
    bool,
    Field(
        title="Wait for the answer",
        description="Whether a cleanup so large that a person is asked waits for them; if not, the next one goes on.",
    ),
]


@flow(name="registry-cleanup", flow_run_name="clean up the registry")
@fail_with_message
def registry_cleanup(dry_run: Switch = False, wait: Wait = True) -> str:
    """Plan and show; then archive, read back, delete and record, unless this is a dry run.

    What is larger than the policy lets go by itself is asked about, and waits for the answer.
    """
    planned = cleanup.plan()
    if dry_run:
        return f"{planned.deleted} would be deleted"
    asked = cleanup.ask(planned)
    if asked is not None:
        notices.deliver()
        stands = cleanup.wait_for_answer(asked) if wait else ApprovalState.PENDING
        if stands is not ApprovalState.APPROVED:
            return f"nothing was deleted: approval {asked.id} is {stands}"
        planned = cleanup.plan()
    message = cleanup.clean(planned)
    notices.deliver()
    return message
