"""The rollback flow: the same transition as the command line's, for a button in the Prefect UI."""

from prefect import flow

from softlaunch.store.releases import Actor
from tasks import ledger, notices, reports


@flow(name="rollback", flow_run_name="{app}: roll back")
def rollback(app: str, reason: str, actor: str = "prefect") -> str:
    """Take back what an app is releasing, or released last; returns the release's state."""
    ended = ledger.roll_back(app, Actor(actor, "prefect"), reason)
    notices.deliver()
    reports.publish_release(ended.release_id)
    return str(ended.state)
