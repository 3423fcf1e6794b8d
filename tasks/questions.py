"""What waits for a person, where Prefect's UI shows it: an artifact, and the page of the deployment that decides."""

import logging
from datetime import datetime
from pathlib import Path

import yaml
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.actions import DeploymentUpdate
from sqlmodel import Session, col, select

from softlaunch.core.approvals import ApprovalState
from softlaunch.core.clock import utc_now
from softlaunch.core.formatting import show_moment
from softlaunch.core.resources import find_resource
from softlaunch.core.visible import one_line
from softlaunch.ledger.approvals import Approval, to_approval
from softlaunch.store.tables import ApprovalRow, ReleaseRow
from softlaunch.tasks.ledger import ledger
from softlaunch.tasks.runs import asking

_LOGGER = logging.getLogger(__name__)
_DEPLOYMENT = "decide-approval/decide-approval"
_KEY = "open-questions"
_MOST = 50


def publish_questions() -> None:
    """Show what is open; a Prefect that doesn't answer is left alone, for nothing waits for this."""
    with ledger() as database, database.read() as session:
        text = write_questions(open_questions(session, utc_now()))
    with asking(lambda said: _LOGGER.debug("%s", said), "doesn't show what is open") as client:
        create_markdown_artifact(key=_KEY, markdown=text, description="What waits for a person")
        deployment = client.read_deployment_by_name(_DEPLOYMENT)
        client.update_deployment(deployment.id, DeploymentUpdate(description=f"{_description()}\n\n{text}"))


def open_questions(session: Session, now: datetime) -> list[tuple[str, Approval]]:
    """The approvals that wait for a person, each with its app, the one that expires first first."""
    rows = session.exec(
        select(ApprovalRow)
        .where(ApprovalRow.state == ApprovalState.PENDING, col(ApprovalRow.expires_at) > now)
        .order_by(col(ApprovalRow.expires_at))
        .limit(_MOST)
    )
    found = [(_app(session, row), to_approval(row, now)) for row in rows]
    return [(app, one) for app, one in found if one.state is ApprovalState.PENDING]


def write_questions(questions: list[tuple[str, Approval]]) -> str:
    """What is open as Markdown, with what to fill in."""
    if not questions:
        return "Nothing waits for a person."
    lines = ["| app | question | asked | expires (UTC) |", "| --- | --- | --- | --- |"]
    for app, one in questions:
        number = "" if one.release_id else str(one.id)
        asked = one_line(one.text).replace("|", "\\|")
        lines.append(f"| {app} | {number} | {asked} | {show_moment(one.expires_at)} |")
    return "\n".join(["**Open now**", "", *lines])


def _app(session: Session, row: ApprovalRow) -> str:
    release = None if row.release_id is None else session.get(ReleaseRow, row.release_id)
    return row.app if release is None else release.app


def _description() -> str:
    """What the deployment says by itself, as it was deployed."""
    file = find_resource("deployments/prefect.yaml")
    deployments = [] if file is None else yaml.safe_load(Path(file).read_text(encoding="utf-8"))["deployments"]
    return next((one["description"].strip() for one in deployments if one["name"] == "decide-approval"), "")
