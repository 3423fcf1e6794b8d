"""Replies in a thread: what happened, an approval with its buttons, an incident with its links."""

from slack_sdk.models.blocks import Block, ButtonElement

from softlaunch.core.approvals import ApprovalState
from softlaunch.core.incident_kinds import Severity
from softlaunch.drift.judgement import Step
from softlaunch.ledger.approvals import Approval
from softlaunch.ledger.incidents import Recorded
from softlaunch.ledger.notices import Event
from softlaunch.ledger.outbox import Notice
from softlaunch.notify.interface import Envelope
from softlaunch.notify.links import Links
from softlaunch.notify.slack.blocks import (
    FALLBACK,
    SECTION,
    button,
    buttons,
    code,
    context,
    link,
    moment,
    opens,
    section,
    words,
)
from softlaunch.releases.wording import verdict_facts

APPROVE, REJECT = "softlaunch_approve", "softlaunch_reject"
STEPS = {
    Step.PIN: "Pin the model",
    Step.REFRESH: "Refresh the prompt",
    Step.ROLL_BACK: "Roll back",
    Step.NEW_BASELINE: "New baseline",
}
"""What the message of a drift check can start."""
OPEN_LINKS = ("softlaunch_open_runbook", "softlaunch_open_report", "softlaunch_open_run")
_MARKS = {
    ApprovalState.APPROVED: ":white_check_mark:",
    ApprovalState.REJECTED: ":no_entry:",
    ApprovalState.EXPIRED: ":hourglass:",
    ApprovalState.WITHDRAWN: ":wastebasket:",
}
_MARK_OF = {Severity.PAGE: ":rotating_light:", Severity.TICKET: ":ticket:"}


def fallback(envelope: Envelope) -> str:
    """The message in plain text: for notifications, and where blocks are refused."""
    return words(envelope.notice.text, FALLBACK)


def blocks_of(envelope: Envelope, links: Links) -> list[Block]:
    """The message as blocks."""
    notice = envelope.notice
    if notice.event is Event.ASKED and envelope.approval is not None:
        return approval_blocks(envelope.approval)
    if notice.event is Event.OPENED and envelope.incident is not None:
        return incident_blocks(envelope, envelope.incident, links)
    return [section(words(notice.text, SECTION)), *_written(notice)]


def approval_blocks(approval: Approval) -> list[Block]:
    """What is asked, with its buttons while it is pending; with the decision afterwards."""
    text = section(f":raised_hand: *{words(approval.text, 2500)}*")
    if approval.state is not ApprovalState.PENDING:
        why = f": {words(approval.reason, 500)}" if approval.reason else ""
        by = f" by {words(approval.decided_by, 200)}" if approval.decided_by else ""
        when = f" {moment(approval.decided_at)}" if approval.decided_at else ""
        return [text, context(f"{_MARKS[approval.state]} {approval.state}{by}{when}{why}")]
    meanwhile = "Nothing is deleted in the meantime." if approval.release_id is None else "The gates keep watching."
    until = f"Open until {moment(approval.expires_at)}; no answer counts as a refusal. {meanwhile}"
    row = buttons(
        button("Approve", APPROVE, str(approval.id), style="primary"),
        button("Reject", REJECT, str(approval.id), style="danger"),
    )
    return [text, context(until), *row]


def incident_blocks(envelope: Envelope, incident: Recorded, links: Links) -> list[Block]:
    """An incident: how urgent, what, the evidence, and where to go on."""
    mark = _MARK_OF[incident.severity]
    head = f"{mark} *{incident.kind.words}* ({incident.severity})\n{words(incident.summary, 2000)}"
    runbook = links.runbook(incident.kind)
    shown = [f"{key}: {code(str(value), 200)}" for key, value in _figures(incident)]
    row = opens("Runbook", OPEN_LINKS[0], runbook)
    paths = [] if row else [link("Runbook", runbook)]
    if incident.release_id is not None:
        report = links.report(incident.release_id)
        row += opens("Report", OPEN_LINKS[1], report)
        paths += [] if opens("", "", report) else [link("Report", report)]
    row += opens("Run in Prefect", OPEN_LINKS[2], envelope.run_url)
    blocks: list[Block] = [section(head)]
    if shown:
        blocks.append(context(("   " if incident.verdict is None else "\n").join(shown)))
    if paths:
        blocks.append(context("  ·  ".join(paths)))
    return [*blocks, *buttons(*row), *buttons(*_steps(incident)), *_written(envelope.notice)]


def step_action(step: Step) -> str:
    """The name of the button that starts a step."""
    return f"softlaunch_drift_{step}"


def _steps(incident: Recorded) -> list[ButtonElement]:
    """A button for each step that the evidence offers, what is proposed first."""
    offered = [Step(name) for name in incident.evidence.get("steps", ())]
    proposed = incident.evidence.get("step")
    return [
        button(STEPS[step], step_action(step), incident.evidence["check"], "primary" if step == proposed else None)
        for step in offered
    ]


def _figures(incident: Recorded) -> list[tuple[str, str | int]]:
    """A gate's figures in their units; elsewhere what of the evidence is short enough to be read on a phone."""
    if incident.verdict is not None:
        return [("gate", incident.verdict.name), *verdict_facts(incident.verdict)]
    plain = [(key, value) for key, value in incident.evidence.items() if isinstance(value, str | int | float)]
    return [(key.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else value) for key, value in plain][:8]


def _written(notice: Notice) -> list[Block]:
    """When it was written, which is not when it arrived where Slack was away meanwhile."""
    return [context(moment(notice.written_at))]
