"""What a release leaves behind for people: artifacts in Prefect, pages in the reports folder."""

from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.notify.links import Links
from softlaunch.policy.release import Kind, StageKind
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.reports.markdown import release_markdown, stage_markdown, stage_table
from softlaunch.reports.pages import write_page
from softlaunch.store.tables import ReleaseRow
from softlaunch.tasks import ab_tests
from softlaunch.tasks.ledger import ledger
from softlaunch.tasks.progress import artifact_key


@task(task_run_name="Report stage {position} of {release_id}")
def publish_stage(release_id: str, position: int) -> None:
    """Show in Prefect what a stage compared and what came of it: a text, and the verdicts as a table."""
    view = _view(release_id)
    stage = view.stages[position]
    message = f"{view.release.title}: {stage.stage.name} {stage.record.state}"
    text = stage_markdown(view, stage, Links.of(Settings()))
    create_markdown_artifact(key=artifact_key(release_id, str(position)), markdown=text, description=message)
    if stage.verdicts:
        rows: list[dict[str, Any]] = [dict(row) for row in stage_table(stage)]
        create_table_artifact(
            key=artifact_key(release_id, str(position), "gates"), table=rows, description=f"{message}, gate by gate"
        )
    if stage.stage.kind is StageKind.EVAL:
        _write(view)  # before any user is at risk: a page takes its time, and watching must not wait for it


@task(task_run_name="Report how {release_id} went")
def publish_release(release_id: str) -> Path:
    """Show in Prefect how the release went, and write its page; returns the page's path."""
    view = _view(release_id)
    if view.release.kind is Kind.AB_TEST:
        return ab_tests.publish(release_id)
    text = release_markdown(view, Links.of(Settings()))
    create_markdown_artifact(
        key=artifact_key(release_id), markdown=text, description=f"{view.release.title}: {view.release.state}"
    )
    return _write(view)


def _write(view: ReleaseView) -> Path:
    with ledger() as database:
        return write_page(database, view, Settings().reports_dir)


def _view(release_id: str) -> ReleaseView:
    with ledger() as database, database.read() as session:
        return read_view(session, session.get_one(ReleaseRow, release_id), utc_now())
