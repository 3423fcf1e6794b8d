"""The webhook: signed, in a form that pagers read, and tried again when it should be."""

import hashlib
import hmac
from collections.abc import Callable

import httpx
import orjson
import pytest
from pydantic import SecretStr

from softlaunch.core.incident_kinds import IncidentKind, Severity
from softlaunch.core.live_metrics import Metric
from softlaunch.ledger.incidents import Recorded
from softlaunch.ledger.notices import Event
from softlaunch.ledger.outbox import MessageRef, Notice
from softlaunch.notify.interface import Envelope, ReceiverError, UnacceptableError
from softlaunch.notify.links import Links
from softlaunch.notify.webhook import SignedWebhook
from tests.support.builders import NOON

INCIDENT = Recorded(
    id=7,
    kind=IncidentKind.of_metric(Metric.LATENCY),
    severity=Severity.PAGE,
    app="support-bot",
    release_id="support-bot-3",
    dedup_key="support-bot-3:gate_latency",
    summary="latency: worse by 412 %",
    evidence={"harm": 4.1},
    seen=1,
    opened_at=NOON,
    updated_at=NOON,
    resolved_at=None,
    resolved_by="",
    resolution="",
)


def envelope(event: Event = Event.OPENED) -> Envelope:
    """The message of an incident."""
    notice = Notice(9, "support-bot", "support-bot-3", "webhook", event, {"incident": 7}, "text", NOON)
    return Envelope(notice, incident=INCIDENT, run_url="http://prefect.example/runs/1")


def webhook(answer: Callable[[httpx.Request], httpx.Response]) -> SignedWebhook:
    """A webhook whose receiver answers as told."""
    client = httpx.Client(transport=httpx.MockTransport(answer))
    links = Links("https://pages.example/runbooks", "https://pages.example/reports")
    return SignedWebhook(
        SecretStr("https://pager.example/hook"), SecretStr("s3cret"), SecretStr("R0UTE"), links, client, lambda: NOON
    )


@pytest.mark.parametrize(("event", "action"), [(Event.OPENED, "trigger"), (Event.RESOLVED, "resolve")])
def test_an_incident_is_told_in_a_form_that_pagers_read(event: Event, action: str) -> None:
    """Opening and resolving carry the same key, so that one closes the other; links lead to runbook, run and report."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    webhook(answer).post(envelope(event), MessageRef())
    (request,) = seen
    body = orjson.loads(request.content)
    assert (body["event_action"], body["dedup_key"]) == (action, "softlaunch:support-bot-3:gate_latency")
    assert (body["routing_key"], body["payload"]["severity"]) == ("R0UTE", "critical")
    assert body["payload"]["custom_details"]["harm"] == 4.1
    assert [link["href"] for link in body["links"]] == [
        "https://pages.example/runbooks/gate_latency.md",
        "http://prefect.example/runs/1",
        "https://pages.example/reports/support-bot-3.html",
    ]


def test_the_signature_can_be_checked_by_anybody_who_has_the_key() -> None:
    """Over the moment and the body; every attempt has the same delivery, so that it can be dropped."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    for _ in range(2):
        webhook(answer).post(envelope(), MessageRef())
    first, second = seen
    moment = first.headers["X-Softlaunch-Timestamp"]
    expected = hmac.new(b"s3cret", f"{moment}.".encode() + first.content, hashlib.sha256).hexdigest()
    assert first.headers["X-Softlaunch-Signature"] == f"v1={expected}"
    assert first.headers["X-Softlaunch-Delivery"] == second.headers["X-Softlaunch-Delivery"]


@pytest.mark.parametrize(
    ("status", "again"),
    [
        pytest.param(500, True, id="broken"),
        pytest.param(503, True, id="overloaded"),
        pytest.param(429, True, id="too many"),
        pytest.param(404, False, id="a wrong address"),
        pytest.param(401, False, id="a wrong key"),
    ],
)
def test_what_may_work_later_is_tried_later(status: int, again: bool) -> None:  # noqa: FBT001  (a parameter case)
    """What never will is given up; Retry-After is passed on."""
    hook = webhook(lambda _: httpx.Response(status, headers={"Retry-After": "9"}))
    with pytest.raises(ReceiverError if again else UnacceptableError, match=f"answers {status}") as raised:
        hook.post(envelope(), MessageRef())
    if isinstance(raised.value, ReceiverError):
        assert raised.value.retry_after == 9


def test_a_receiver_that_does_not_answer_may_have_heard(caplog: pytest.LogCaptureFixture) -> None:
    """So it is sent again as the same delivery; the address, which may hold a secret, is not in the message."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out", request=request)

    with pytest.raises(ReceiverError) as raised:
        webhook(answer).post(envelope(), MessageRef())
    assert not raised.value.sure
    assert "pager.example" not in str(raised.value) + caplog.text
