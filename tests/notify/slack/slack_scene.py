"""A release that speaks Slack, and what people do there, as Slack sends it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import col, select

from softlaunch.core.clock import utc_now
from softlaunch.notify.delivery import Sender
from softlaunch.notify.interface import Chat, Receiver
from softlaunch.notify.links import Links
from softlaunch.notify.webhook import SilentWebhook
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, VoteRow
from tests.notify.slack.slack_server import CHANNEL, FakeSlack
from tests.support.builders import Scene, make_policy

LINKS = Links("https://pages.example/runbooks", "https://pages.example/reports")
BRIEF = {"minimum_time": 5, "minimum_requests": 20, "deadline": 600}
ASKING: dict[str, Any] = {
    "stages": [{"weight_percent": 10, **BRIEF}, {"weight_percent": 100, "approval": True, **BRIEF}],
    "chat": "slack",
    "slack": {"channel": CHANNEL},
    "approvers": [{"name": "ben", "slack": "U0BEN000"}, {"slack_group": "S0ONCALL"}],
}


@dataclass
class SlackDesk:
    """Everybody reads one channel."""

    people: Chat

    def chat(self, policy: Policy | None) -> Chat:
        """The channel."""
        return self.people

    def webhook(self) -> Receiver:
        """Nobody."""
        return SilentWebhook()


def asking(database: Database, **changes: Any) -> Scene:
    """A release, started by anna a few minutes ago, that asks whether to go on."""
    scene = Scene.opened(database, make_policy(**{**ASKING, **changes}))
    scene.clock.now = utc_now() - timedelta(minutes=5)

    def asked(_: Release) -> bool:
        with database.read() as session:
            return session.exec(select(ApprovalRow.id)).first() is not None

    scene.drive_until(asked)
    return scene


def votes(database: Database) -> list[tuple[str, str, str]]:
    """The audit: who said what, and what became of it."""
    with database.read() as session:
        rows = session.exec(select(VoteRow).order_by(col(VoteRow.id)))
        return [(row.person, row.said, row.ruling) for row in rows]


def whispers(slack: FakeSlack) -> list[str]:
    """What single people were told."""
    return [said["text"] for said in slack.called("chat.postEphemeral")]


def sender(database: Database, chat: Chat, clock: Callable[[], Any] = utc_now) -> Sender:
    """Sends to the channel."""
    return Sender(database, SlackDesk(chat), clock)


def click(slack: FakeSlack, action: str, user: str = "U0BEN000", name: str = "benny") -> Mapping[str, Any]:
    """The payload of pressing a button, as Slack sends it, for the newest message that has it."""
    message, found = next(
        (message, element)
        for message in reversed(slack.messages)
        for block in message.get("blocks", [])
        if block["type"] == "actions"
        for element in block["elements"]
        if element["action_id"] == action
    )
    return {
        "type": "block_actions",
        "team": {"id": "T0TEAM00", "domain": "test"},
        "user": {"id": user, "username": name, "name": name, "team_id": "T0TEAM00"},
        "api_app_id": "A0APP000",
        "token": "unused",
        "container": {"type": "message", "message_ts": message["ts"], "channel_id": CHANNEL, "is_ephemeral": False},
        "trigger_id": "1.2.3",
        "channel": {"id": CHANNEL, "name": "releases"},
        "message": {
            "type": "message",
            "ts": message["ts"],
            "thread_ts": message.get("thread_ts"),
            "text": message["text"],
        },
        "response_url": f"{slack.url}/response",
        "actions": [{**found, "block_id": "b", "type": "button", "action_ts": "1.0"}],
    }


def submission(slack: FakeSlack, reason: str, user: str = "U0BEN000", name: str = "benny") -> Mapping[str, Any]:
    """The payload of submitting the dialog that was opened last."""
    view = slack.called("views.open")[-1]["view"]
    return {
        "type": "view_submission",
        "team": {"id": "T0TEAM00", "domain": "test"},
        "user": {"id": user, "username": name, "name": name, "team_id": "T0TEAM00"},
        "view": {
            **view,
            "id": "V1",
            "hash": "h",
            "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}},
        },
    }
