"""A drift check as a page, and as the text of a Prefect artifact, from its report as the ledger keeps it."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from softlaunch.core.private_files import private_folder
from softlaunch.drift.judgement import Cause, Step
from softlaunch.drift.notices import in_words
from softlaunch.reports.band_plot import Mark, Point, band_plot
from softlaunch.reports.drift_words import show_metric_change, show_metric_name, show_metric_value, show_title
from softlaunch.reports.html import page_environment
from softlaunch.reports.pages import write_whole

Document = Mapping[str, Any]
_RUNBOOK = "runbooks/prompt_drift.md"


def write_drift_page(app: str, check_id: str, document: Document, checked_at: datetime, folder: Path) -> Path:
    """Write the page of a check into the reports folder; it may be written as often as one likes."""
    private_folder(folder)
    return write_whole(folder / f"{check_id}.html", render_drift(app, check_id, document, checked_at))


def render_drift(app: str, check_id: str, document: Document, checked_at: datetime) -> str:
    """The page as one HTML document without anything outside of it; equal reports make equal pages."""
    cause, step = in_words(Cause(document["cause"]), Step(document["step"]))
    return (
        page_environment()
        .get_template("drift.html.j2")
        .render(
            app=app,
            check_id=check_id,
            checked_at=checked_at,
            report=document,
            cause=cause,
            step=step,
            tone="fail" if document["drifted"] else "pass" if document.get("clear", True) else "waiting",
            title=show_title(document),
            plots=[(trend["metric"], _plot(trend)) for trend in document["trends"]],
            runbook=_RUNBOOK,
            show_metric_value=show_metric_value,
            show_metric_change=show_metric_change,
        )
    )


def _plot(trend: Mapping[str, Any]) -> Markup:
    points = [Point(week["begins_at"], week["low"], week["mean"], week["high"]) for week in trend["weeks"]]
    change = trend["change"]
    events = [] if change is None else [Mark(change["begins_at"], "another level from here", "event")]
    return band_plot(points, title=f"{trend['metric']} by week", events=events)


def drift_markdown(app: str, document: Mapping[str, Any]) -> str:
    """What has drifted, what it points to, what to do next, and every metric."""
    cause, step = in_words(Cause(document["cause"]), Step(document["step"]))
    lines = [f"# {app}: {show_title(document).lower()}", f"**{document['summary']}**"]
    if cause:
        lines += ["", cause]
    if step:
        lines += ["", f"Next: {step}: `softlaunch drift act {app}`, or the deployment `drift-next-step`."]
    lines += ["", "| metric | then | now | change |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {show_metric_name(one)} | {show_metric_value(one, one['then'])} | {show_metric_value(one, one['now'])} | "
        f"{show_metric_change(one)} |"
        for one in document["metrics"]
    ]
    lines += ["", *(f"- {one['weight']}: {one['sentence']}" for one in document["remarks"])]
    return "\n".join(lines)
