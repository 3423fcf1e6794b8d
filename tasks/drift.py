"""Drift checks, as flows use them."""

from typing import Any

from prefect import Task, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State, TaskRun

from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.drift.check import check_drift, freeze_baseline
from softlaunch.drift.judgement import Step
from softlaunch.drift.next_step import StepResult
from softlaunch.drift.next_step import act as do
from softlaunch.drift.runs import DriftRun, find_baseline
from softlaunch.ledger.releases import Actor
from softlaunch.reports.drift_page import drift_markdown, write_drift_page
from softlaunch.tasks.ledger import ledger
from softlaunch.tasks.progress import artifact_key

_BY = "prompt-drift flow"


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001  (Prefect's signature)
    """Whether trying again may help: what a person must mend is still there half a minute later."""
    return not isinstance(state.data, SoftlaunchError)


_AGAIN: dict[str, Any] = {"retries": 2, "retry_delay_seconds": 30, "retry_condition_fn": _may_pass}


@task(task_run_name="Freeze a baseline of {app} if there is none", **_AGAIN)
def freeze_first(app: str) -> bool:
    """Freeze a baseline where an app has none yet; returns whether that was so. Goes on with one that was begun."""
    with ledger() as database:
        with database.read() as session:
            if find_baseline(session, app) is not None:
                return False
        freeze_baseline(database, app, _BY, utc_now())
        return True


@task(task_run_name="Check {app} against its baseline", **_AGAIN)
def check(app: str) -> DriftRun:
    """Ask the golden set and compare; a retry resumes after what was answered."""
    with ledger() as database:
        return check_drift(database, app, _BY, utc_now())


@task(task_run_name="Report {run.id}")
def publish(run: DriftRun) -> None:
    """Show in Prefect what the check found, and write its page."""
    create_markdown_artifact(
        key=artifact_key(run.id), markdown=drift_markdown(run.app, run.report), description=f"{run.app}: {run.summary}"
    )
    write_drift_page(run.app, run.id, run.report, run.ended_at or run.opened_at, Settings().reports_dir)


@task(task_run_name="Do what the newest check of {app} proposes")
def act(app: str, step: Step | None, actor: str) -> StepResult:
    """Pin, roll back or freeze a new baseline."""
    with ledger() as database:
        return do(database, app, step, Actor(actor, "prefect"), utc_now())
