"""The rollback flow: the same transition as the command line's, for a button in the Prefect UI."""

from prefect import flow, runtime

from softlaunch.approvals.requests import RollbackRequest
from softlaunch.flows.failures import fail_with_message
from softlaunch.tasks import ledger, notices, reports


def _run_name() -> str:
    request = RollbackRequest.model_validate(runtime.flow_run.parameters["request"])
    return f"{request.app}: roll back" + (f" to {request.to}" if request.to else "")


@flow(name="rollback", flow_run_name=_run_name)
@fail_with_message
def rollback(request: RollbackRequest) -> str:
    """Roll back an app's live release or the newest promoted one, or to a named version.

    Returns the release's state, or that nothing was ever released. To run it twice does no harm: its log says so.
    """
    ended = ledger.roll_back(request)
    notices.deliver()
    if ended.state is None:
        return "nothing was ever released"
    reports.publish_release(ended.release_id)
    return str(ended.state)
