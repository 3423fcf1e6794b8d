"""Both ways in from Slack: Socket Mode against a server on this machine, and signed HTTP; judged by slack_bolt."""

import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from slack_bolt import App, BoltRequest
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from softlaunch.core.clock import utc_now
from softlaunch.inbound.slack.clicks import CALLBACK, Clicks
from softlaunch.inbound.slack.endpoint import PATH, Interactions, build_endpoint
from softlaunch.inbound.slack.sockets import Seen, SocketListener
from softlaunch.ledger.replays import is_first
from softlaunch.notify.slack.client import SlackChat, web_client
from softlaunch.notify.slack.messages import APPROVE
from softlaunch.store.database import Database
from tests.notify.slack.slack_scene import asking, click, sender, submission
from tests.notify.slack.slack_server import FakeSlack
from tests.support.servers import wait_until

pytestmark = pytest.mark.long

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PAYLOAD = {"type": "block_actions", "actions": []}


class Heard:
    """Remembers payloads."""

    def __init__(self) -> None:
        self.payloads: list[Mapping[str, Any]] = []

    def __call__(self, payload: Mapping[str, Any]) -> None:
        """Take one."""
        self.payloads.append(payload)


@pytest.fixture
def heard() -> Heard:
    """What a handler was handed."""
    return Heard()


@pytest.fixture
def listening(slack: FakeSlack, heard: Heard) -> Iterator[SocketListener]:
    """A listener that is connected."""
    listener = SocketListener("xapp-test", web_client("xoxb-test", slack.api), heard)
    listener.start()
    wait_until(lambda: len(slack.sockets) == 1 and listener.connected, "the listener is connected")
    yield listener
    listener.stop()


def test_an_envelope_is_acknowledged_and_handed_on_once(
    slack: FakeSlack, heard: Heard, listening: SocketListener
) -> None:
    """Slack sends one again whose acknowledgement it missed: acknowledged again, not done again."""
    for envelope in ("e1", "e1", "e2"):
        slack.interact(envelope, {**PAYLOAD, "envelope": envelope})
    wait_until(lambda: len(slack.acknowledged) == 3 and len(heard.payloads) == 2, "all are acknowledged")
    assert sorted(slack.acknowledged) == ["e1", "e1", "e2"]
    assert sorted(str(payload["envelope"]) for payload in heard.payloads) == ["e1", "e2"]


def test_what_is_no_click_is_acknowledged_only(slack: FakeSlack, heard: Heard, listening: SocketListener) -> None:
    """Events of other kinds are none of ours."""
    slack.send({"type": "events_api", "envelope_id": "e1", "payload": {"event": {}}})
    slack.interact("e2", PAYLOAD)
    wait_until(lambda: len(slack.acknowledged) == 2, "both are acknowledged")
    wait_until(lambda: len(heard.payloads) == 1, "one is handed on")


