"""What people do in Slack: press a button, give a reason. Both ways in, Socket Mode and HTTP, end here.

A click changes nothing yet: it opens a dialog, unless whoever clicked may not decide or comes too late, which they are
told and the ledger keeps. The dialog's submission decides, by the same function as everywhere.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from softlaunch.clock import utc_now
from softlaunch.driving.decision import Answer
from softlaunch.edges.chat.slack.head import ROLL_BACK
from softlaunch.edges.chat.slack.messages import APPROVE, REJECT
from softlaunch.edges.chat.slack.modal import CALLBACK, Intent, reason_dialog, reason_of
from softlaunch.edges.chat.slack.shapes import SECTION, words
from softlaunch.errors import SoftlaunchError
from softlaunch.people.answering import Answered, Reply, answer, object_to, object_to_taking_back, take_back
from softlaunch.people.approvers import Person
from softlaunch.people.matters import Matter, matter_of, of_release
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from softlaunch.store.questions import read_settled
from softlaunch.store.releases import read_release

_LOGGER = logging.getLogger(__name__)
_VERBS = {APPROVE: "Approve", REJECT: "Reject", ROLL_BACK: "Roll back"}
_SAID = {APPROVE: Answer.APPROVED, REJECT: Answer.REJECTED}
_GROUP_SECONDS = 60.0


@dataclass(slots=True)
class Clicks:
    """Handles what Slack sends when somebody interacts with a message; safe to be used by several threads."""

    database: Database
    client: WebClient
    _members: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, payload: Mapping[str, Any]) -> None:
        """Do what a payload asks for. What it isn't ours to answer is passed over; nothing is raised."""
        try:
            if payload.get("type") == "block_actions":
                for action in payload.get("actions", []):
                    if action.get("action_id") in _VERBS:
                        self._clicked(payload, action)
            elif payload.get("type") == "view_submission" and payload["view"].get("callback_id") == CALLBACK:
                self._submitted(payload)
        except SoftlaunchError as error:
            _LOGGER.warning("a click in Slack came to nothing: %s", error)
        except (KeyError, TypeError, ValueError):
            _LOGGER.warning("Slack sent what softlaunch doesn't understand", exc_info=True)

    def _clicked(self, payload: Mapping[str, Any], action: Mapping[str, Any]) -> None:
        container = payload.get("container", {})
        message = payload.get("message", {})
        channel = str(container.get("channel_id") or payload.get("channel", {}).get("id", ""))
        thread = str(message.get("thread_ts") or container.get("message_ts", ""))
        intent = Intent(str(action["action_id"]), str(action["value"]), channel, thread)
        text, matter, objection = self._look(intent, payload)
        if objection is not None:
            self._whisper(intent, payload["user"]["id"], objection.told)
            return
        verb = _VERBS[intent.does]
        dialog = reason_dialog(intent, verb, text, optional=intent.does == APPROVE)
        try:
            self.client.views_open(trigger_id=payload["trigger_id"], view=dialog)
        except (SlackClientError, OSError) as error:
            _LOGGER.warning("Slack opened no dialog: %s", error)
            hint = f"Slack opened no dialog ({error}); nothing was decided. Press again, or: {_by_hand(intent, matter)}"
            self._whisper(intent, payload["user"]["id"], hint)

    def _look(self, intent: Intent, payload: Mapping[str, Any]) -> tuple[str, Matter, Answered | None]:
        """What a click is about, and what speaks against it."""
        text, matter = self._about(intent)
        person = self._person(payload, matter.policy)
        with self.database.begin() as session:
            if intent.does == ROLL_BACK:
                return text, matter, object_to_taking_back(session, intent.about, person, utc_now())
            reply = Reply(matter.app, _SAID[intent.does], person, approval_id=int(intent.about))
            return text, matter, object_to(session, reply, utc_now())

    def _about(self, intent: Intent) -> tuple[str, Matter]:
        with self.database.read() as session:
            if intent.does == ROLL_BACK:
                release = read_release(session, intent.about)
                return f"Take back {release.title}? Stable serves everybody within a second.", of_release(release)
            asked = read_settled(session, int(intent.about), utc_now()).asked
            return asked.text, matter_of(session, asked)

    def _submitted(self, payload: Mapping[str, Any]) -> None:
        view = payload["view"]
        intent = Intent.load(view["private_metadata"])
        reason = reason_of(view.get("state", {}).get("values", {}))
        user = payload["user"]["id"]
        for one in self._decide(intent, payload, reason):
            self._whisper(intent, user, one.told)

    def _decide(self, intent: Intent, payload: Mapping[str, Any], reason: str) -> tuple[Answered, ...]:
        now = utc_now()
        _, matter = self._about(intent)
        person = self._person(payload, matter.policy)
        with self.database.begin() as session:
            if intent.does == ROLL_BACK:
                return (take_back(session, intent.about, person, reason or "rolled back from Slack", now),)
            reply = Reply(matter.app, _SAID[intent.does], person, reason, int(intent.about))
            return answer(session, reply, now)

    def _person(self, payload: Mapping[str, Any], policy: Policy) -> Person:
        """Who clicked. Slack is asked about groups only where a person isn't named themselves."""
        user = payload["user"]
        slack = str(user["id"])
        name = str(user.get("username") or user.get("name") or slack)
        if any(entry.slack == slack for entry in policy.approvers):
            return Person(name, "slack", slack)
        wanted = {entry.slack_group for entry in policy.approvers if entry.slack_group}
        return Person(name, "slack", slack, frozenset(group for group in wanted if slack in self._group(group)))

    def _group(self, group: str) -> frozenset[str]:
        """Who is in a user group, as Slack said within the last minute; nobody while it doesn't answer."""
        with self._lock:
            asked, members = self._members.get(group, (float("-inf"), frozenset()))
        if time.monotonic() - asked < _GROUP_SECONDS:
            return members
        try:
            members = frozenset(self.client.usergroups_users_list(usergroup=group)["users"])
        except (SlackClientError, OSError) as error:
            _LOGGER.warning("Slack doesn't say who is in the group %s, so nobody is: %s", group, error)
            return frozenset()
        with self._lock:
            self._members[group] = (time.monotonic(), members)
        return members

    def _whisper(self, intent: Intent, user: str, text: str) -> None:
        """Tell one person alone, beside the message that they clicked."""
        try:
            self.client.chat_postEphemeral(
                channel=intent.channel, user=user, text=words(text, SECTION), thread_ts=intent.thread or None
            )
        except (SlackClientError, OSError) as error:
            _LOGGER.warning("Slack delivered no answer to %s: %s", user, error)


def _by_hand(intent: Intent, matter: Matter) -> str:
    command = {APPROVE: "approve", REJECT: "reject", ROLL_BACK: "rollback"}[intent.does]
    number = f" --question {intent.about}" if matter.release_id is None else ""
    return f"softlaunch {command} {matter.app}{number} --reason '...'"
