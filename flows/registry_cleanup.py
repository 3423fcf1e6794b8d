"""The registry-cleanup flow: what is old and unused goes to the archive, once a month."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.plainly import told_plainly
from tasks import housekeeping, notices

Switch = Annotated[bool, Field(title="Dry run", description="Only show what would be archived and deleted, and why.")]


@flow(name="registry-cleanup", flow_run_name="clean up the registry")
@told_plainly
def registry_cleanup(dry_run: Switch = False) -> str:
    """Plan and show; then archive, read back, delete and record, unless this is a dry run."""
    planned = housekeeping.plan()
    if dry_run:
        return f"{planned.deleted} would be deleted"
    told = housekeeping.clean(planned)
    notices.deliver()
    return told
