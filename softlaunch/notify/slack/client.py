"""Slack as a chat: one thread a release, its head updated in place."""

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.models.blocks import Block
from slack_sdk.web import SlackResponse

from softlaunch.core.incident_kinds import Severity
from softlaunch.core.logs import in_words
from softlaunch.ledger.notices import Event
from softlaunch.ledger.outbox import MessageRef
from softlaunch.notify.interface import NOWHERE, Chat, Envelope, ReceiverError, UnacceptableError
from softlaunch.notify.links import Links
from softlaunch.notify.slack.blocks import FALLBACK, context, words
from softlaunch.notify.slack.head import head_blocks, head_text
from softlaunch.notify.slack.messages import approval_blocks, blocks_of, fallback
from softlaunch.releases.views import ReleaseView

CALL_SECONDS = 10
_LOGGER = logging.getLogger(__name__)
_METADATA = "softlaunch_message"
_SKEW = timedelta(seconds=60)
_OURS_TO_MEND = frozenset(  # configuration: the message waits until somebody has mended it
    {
        "account_inactive",
        "channel_not_found",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "token_expired",
        "token_revoked",
        "restricted_action",
    }
)
_THEIRS = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
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

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:
        """A reply in the release's thread; a question or an urgent incident shows in the channel too."""
        notice = envelope.notice
        urgent = envelope.incident is not None and envelope.incident.severity is Severity.PAGE
        loud = notice.event is Event.ASKED or (notice.event is Event.OPENED and urgent)
        placed: dict[str, Any] = {"thread_ts": thread.name, "reply_broadcast": loud} if thread else {}
        said = fallback(envelope)
        return self._post(said, blocks_of(envelope, self.links), notice.key, thread.channel or self.channel, **placed)

    def show(self, view: ReleaseView, key: str, at: MessageRef) -> MessageRef:
        """Post the head, or update it; a head that somebody deleted is posted again."""
        said, blocks = words(head_text(view), FALLBACK), head_blocks(view, self.links)
        if at and self._update(at, said, blocks):
            return at
        return self._post(said, blocks, key, self.channel)

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
                found = _call(
                    self.client.conversations_replies,
                    channel=thread.channel,
                    ts=thread.name,
                    oldest=oldest,
                    include_all_metadata=True,
                    limit=200,
                )
            else:
                found = _call(
                    self.client.conversations_history,
                    channel=self.channel,
                    oldest=oldest,
                    include_all_metadata=True,
                    limit=200,
                )
        except _RefusedError as error:
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
            said = _call(self.client.chat_postMessage, blocks=[block.to_dict() for block in blocks], **plain)
        except _RefusedError as error:
            if error.code in _GONE:
                raise UnacceptableError(f"Slack refuses the message: {error.code}") from error
            _LOGGER.warning("Slack refuses the blocks of a message (%s); it is sent as text", error.code)
            try:
                said = _call(self.client.chat_postMessage, **plain)
            except _RefusedError as again:
                raise UnacceptableError(f"Slack refuses the message: {again.code}") from again
        return MessageRef(said["channel"], said["ts"])

    def _update(self, at: MessageRef, text: str, blocks: Sequence[Block]) -> bool:
        """Change a message; False when it is gone."""
        try:
            shown = [block.to_dict() for block in blocks]
            _call(self.client.chat_update, channel=at.channel, ts=at.name, text=text, blocks=shown)
        except _RefusedError as error:
            if error.code not in _GONE:
                _LOGGER.warning("Slack refuses to change a message: %s", error.code)
            return error.code not in _GONE
        return True


class _RefusedError(Exception):
    """Slack says no to this very call."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _call(method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
    """Call Slack; raises ReceiverError for what passes or has to be mended, _RefusedError for what never works."""
    try:
        return method(**arguments)
    except SlackApiError as error:
        raise _judged(error) from error
    except (SlackClientError, OSError, TimeoutError) as error:
        refused = isinstance(error, URLError) and isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
        raise ReceiverError(f"Slack can't be reached: {in_words(error)}", sure=refused) from error


def _judged(error: SlackApiError) -> Exception:
    response = error.response
    status = getattr(response, "status_code", 0)
    code = str(response.get("error") or status) if hasattr(response, "get") else str(response)
    if status == 429 or code == "ratelimited":
        wait = getattr(response, "headers", {}).get("Retry-After", "30")
        seconds = float(wait) if str(wait).isdigit() else 30.0
        return ReceiverError(f"Slack asks for {seconds:g} s of silence", sure=True, retry_after=seconds)
    if code in _OURS_TO_MEND:
        return ReceiverError(f"Slack says {code}; {_advice(code)}", sure=True)
    if code in _THEIRS or status >= 500 or code == str(status):
        return ReceiverError(f"Slack fails: {code}", sure=False)
    return _RefusedError(code)


def _advice(code: str) -> str:
    if code in {"channel_not_found", "not_in_channel", "is_archived"}:
        return "check 'slack.channel' in the policy, and invite the app to the channel"
    if code == "missing_scope":
        return "the app needs the scopes that 'softlaunch slack --manifest' prints"
    return "check SLACK_BOT_TOKEN"