@pytest.mark.slow
def test_it_connects_again_when_slack_asks_for_it(slack: FakeSlack, heard: Heard, listening: SocketListener) -> None:
    """Slack refreshes connections; what comes over the new one is heard."""
    slack.send({"type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "test"}})
    wait_until(lambda: len(slack.sockets) >= 2, "the listener connects again", 60)
    slack.interact("e1", PAYLOAD)
    wait_until(lambda: len(heard.payloads) == 1, "a click is heard", 60)


@pytest.mark.slow
def test_it_connects_again_when_the_connection_is_lost(
    slack: FakeSlack, heard: Heard, listening: SocketListener
) -> None:
    """Without a word from Slack."""
    slack.hang_up()
    wait_until(lambda: len(slack.sockets) >= 2, "the listener connects again", 60)
    slack.interact("e1", PAYLOAD)
    wait_until(lambda: len(heard.payloads) == 1, "a click is heard", 60)


def test_only_the_newest_keys_are_remembered() -> None:
    """Memory is bounded."""
    seen = Seen(most=2)
    assert [seen.first(key) for key in ("a", "b", "a", "c", "a")] == [True, True, False, True, True]


def signed(payload: Mapping[str, Any], *, secret: str = SECRET, age: int = 0) -> tuple[bytes, dict[str, str]]:
    """A request as Slack sends it, signed by the published rule and not by the library under test."""
    body = urlencode({"payload": orjson.dumps(payload).decode()}).encode()
    timestamp = str(int(time.time()) - age)
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return body, {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={digest}",
    }


def endpoint_on(database: Database, heard: Heard) -> TestClient:
    """An HTTP endpoint that remembers in a ledger."""
    return TestClient(build_endpoint(Interactions(SECRET, heard, lambda one: is_first(database, one, utc_now()))))


@pytest.fixture
def endpoint(database: Database, heard: Heard) -> Iterator[TestClient]:
    """The HTTP endpoint."""
    with endpoint_on(database, heard) as client:
        yield client


def test_a_signed_request_is_answered_and_handed_on(endpoint: TestClient, heard: Heard) -> None:
    """With an empty body, which closes a dialog."""
    body, headers = signed(PAYLOAD)
    answer = endpoint.post(PATH, content=body, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert heard.payloads == [PAYLOAD]


def test_a_request_that_is_sent_again_is_refused(endpoint: TestClient, heard: Heard) -> None:
    """Whoever recorded it can do nothing with it, not even within Slack's five minutes."""
    body, headers = signed(PAYLOAD)
    assert [endpoint.post(PATH, content=body, headers=headers).status_code for _ in range(3)] == [200, 409, 409]
    assert len(heard.payloads) == 1


def test_behind_a_balancer_it_is_refused_by_the_other_endpoint(
    endpoint: TestClient, database: Database, heard: Heard
) -> None:
    """The memory is in the ledger, so that one who replays a click gains nothing by reaching another process."""
    body, headers = signed(PAYLOAD)
    with endpoint_on(Database(str(database.url)), heard) as other:
        assert [one.post(PATH, content=body, headers=headers).status_code for one in (endpoint, other)] == [200, 409]
    assert len(heard.payloads) == 1


def test_without_the_ledger_a_request_is_refused(heard: Heard) -> None:
    """Whether it was sent before can't be told, and nothing could be decided either."""

    def gone(signature: str) -> bool:
        raise OperationalError("INSERT", signature, Exception("gone"))

    body, headers = signed(PAYLOAD)
    with TestClient(build_endpoint(Interactions(SECRET, heard, gone))) as client:
        assert client.post(PATH, content=body, headers=headers).status_code == 503
    assert heard.payloads == []


@pytest.mark.parametrize(
    "what", ["body", "signature", "secret", "old", "no signature", "no timestamp", "nonsense", "bytes"]
)
def test_a_request_that_slack_did_not_sign_is_refused(endpoint: TestClient, heard: Heard, what: str) -> None:
    """Nothing of it is handed on."""
    body, headers = signed(PAYLOAD, secret="other" if what == "secret" else SECRET, age=301 if what == "old" else 0)
    match what:
        case "body":
            body = body.replace(b"block", b"clock")
        case "signature":
            headers["X-Slack-Signature"] = "v0=" + "0" * 64
        case "no signature":
            del headers["X-Slack-Signature"]
        case "no timestamp":
            del headers["X-Slack-Request-Timestamp"]
        case "nonsense":
            headers["X-Slack-Request-Timestamp"] = "yesterday"
        case "bytes":
            headers["X-Slack-Signature"] = "v0=\xff\xfe"
    sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    assert endpoint.post(PATH, content=body, headers=sent).status_code == 401
    assert heard.payloads == []


def test_a_signed_request_without_a_payload_is_refused(endpoint: TestClient, heard: Heard) -> None:
    """As is one that is larger than Slack's ever are."""
    timestamp = str(int(time.time()))
    verifier = SignatureVerifier(SECRET)
    headers = {
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": verifier.generate_signature(timestamp=timestamp, body="payload=no") or "",
    }
    assert endpoint.post(PATH, content=b"payload=no", headers=headers).status_code == 400
    assert endpoint.post(PATH, content=b"x" * 600_000, headers=headers).status_code == 413
    assert heard.payloads == []


@pytest.fixture
def bolt(slack: FakeSlack) -> tuple[App, list[str]]:
    """Slack's own framework, configured with the same secret, listening for our buttons and our dialog."""
    client = WebClient("xoxb-test", base_url=slack.api)
    judge = App(client=client, signing_secret=SECRET, token_verification_enabled=False, process_before_response=True)
    judged: list[str] = []

    @judge.action(APPROVE)
    def pressed(ack: Any, action: Any, body: Any) -> None:
        ack()
        judged.append(f"{body['user']['id']} {action['action_id']} {action['value']}")

    @judge.view(CALLBACK)
    def submitted(ack: Any, view: Any) -> None:
        ack()
        judged.append(view["state"]["values"]["reason"]["reason"]["value"])

    return judge, judged


def test_slack_bolt_accepts_our_signatures_and_payloads(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks, bolt: tuple[App, list[str]]
) -> None:
    """Buttons and dialogs as we make them are what Slack's framework expects, and it accepts and refuses as we do."""
    judge, judged = bolt
    asking(database)
    sender(database, chat).run()
    press = click(slack, APPROVE)
    clicks.handle(press)
    for payload in (press, submission(slack, "fine")):
        body, headers = signed(payload)
        sent: dict[str, str | Sequence[str]] = {key: [value] for key, value in headers.items()}
        assert judge.dispatch(BoltRequest(body=body.decode(), headers=sent)).status == 200
        tampered = body.decode().replace("T0TEAM00", "T0OTHER0")
        assert judge.dispatch(BoltRequest(body=tampered, headers=sent)).status == 401
    assert judged == ["U0BEN000 softlaunch_approve 1", "fine"]


def test_a_click_over_a_socket_decides(database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks) -> None:
    """From the button to the ledger, with every envelope sent twice."""
    asking(database)
    sender(database, chat).run()
    listener = SocketListener("xapp-test", web_client("xoxb-test", slack.api), clicks.handle)
    listener.start()
    try:
        wait_until(lambda: bool(slack.sockets) and listener.connected, "the listener is connected")
        for _ in range(2):
            slack.interact("e1", click(slack, APPROVE))
        wait_until(lambda: len(slack.acknowledged) == 2 and bool(slack.called("views.open")), "the dialog opens")
        for _ in range(2):
            slack.interact("e2", submission(slack, "fine"))
        wait_until(lambda: bool(slack.called("chat.postEphemeral")), "the person is told")
        wait_until(lambda: len(slack.acknowledged) == 4, "every envelope is acknowledged")
    finally:
        listener.stop()
    assert len(slack.called("views.open")) == 1
    assert [said["text"][:9] for said in slack.called("chat.postEphemeral")] == ["approved:"]
