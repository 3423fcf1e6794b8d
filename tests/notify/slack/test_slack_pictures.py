"""Messages as they look: every kind of them is pinned, as the blocks that Slack gets and as a page to look at."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from slack_sdk.models.blocks import Block

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.inbound.slack.clicks import Intent, reason_dialog
from softlaunch.ledger.approvals import Approval
from softlaunch.ledger.incidents import Recorded
from softlaunch.ledger.notices import Event
from softlaunch.ledger.outbox import Notice
from softlaunch.ledger.stages import figures
from softlaunch.notify.interface import Envelope
from softlaunch.notify.slack.head import head_blocks
from softlaunch.notify.slack.messages import APPROVE, approval_blocks, blocks_of
from softlaunch.policy.release import State
from tests.notify.slack.block_kit import page
from tests.notify.slack.slack_scene import LINKS
from tests.support.builders import NOON
from tests.support.release_views import MET, SLOW, make_view, rolled_back

PINNED = Path(__file__).parent / "messages.json"
ASKED = Approval(
    "support-bot-1", 2, ApprovalKind.ENTER_STAGE, "canary 5 % passed. Start canary 50 %?", NOON + timedelta(hours=12), 7
)


def notice(event: Event, text: str) -> Notice:
    """A message of the release."""
    return Notice(3, "support-bot", "support-bot-1", "release:support-bot-1", event, {}, text, NOON)


FIGURES = {"gate": "latency", "reason": MET[1].reason, **figures(MET[1])}
DRIFT = {"check": "support-bot-drift-2", "cause": "model", "step": "pin", "steps": ["pin", "new_baseline"]}


def incident(kind: IncidentKind, summary: str, evidence: dict[str, Any] = FIGURES) -> Envelope:
    """The message of an incident."""
    key = f"support-bot-1:{kind}"
    told = Recorded(
        4, kind, kind.severity, "support-bot", "support-bot-1", key, summary, evidence, 1, NOON, NOON, None, "", ""
    )
    return Envelope(notice(Event.OPENED, summary), incident=told, run_url="https://prefect.example/runs/flow-run/1")


def decided(state: ApprovalState, by: str = "", reason: str = "") -> list[Block]:
    """An approval that is not pending any more."""
    return approval_blocks(
        replace(ASKED, state=state, decided_by=by, reason=reason, decided_at=NOON + timedelta(minutes=5))
    )


MESSAGES = {
    "head of a live release": head_blocks(make_view(State.CANARY, 3), LINKS),
    "head of a release that was rolled back": head_blocks(rolled_back(), LINKS),
    "head of a release whose users came back": head_blocks(rolled_back(MET), LINKS),
    "head of a promoted release": head_blocks(make_view(), LINKS),
    "reply": blocks_of(Envelope(notice(Event.SAID, "support-bot: canary 5 % starts (shadow passed).")), LINKS),
    "question": approval_blocks(ASKED),
    "question, approved": decided(ApprovalState.APPROVED, "anna, ben", "the figures are fine"),
    "question, rejected": decided(ApprovalState.REJECTED, "ben", "too slow for the evening"),
    "question, expired": decided(ApprovalState.EXPIRED, reason="nobody answered in time"),
    "question, withdrawn": decided(ApprovalState.WITHDRAWN, reason="the release is rolled_back"),
    "incident to page for": blocks_of(
        incident(
            IncidentKind.of_metric(Metric.LATENCY),
            "support-bot: support@1.1.0 on steady was rolled back at canary 50 %. latency: worse by 391 %, more than "
            "the acceptable 10 %.",
        ),
        LINKS,
    ),
    "incident of an older ledger": blocks_of(
        incident(
            IncidentKind.of_metric(Metric.LATENCY), "support-bot: rolled back.", {"gate": "latency", **figures(SLOW)}
        ),
        LINKS,
    ),
    "incident for a ticket": blocks_of(
        incident(
            IncidentKind.APPROVAL_EXPIRED,
            "support-bot: nobody answered the question at canary 5 % in time.",
            {"stage": "canary 5 %", "question": "enter_stage"},
        ),
        LINKS,
    ),
    "incident of drift": blocks_of(
        incident(
            IncidentKind.PROMPT_DRIFT,
            "support-bot: accuracy fell from 91.7 % to 61.7 % against the baseline of 2026-03-01. Then and now: "
            "accuracy 91.7 -> 61.7 %, rubric 88.0 -> 87.5 %. The golden set moved with the same variant: it points to "
            "the model behind it. Pin the dated model that answered then: 'softlaunch drift act support-bot'.",
            DRIFT,
        ),
        LINKS,
    ),
    "dialog": reason_dialog(Intent(APPROVE, "7", "C0RELEASES", "1.2"), "Approve", ASKED.text, optional=True).blocks,
}


def as_sent(blocks: Any) -> list[dict[str, Any]]:
    """Blocks as Slack gets them; the models check its limits on the way."""
    return [block.to_dict() for block in blocks]


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_look_as_they_were_looked_at(name: str, tmp_path: Path) -> None:
    """After a wanted change: run with SOFTLAUNCH_PIN=1, look at the page that is written beside, and commit both."""
    sent = {one: as_sent(blocks) for one, blocks in MESSAGES.items()}
    if os.environ.get("SOFTLAUNCH_PIN"):
        PINNED.write_bytes(orjson.dumps(sent, option=orjson.OPT_INDENT_2) + b"\n")
        PINNED.with_suffix(".html").write_text(page(sent), encoding="utf-8")
    pinned = orjson.loads(PINNED.read_bytes())
    assert set(pinned) == set(sent)
    assert orjson.loads(orjson.dumps(sent[name])) == pinned[name]


def test_the_page_to_look_at_shows_what_is_pinned() -> None:
    """So that a picture that was looked at is one of what is sent."""
    assert page(orjson.loads(PINNED.read_bytes())) == PINNED.with_suffix(".html").read_text(encoding="utf-8")
