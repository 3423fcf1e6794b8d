"""Pages in the reports folder: one file a release, and one for its eval."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from sqlmodel import Session, col, select

from softlaunch.core.arms import ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.core.private_files import private_folder, private_opener
from softlaunch.core.resources import find_resource
from softlaunch.evals.regression import RegressionEval
from softlaunch.policy.release import Release
from softlaunch.releases.observe import eval_order
from softlaunch.releases.views import ReleaseView, deciding_verdicts
from softlaunch.reports.eval_page import render_eval
from softlaunch.reports.release_page import Link, render_release
from softlaunch.reports.similarity_words import show_agreement, show_shadow
from softlaunch.shadow.golden_agreement import read_agreement
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalAnswerRow, IncidentRow


def write_page(database: Database, view: ReleaseView, folder: Path) -> Path:
    """Write the page of a release, and that of its eval where it has finished; returns the release's.

    May be called at any time and as often as one likes: a page is replaced as a whole, never seen half written.
    """
    private_folder(folder)
    with database.read() as session:
        kinds = _incidents(session, view)
        answered = _has_answers(session, view.release.id)
        golden = show_agreement(read_agreement(session, view.release.id))
    eval_page, eval_note = _write_eval(database, view.release, folder) if answered else (None, "")
    page = render_release(
        view,
        eval_page=eval_page,
        eval_note=eval_note,
        agreement=" ".join(filter(None, [*(show_shadow(view, stage) for stage in view.stages), golden])),
        runbooks=[_runbook(kind, folder) for kind in kinds],
    )
    return write_whole(folder / f"{view.release.id}.html", page)


def write_whole(path: Path, text: str) -> Path:
    """Put a file for its owner alone in the place of what was there, at once; nothing is left behind if that fails."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "x", encoding="utf-8", errors="backslashreplace", opener=private_opener) as file:
            file.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _write_eval(database: Database, release: Release, folder: Path) -> tuple[str | None, str]:
    """Write the eval's page from the stored answers; returns its address, or None and why there is no page.

    A golden set that has changed since can't explain the answers any more: a page from before then stays as it is.
    """
    page = folder / f"{release.id}-eval.html"
    try:
        report = RegressionEval(database).work(eval_order(release), 0).report
    except SoftlaunchError as error:
        return (page.name, "") if page.is_file() else (None, f"There is no page of the eval: {error}")
    if report is None:
        return None, "The eval was not finished, so there is no page of it."
    title = f"{release.app}, release {release.id}"
    text = render_eval(report, title, ByArm(candidate=release.candidate.label, stable=release.stable.label))
    return write_whole(page, text).name, ""


def _has_answers(session: Session, run_id: str) -> bool:
    return session.exec(select(EvalAnswerRow.run_id).where(EvalAnswerRow.run_id == run_id).limit(1)).first() is not None


def _incidents(session: Session, view: ReleaseView) -> Sequence[IncidentKind]:
    """The incidents of a release, and the kinds of the gates that stopped it before there could be any."""
    rows = select(IncidentRow.kind).where(IncidentRow.release_id == view.release.id).order_by(col(IncidentRow.id))
    opened = [IncidentKind(kind) for kind in session.exec(rows)]
    judged = [Metric.named(verdict.gate) for verdict in deciding_verdicts(view)]
    failed = [IncidentKind.of_metric(metric) for metric in judged if metric is not None]
    return list(dict.fromkeys([*opened, *failed]))


def _runbook(kind: IncidentKind, folder: Path) -> Link:
    """The kind's page, linked where it lies beside the reports."""
    page = find_resource(kind.runbook)
    return Link(kind.runbook, None if page is None else Path(os.path.relpath(page, folder)).as_posix())
