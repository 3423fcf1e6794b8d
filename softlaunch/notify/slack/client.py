"""Slack as a chat: one thread a release, its head updated in place."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from slack_sdk import WebClient
from slack_sdk.models.blocks import Block

from softlaunch.core.incident_kinds import Severity
from softlaunch.ledger.notices import Event
from softlaunch.ledger.outbox import MessageRef
from softlaunch.notify.interface import NOWHERE, Chat, Envelope, UnacceptableError
from softlaunch.notify.links import Links
from softlaunch.notify.plot import DecisivePlot
from softlaunch.notify.slack.blocks import FALLBACK, context, words
from softlaunch.notify.slack.calls import RefusedError, call
from softlaunch.notify.slack.head import head_blocks, head_text
from softlaunch.notify.slack.messages import approval_blocks, blocks_of, fallback
from softlaunch.notify.slack.pictures import shared_picture
from softlaunch.releases.views import ReleaseView

CALL_SECONDS = 10
FILES = "files:write"
"""The scope that plots need, and nothing else."""
_LOGGER = logging.getLogger(__name__)
_METADATA = "softlaunch_message"
_SKEW = timedelta(seconds=60)
_PAUSES = (1.0, 2.0)
_GONE = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})


def web_client(token: str, api_url: str) -> WebClient:
    """A client that never waits long and never retries by itself: the outbox does."""
    return WebClient(token, base_url=api_url, timeout=CALL_SECONDS, retry_handlers=[])


@dataclass(frozen=True, slots=True)
class SlackChat(Chat):
    """A channel in Slack."""

    client: WebClient
    channel: str
    links: Links = field(default_factory=Links)
    threads: bool = True
    files: dict[str, str] = field(default_factory=dict)
    """Ids of the plots that are in their threads, by name; empty where Slack takes none."""

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:
        """A reply in the release's thread; a question or an urgent incident shows in the channel too."""
        notice = envelope.notice
        urgent = envelope.incident is not None and envelope.incident.severity is Severity.PAGE
        loud = notice.event is Event.ASKED or (notice.event is Event.OPENED and urgent)
        placed: dict[str, Any] = {"thread_ts": thread.name, "reply_broadcast": loud} if thread else {}
        said = fallback(envelope)
        return self._post(said, blocks_of(envelope, self.links), notice.key, thread.channel or self.channel, **placed)

    def show(self, view: ReleaseView, key: str, at: MessageRef, plot: DecisivePlot | None) -> MessageRef:
        """Post the head, or update it; a head that somebody deleted is posted again."""
        said, blocks = words(head_text(view), FALLBACK), head_blocks(view, self.links)
        picture = shared_picture(self.client, plot, at, self.files) if at and plot is not None else None
        if picture is not None and self._show_with(at, said, head_blocks(view, self.links, [picture])):
            return at
        if at and self._update(at, said, blocks):
            return at
        return self._post(said, blocks, key, self.channel)

    def _show_with(self, at: MessageRef, said: str, blocks: Sequence[Block]) -> bool:
        """Change a head to one with a picture, which Slack knows only after some seconds; False where it doesn't."""
        for pause in (*_PAUSES, None):
            try:
                self._change(at, said, blocks)
            except RefusedError as error:
                if error.code in _GONE or pause is None:
                    _LOGGER.warning("Slack doesn't show the plot at the head of a thread: %s", error.code)
                    return False
                time.sleep(pause)
            else:
                return True
        return False

    def close(self, envelope: Envelope, at: MessageRef) -> None:
        """Show the answer where the buttons were; of two people, the first one's beside the buttons."""
        if envelope.approval is None:
            return
        noted = [context(fallback(envelope))] if envelope.notice.event is Event.NOTED else []
        blocks = approval_blocks(envelope.approval)
        self._update(at, words(envelope.approval.text, FALLBACK), [*blocks[:1], *noted, *blocks[1:]])

    def find(self, key: str, thread: MessageRef, since: datetime) -> MessageRef:
        """Look for a message by the key in its metadata; a token that may not read can't say, so it is sent again."""
        oldest = str((since - _SKEW).timestamp())
        try:
            if thread:
                found = call(
                    self.client.conversations_replies,
                    channel=thread.channel,
                    ts=thread.name,
                    oldest=oldest,
                    include_all_metadata=True,
                    limit=200,
                )
            else:
                found = call(
                    self.client.conversations_history,
                    channel=self.channel,
                    oldest=oldest,
                    include_all_metadata=True,
                    limit=200,
                )
        except RefusedError as error:
            _LOGGER.warning("Slack can't be asked whether a message arrived (%s); it is sent again", error.code)
            return NOWHERE
        for message in found.get("messages") or []:
            if (message.get("metadata") or {}).get("event_payload", {}).get("key") == key:
                return MessageRef(thread.channel or self.channel, message["ts"])
        return NOWHERE

    def _post(self, text: str, blocks: Sequence[Block], key: str, channel: str, **placed: Any) -> MessageRef:
        metadata = {"event_type": _METADATA, "event_payload": {"key": key}}
        plain = {"channel": channel, "text": text, "metadata": metadata, "unfurl_links": False, **placed}
        try:
            said = call(self.client.chat_postMessage, blocks=[block.to_dict() for block in blocks], **plain)
        except RefusedError as error:
            if error.code in _GONE:
                raise UnacceptableError(f"Slack refuses the message: {error.code}") from error
            _LOGGER.warning("Slack refuses the blocks of a message (%s); it is sent as text", error.code)
            try:
                said = call(self.client.chat_postMessage, **plain)
            except RefusedError as again:
                raise UnacceptableError(f"Slack refuses the message: {again.code}") from again
        return MessageRef(said["channel"], said["ts"])

    def _update(self, at: MessageRef, text: str, blocks: Sequence[Block]) -> bool:
        """Change a message; False when it is gone."""
        try:
            self._change(at, text, blocks)
        except RefusedError as error:
            if error.code not in _GONE:
                _LOGGER.warning("Slack refuses to change a message: %s", error.code)
            return error.code not in _GONE
        return True

    def _change(self, at: MessageRef, text: str, blocks: Sequence[Block]) -> None:
        shown = [block.to_dict() for block in blocks]
        call(self.client.chat_update, channel=at.channel, ts=at.name, text=text, blocks=shown)
