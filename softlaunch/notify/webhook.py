"""Incidents as signed HTTP requests, in the form of PagerDuty's events (common event format), which many tools read.

The signature is HMAC-SHA256 of `<timestamp>.<body>` under the shared key, as `v1=<hex>` in `X-Softlaunch-Signature`;
the timestamp (epoch seconds) is in `X-Softlaunch-Timestamp`, and `X-Softlaunch-Delivery` is the same in every attempt.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from softlaunch.core.clock import utc_now
from softlaunch.core.incident_kinds import Severity
from softlaunch.ledger.notices import Event
from softlaunch.ledger.outbox import MessageRef
from softlaunch.notify.interface import NOWHERE, Envelope, Receiver, ReceiverError, UnacceptableError
from softlaunch.notify.links import Links, is_address

_SECONDS = 10.0
_CLASSES = {Severity.PAGE: "critical", Severity.TICKET: "warning"}
_AGAIN = frozenset({408, 409, 423, 425, 429})


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What `X-Softlaunch-Signature` must be."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class SilentWebhook(Receiver):
    """Where no webhook is configured: nothing is sent."""

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:  # noqa: ARG002  (part of the interface)
        """Nothing."""
        return NOWHERE

    def find(self, key: str, thread: MessageRef, since: datetime) -> MessageRef:  # noqa: ARG002  (part of the interface)
        """Nowhere."""
        return NOWHERE


@dataclass(frozen=True, slots=True)
class SignedWebhook(Receiver):
    """Posts every opening and resolving of an incident. Whoever listens drops what they have had, by its delivery."""

    url: SecretStr
    secret: SecretStr
    routing_key: SecretStr | None = None
    links: Links = field(default_factory=Links)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=_SECONDS))
    clock: Callable[[], datetime] = utc_now

    def post(self, envelope: Envelope, thread: MessageRef) -> MessageRef:  # noqa: ARG002  (part of the interface)
        """Send one event. A status of 4xx means never, except for those that ask to come again."""
        body = orjson.dumps(self._event(envelope))
        timestamp = int(self.clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            "X-Softlaunch-Timestamp": str(timestamp),
            "X-Softlaunch-Signature": signature(self.secret.get_secret_value(), timestamp, body),
            "X-Softlaunch-Delivery": envelope.notice.key,
        }
        try:
            answer = self.client.post(self.url.get_secret_value(), content=body, headers=headers)
        except httpx.HTTPError as error:
            sure = isinstance(error, httpx.ConnectError)
            raise ReceiverError(f"the webhook can't be reached: {type(error).__name__}", sure=sure) from error
        if answer.is_success:
            return NOWHERE
        said = f"the webhook answers {answer.status_code}"
        if answer.is_client_error and answer.status_code not in _AGAIN:
            raise UnacceptableError(f"{said}; check SOFTLAUNCH_WEBHOOK_URL and SOFTLAUNCH_WEBHOOK_SECRET")
        wait = answer.headers.get("Retry-After", "")
        raise ReceiverError(said, sure=True, retry_after=float(wait) if wait.isdigit() else None)

    def find(self, key: str, thread: MessageRef, since: datetime) -> MessageRef:  # noqa: ARG002  (part of the interface)
        """Nobody can be asked: the event is sent again, with the same delivery."""
        return NOWHERE

    def _event(self, envelope: Envelope) -> dict[str, Any]:
        incident = envelope.incident
        if incident is None:
            raise UnacceptableError("only incidents go to the webhook")
        shown = [("Runbook", self.links.runbook(incident.kind)), ("Run", envelope.run_url)]
        if incident.release_id is not None:
            shown.append(("Report", self.links.report(incident.release_id)))
        event: dict[str, Any] = {
            "event_action": "resolve" if envelope.notice.event is Event.RESOLVED else "trigger",
            "dedup_key": f"softlaunch:{incident.dedup_key}",
            "client": "softlaunch",
            "links": [{"href": href, "text": text} for text, href in shown if is_address(href)],
            "payload": {
                "summary": incident.summary[:1024],
                "source": incident.app or "softlaunch",
                "severity": _CLASSES[incident.severity],
                "timestamp": incident.opened_at.isoformat(),
                "component": incident.release_id or incident.app,
                "class": incident.kind,
                "custom_details": {
                    "incident": incident.id,
                    "runbook": self.links.runbook(incident.kind),
                    "resolution": incident.resolution,
                    **incident.evidence,
                },
            },
        }
        if self.routing_key is not None:
            event["routing_key"] = self.routing_key.get_secret_value()
        return event
