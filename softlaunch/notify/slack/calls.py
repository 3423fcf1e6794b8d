"""Calls of Slack's API, and what their errors mean."""

import socket
from collections.abc import Callable
from typing import Any
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from softlaunch.core.logs import in_words
from softlaunch.notify.interface import ReceiverError

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


class RefusedError(Exception):
    """Slack says no to this very call."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def call(method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
    """Call Slack; raises ReceiverError for what passes or has to be mended, RefusedError for what never works."""
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
    return RefusedError(code)


def _advice(code: str) -> str:
    if code in {"channel_not_found", "not_in_channel", "is_archived"}:
        return "check 'slack.channel' in the policy, and invite the app to the channel"
    if code == "missing_scope":
        return "the app needs the scopes that 'softlaunch slack --manifest' prints"
    return "check SLACK_BOT_TOKEN"
