"""What people do in Slack: press a button, give a reason in a dialog. Both ways in, Socket Mode and HTTP, end here.

A click changes nothing yet: it opens a dialog, unless whoever clicked may not decide or comes too late, which they are
told and the ledger keeps. The dialog's submission decides, by the same function as everywhere. What takes long is done
beside, so that the next click, which may be a rollback, is heard.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError
from slack_sdk.models.blocks import InputBlock, PlainTextInputElement
from slack_sdk.models.views import View

from softlaunch.approvals.deciding import DecisionResult
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.approvals.subjects import Subject
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.inbound.slack.buttons import BUTTONS, Work
from softlaunch.ledger.notices import Message, notify
from softlaunch.notify.slack.blocks import SECTION, clip, section, words
from softlaunch.policy.model import Policy
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.database import Database

_LOGGER = logging.getLogger(__name__)
_GROUP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody is about to decide: `does` names the button, `about` its question or release."""

    does: str
    about: str
    channel: str
    thread: str

    def dump(self) -> str:
        """As the dialog carries it."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def load(cls, text: str) -> "Intent":
        """What a dialog carried."""
        return cls(**orjson.loads(text))


@dataclass(slots=True)
class Clicks:
    """Handles what Slack sends when somebody interacts with a message; safe to be used by several threads.

    `launch` drives a release that comes of a click, or has it driven; without it, it is opened and left to reconcile.
    """

    database: Database
    client: WebClient
    launch: Callable[[ReleaseRequest], None] | None = None
    _members: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, payload: Mapping[str, Any]) -> None:
        """Do what a payload asks for. What it isn't ours to answer is passed over; nothing is raised."""
        try:
            if payload.get("type") == "block_actions":
                for action in payload.get("actions", []):
                    if action.get("action_id") in BUTTONS:
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
        text, subject, objection = self._look(intent, payload)
        if objection is not None:
            self._whisper(intent, payload["user"]["id"], objection.message)
            return
        button = BUTTONS[intent.does]
        dialog = reason_dialog(intent, button.verb, text, optional=button.optional)
        try:
            self.client.views_open(trigger_id=payload["trigger_id"], view=dialog)
        except (SlackClientError, OSError) as error:
            _LOGGER.warning("Slack opened no dialog: %s", error)
            command = button.by_hand(intent.about, subject)
            hint = f"Slack didn't open the dialog ({error}); nothing was decided. Click again, or run: {command}"
            self._whisper(intent, payload["user"]["id"], hint)

    def _look(self, intent: Intent, payload: Mapping[str, Any]) -> tuple[str, Subject, DecisionResult | None]:
        """What a click is about, and what speaks against it."""
        button, now = BUTTONS[intent.does], utc_now()
        with self.database.read() as session:
            text, subject = button.about(session, intent.about, now)
        person = self._person(payload, subject.policy)
        with self.database.begin() as session:
            return text, subject, button.check(session, intent.about, person, now)

    def _submitted(self, payload: Mapping[str, Any]) -> None:
        view = payload["view"]
        intent = Intent.load(view["private_metadata"])
        button, now, user = BUTTONS[intent.does], utc_now(), payload["user"]["id"]
        reason = reason_of(view.get("state", {}).get("values", {}))
        with self.database.read() as session:
            _, subject = button.about(session, intent.about, now)
        person = self._person(payload, subject.policy)
        with self.database.begin() as session:
            results = button.decide(session, intent.about, person, reason, now)
        for one in results:
            self._whisper(intent, user, one.message)
        work = button.work(subject.app, person)
        if work is not None and any(one.result is VoteResult.DECIDED for one in results):
            threading.Thread(target=self._do, args=(intent, user, person, subject.app, work), daemon=True).start()

    def _do(self, intent: Intent, user: str, person: Person, app: str, work: Work) -> None:
        """Do what was decided, and send the result to who wanted it; what came to nothing goes to everybody."""
        try:
            acted = work(self.database, utc_now())
            self._whisper(intent, user, f"{acted.message}.")
            if acted.request is None:
                return
            if self.launch is None:
                open_release(self.database, acted.request, utc_now())
            else:
                self.launch(acted.request)
        except SoftlaunchError as error:
            text = f"{app}: what {person.actor} requested failed: {error}"
            self._whisper(intent, user, f"That didn't work: {error}")
            with self.database.begin() as session:
                notify(session, Message(app, None, text), utc_now())

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


CALLBACK = "softlaunch_decide"
_REASON = "reason"
_LONGEST = 500


def reason_dialog(intent: Intent, verb: str, text: str, *, optional: bool) -> View:
    """A dialog titled by what is decided, with the question and a field for the reason."""
    field = PlainTextInputElement(action_id=_REASON, multiline=True, max_length=_LONGEST, focus_on_load=True)
    return View(
        type="modal",
        callback_id=CALLBACK,
        title=clip(verb, 24),
        submit=clip(verb, 24),
        close="Cancel",
        private_metadata=intent.dump(),
        blocks=[
            section(words(text, 2500)),
            InputBlock(
                block_id=_REASON,
                label="Why? It is kept in the ledger, and shown in the thread.",
                element=field,
                optional=optional,
            ),
        ],
    )


def reason_of(state: dict[str, dict[str, dict[str, str | None]]]) -> str:
    """What was written into the field."""
    return (state.get(_REASON, {}).get(_REASON, {}).get("value") or "").strip()[:_LONGEST]
