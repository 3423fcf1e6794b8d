"""The reconcile flow: each minute it checks for releases without a driver, and for cancelled ones."""

from prefect import flow

from softlaunch.flows.failures import fail_with_message
from softlaunch.releases.orphans import Remedy
from softlaunch.tasks import models, notices, orphans


@flow(name="reconcile", flow_run_name="check for releases without a driver")
@fail_with_message
def reconcile() -> list[str]:
    """Resume or roll back releases without a driver, and end those cancelled in Prefect; returns a sentence for each.

    A resumed release gets a flow run of its own, `resume-release`, which the ledger lets drive only once.
    """
    found = orphans.settle()
    for finding in found:
        if finding.remedy is Remedy.RESUME:
            orphans.order_resumption(finding)
    orphans.monitor_rollbacks()
    models.monitor_models()
    notices.deliver()
    return [finding.sentence for finding in found]
