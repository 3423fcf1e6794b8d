"""The flow that decides an approval, as `softlaunch approve` and `reject` do."""

from prefect import flow, runtime

from softlaunch.approvals.requests import DecisionRequest
from softlaunch.flows.failures import fail_with_message
from softlaunch.tasks import ledger, notices, questions


def _run_name() -> str:
    request = DecisionRequest.model_validate(runtime.flow_run.parameters["request"])
    return f"{request.app}: {request.decision}"


@flow(name="decide-approval", flow_run_name=_run_name)
@fail_with_message
def decide_approval(request: DecisionRequest) -> list[str]:
    """Decide the pending approval of a live release or of a cleanup; returns those that were decided.

    The first valid answer counts, wherever it comes from, and a rollback beats every approval. What is open is shown on
    the page of this deployment, and by the artifact open-questions.
    """
    try:
        answered = ledger.decide(request)
    finally:
        questions.publish_questions()
    notices.deliver()
    return answered
