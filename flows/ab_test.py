"""The A/B test flow: a driver of the test's state machine that shows its progress in Prefect."""

from prefect import flow

from softlaunch.ab.opening import TrialRequest
from softlaunch.flows.failures import fail_with_message
from softlaunch.tasks import ab_tests, ledger, notices, stages


@flow(name="ab-test", flow_run_name="{request.app}: A/B test")
@fail_with_message
def ab_test(request: TrialRequest) -> ledger.Standing:
    """Compare B with what serves now until the figures decide, the limit has come, or harm shows.

    A test that finds nothing is a completed run: Prefect's state is that of the pipeline; the ledger holds that of the
    test. When this run dies the test goes on: `reconcile` has it resumed from the state that the ledger holds.
    """
    trial_id = ab_tests.open_trial(request)
    token = ledger.acquire_lease(trial_id)
    stages.run_stage(ledger.standing(trial_id), token)
    notices.deliver()
    ended = ledger.standing(trial_id)
    if not ended.state.live:
        ab_tests.publish_trial(trial_id)
    return ended
