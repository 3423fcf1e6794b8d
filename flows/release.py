"""The release flow: a driver of the ledger's state machine that shows its progress in Prefect."""

from prefect import flow, runtime

from softlaunch.flows.failures import fail_with_message
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.tasks import ledger, notices, reports, run_names, stages


def _run_name() -> str:
    return ledger.title(ReleaseRequest.model_validate(runtime.flow_run.parameters["request"]))


@flow(name="release", flow_run_name=_run_name)
@fail_with_message
def release(request: ReleaseRequest) -> ledger.Standing:
    """Walk one candidate through every stage; the first failed stage restores stable.

    A rejected or rolled-back candidate is a completed run: Prefect's state is that of the pipeline; the ledger holds
    that of the release. The state's message, the run's name and its tags tell the outcome. To cancel the run takes the
    candidate back.
    """
    return run_names.conclude(drive(ledger.open_release(request)))


@flow(name="resume-release", flow_run_name="{release_id}: go on")
@fail_with_message
def resume_release(release_id: str) -> ledger.Standing:
    """Resume a live release whose driver has stopped.

    Args:
        release_id: The release, such as support-bot-3; 'softlaunch release list' shows them.
    """
    return run_names.conclude(drive(release_id))


def drive(release_id: str) -> ledger.Standing:
    """Drive a release stage by stage until it is over, or until somebody else took it over."""
    token = ledger.acquire_lease(release_id)
    stage = ledger.standing(release_id)
    with notices.delivering():
        while stage.state.live:
            stages.run_stage(stage, token)
            following = ledger.standing(release_id)
            if following.position == stage.position and following.state.live:
                return following
            reports.publish_stage(release_id, stage.position)
            stage = following
        reports.publish_release(release_id)
    return stage
