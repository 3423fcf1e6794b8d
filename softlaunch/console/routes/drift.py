"""Drift: every app's newest check, one app over the months, and the report of a check."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, Response

from softlaunch.console.pages import FILE_POLICY, AskingIn, page
from softlaunch.console.queries.drift import list_drift, read_check, read_drift
from softlaunch.drift.judgement import Cause, Step
from softlaunch.drift.notices import in_words
from softlaunch.reports.drift_history import PastCheck, check_plots, week_plots
from softlaunch.reports.drift_page import render_drift
from softlaunch.reports.drift_words import show_title
from softlaunch.store.tables import DriftRunRow

router = APIRouter()


@router.get("/drift")
def drift(
    asking: AskingIn,
    q: Annotated[str, Query(max_length=100)] = "",
    number: Annotated[int, Query(ge=1, le=1000, alias="page")] = 1,
) -> Response:
    """All apps with their newest checks."""
    with asking.console.database.read() as session:
        lines, more = list_drift(session, q.strip(), number)
    return page(asking, "drift_list.html.j2", lines=lines, more=more, number=number, named=q)


@router.get("/apps/{name}/drift")
def app_drift(asking: AskingIn, name: str) -> Response:
    """One app: its metrics over the checks, its live traffic by week, every check, and incidents."""
    with asking.console.database.read() as session:
        known = read_drift(session, name)
    checks = [PastCheck(run.ended_at or run.opened_at, run.report) for run in known.checks]
    newest = known.checks[-1] if known.checks else None
    return page(
        *(asking, "app_drift.html.j2"),
        name=name,
        known=known,
        newest=newest,
        told=None if newest is None else _told(newest),
        metrics=check_plots(checks, known.policy),
        weeks=week_plots(checks),
    )


@router.get("/drift/{check_id}")
def check(asking: AskingIn, check_id: str) -> Response:
    """The report of a check as one file."""
    with asking.console.database.read() as session:
        row = read_check(session, check_id)
        html = render_drift(row.app, row.id, row.report, row.ended_at or row.opened_at)
    return HTMLResponse(html, headers={"Content-Security-Policy": FILE_POLICY})


def _told(run: DriftRunRow) -> tuple[str, str, str, str]:
    """Tone and title of a check, what it points to, and what to do next; empty where the report doesn't say."""
    report = {"cause": Cause.NONE, "step": Step.NOTHING, "drifted": False, **run.report}
    cause, step = in_words(Cause(report["cause"]), Step(report["step"]))
    tone = "fail" if report["drifted"] else "pass" if report.get("clear", True) else "waiting"
    return tone, show_title(report), cause, step
