"""A/B tests: the list, one of them as it stands, its report, and the sheet that people read."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from sqlmodel import Session
from starlette.responses import FileResponse, HTMLResponse, Response

from softlaunch.ab.document import read_looks
from softlaunch.ab.views import TrialView
from softlaunch.catalog.variant_changes import diff_variants
from softlaunch.console.counting import counted_view, find_row
from softlaunch.console.pages import FILE_POLICY, AskingIn, Part, live_page, page, render
from softlaunch.console.queries.releases import list_page
from softlaunch.console.queries.trials import incidents_of, newest_analyses
from softlaunch.console.state import Console
from softlaunch.core.errors import NotFoundError
from softlaunch.policy.release import Kind
from softlaunch.reports.ab_page import render_trial, trial_context
from softlaunch.reports.change_words import show_change, show_range
from softlaunch.store.tables import ReleaseRow

router = APIRouter()


@router.get("/ab-tests")
def trials(
    asking: AskingIn,
    app: Annotated[str, Query(max_length=100)] = "",
    number: Annotated[int, Query(ge=1, le=1000, alias="page")] = 1,
) -> Response:
    """A/B tests of all apps, or of one, newest first."""
    with asking.console.database.read() as session:
        lines, more = list_page(session, app or None, None, number, Kind.AB_TEST)
        analyses = newest_analyses(session, [line.id for line in lines])
    words: dict[str, Any] = {"show_change": show_change, "show_range": show_range}
    return page(asking, "trials.html.j2", lines=lines, analyses=analyses, more=more, number=number, app=app, **words)


@router.get("/ab-tests/{trial_id}")
def trial(asking: AskingIn, trial_id: str) -> Response:
    """One test, live."""
    part = trial_part(asking.console, trial_id, may_act=asking.visitor.may_act)
    with asking.console.database.read() as session:
        release = _view(asking.console, session, trial_id)[0].view.release
    diffs = diff_variants(release.stable, release.candidate)
    return live_page(asking, "trial.html.j2", part, release=release, diffs=diffs)


def trial_part(console: Console, trial_id: str, *, may_act: bool) -> Part:
    """The key of the live part of a test's page, and what renders it. Raises NotFoundError when rendered."""

    def part() -> str:
        with console.database.read() as session:
            known, is_counted = _view(console, session, trial_id)
            incidents = incidents_of(session, trial_id)
        context = {"incidents": incidents, "is_counted": is_counted, "may_act": may_act, "now": console.clock()}
        has_sheet = _sheet_file(console, trial_id).is_file()
        return render("trial_live.html.j2", **trial_context(known), has_sheet=has_sheet, **context)

    return f"ab-tests/{quote(trial_id, safe='')}{'' if may_act else '?look=1'}", part


@router.get("/ab-tests/{trial_id}/report")
def report(asking: AskingIn, trial_id: str, download: bool = False) -> Response:  # noqa: FBT001  (a query of the address)
    """The report as one file that needs nothing from elsewhere."""
    with asking.console.database.read() as session:
        known, _ = _view(asking.console, session, trial_id)
    headers = {"Content-Security-Policy": FILE_POLICY}
    if download:
        headers["Content-Disposition"] = f'attachment; filename="{known.view.release.id}.html"'
    return HTMLResponse(render_trial(known), headers=headers)


@router.get("/ab-tests/{trial_id}/sheet")
def sheet(asking: AskingIn, trial_id: str) -> Response:
    """The sheet of paired answers, where somebody has had it written."""
    console = asking.console
    with console.database.read() as session:
        path = _sheet_file(console, _row(session, trial_id).id)
    if not path.is_file():
        raise NotFoundError(f"{trial_id} has no sheet here; 'softlaunch ab report APP --sheet' writes it")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": FILE_POLICY})


def _view(console: Console, session: Session, trial_id: str) -> tuple[TrialView, bool]:
    """A test as it stands, and whether its requests are counted already."""
    view, known = counted_view(console, session, _row(session, trial_id), console.clock())
    return TrialView(view, read_looks(session, trial_id)), known is not None


def _row(session: Session, trial_id: str) -> ReleaseRow:
    row = find_row(session, trial_id)
    if row.kind != Kind.AB_TEST:
        raise NotFoundError(f"{trial_id} is no A/B test; see the list of releases")
    return row


def _sheet_file(console: Console, trial_id: str) -> Path:
    return console.reports / f"{trial_id}-sheet.html"
