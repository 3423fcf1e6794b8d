"""The prompt-drift flow, scheduled each month, and the step that a check proposes."""

from prefect import flow

from softlaunch.drift.judgement import Step
from softlaunch.flows.failures import fail_with_message
from softlaunch.flows.release import drive
from softlaunch.tasks import drift, ledger, notices


@flow(name="prompt-drift", flow_run_name="{app}: drift check")
@fail_with_message
def prompt_drift(app: str) -> str:
    """Compare what the production variant answers to the golden set now with its frozen baseline.

    The first check of an app freezes the baseline. People are notified of drift, with the step that is proposed.

    Args:
        app: The app, such as support-bot.
    """
    if drift.freeze_first(app):
        notices.deliver()
        return "the baseline was frozen; the next check compares with it"
    run = drift.check(app)
    drift.publish(run)
    notices.deliver()
    return run.summary


@flow(name="drift-next-step", flow_run_name="{app}: act on the drift check")
@fail_with_message
def drift_next_step(app: str, step: Step | None = None, actor: str = "prefect") -> str:
    """Take the next step that an app's newest drift check proposes, or another one.

    Args:
        app: The app, such as support-bot.
        step: Left out, what the check proposes: pin, roll_back or new_baseline.
        actor: Who wants it; kept in the ledger.
    """
    result = drift.act(app, step, actor)
    if result.request is not None:
        drive(ledger.open_release(result.request))
    notices.deliver()
    return result.message
