"""What a release leaves behind for people: artifacts in Prefect, pages in the reports folder."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact

from softlaunch.clock import utc_now
from softlaunch.reports.markdown import release_markdown, stage_markdown
from softlaunch.reports.pages import write_page
from softlaunch.settings import Settings
from softlaunch.store.tables import ReleaseRow
from softlaunch.views import ReleaseView, read_view
from tasks.ledger import ledger


@task(task_run_name="report stage {position}")
def publish_stage(release_id: str, position: int) -> None:
    """Show in Prefect what a stage compared and what came of it."""
    view = _view(release_id)
    stage = view.stages[position]
    create_markdown_artifact(
        key=f"{release_id}-{position}",
        markdown=stage_markdown(view, stage),
        description=f"{view.release.title}: {stage.stage.name} {stage.record.state}",
    )


@task(task_run_name="report the release")
def publish_release(release_id: str) -> Path:
    """Show in Prefect how the release went, and write its page; returns the page's path."""
    view = _view(release_id)
    create_markdown_artifact(
        key=release_id, markdown=release_markdown(view), description=f"{view.release.title}: {view.release.state}"
    )
    with ledger() as database:
        return write_page(database, view, Settings().reports_dir)


def _view(release_id: str) -> ReleaseView:
    with ledger() as database, database.read() as session:
        return read_view(session, session.get_one(ReleaseRow, release_id), utc_now())
