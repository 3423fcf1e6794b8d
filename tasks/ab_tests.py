"""A/B tests, as flows use them."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact

from softlaunch.ab.opening import TrialRequest
from softlaunch.ab.opening import open_trial as open_in_ledger
from softlaunch.ab.planning import planned_duration
from softlaunch.ab.views import TrialView, read_trial
from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.reports.ab_page import trial_markdown, trial_title, write_trial_page
from softlaunch.store.tables import ReleaseRow
from softlaunch.tasks.ledger import ledger
from softlaunch.tasks.progress import artifact_key


@task(task_run_name="Open an A/B test of {request.app}")
def open_trial(request: TrialRequest) -> str:
    """Open a test, as long as its plan says, and take its app's lock; returns its id."""
    now = utc_now()
    with ledger() as database:
        return open_in_ledger(database, request, planned_duration(database, request, now.timestamp()), now)


@task(task_run_name="Report how {trial_id} went")
def publish_trial(trial_id: str) -> Path:
    """Show in Prefect how the test went, and write its page; returns the page's path."""
    return publish(trial_id)


def publish(trial_id: str) -> Path:
    """The same within another task: a test that was resumed is reported like the release it is in the ledger."""
    trial = _view(trial_id)
    create_markdown_artifact(
        key=artifact_key(trial_id),
        markdown=trial_markdown(trial),
        description=f"{trial.view.release.title}: {trial_title(trial)}",
    )
    return write_trial_page(trial, Settings().reports_dir)


def _view(trial_id: str) -> TrialView:
    with ledger() as database, database.read() as session:
        return read_trial(session, session.get_one(ReleaseRow, trial_id), utc_now())
