"""What is recorded of a call, whatever becomes of it."""

import asyncio
import threading
import time
import urllib.error
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from softlaunch.client import App, Client, Variant
from softlaunch.core.request_ids import seal_of
from softlaunch.core.request_outcome import RequestOutcome
from tests.client.conftest import MakeClient
from tests.support.config_server import APP, ConfigServer, route
from tests.support.servers import wait_until


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    """A client of the server."""
    return make_client()


@pytest.fixture
def app(client: Client) -> App:
    """Its app."""
    return client.app(APP)


def told(client: Client, server: ConfigServer, count: int = 1) -> list[dict[str, Any]]:
    """What the server was told, once it was."""
    assert client.flush(10.0)
    wait_until(lambda: len(server.records) >= count, "the records are there")
    return server.records


def test_a_call_is_recorded(server: ConfigServer, client: Client, app: App) -> None:
    """Who, by which arm and route, how long, and what it took."""
    with app.variant(user="ann").call() as call:
        time.sleep(0.02)
        call.first_token()
        call.answered({"prompt_tokens": 12, "completion_tokens": 3}, "stop", text="Hi")
        call.measure(ticket_resolved=1.0)
    (record,) = told(client, server)
    assert record["latency_ms"] >= record["first_token_ms"] >= 20
    assert abs(record["started_at"] - time.time()) < 10
    fixed = {
        name: value for name, value in record.items() if name not in {"latency_ms", "first_token_ms", "started_at"}
    }
    assert fixed == {
        "id": call.id,
        "app": APP,
        "unit": "ann",
        "arm": "stable",
        "release_id": None,
        "stage": 0,
        "revision": 1,
        "variant": "stable-digest",
        "weight_percent": 0.0,
        "outcome": "answered",
        "status": 200,
        "input_tokens": 12,
        "output_tokens": 3,
        "cached_tokens": None,
        "cost_usd": None,
        "finish_reason": "stop",
        "values": {"ticket_resolved": 1.0},
    }


def test_the_id_is_sealed_as_a_gateways(app: App) -> None:
    """So feedback on it is taken as on a gateway's."""
    call = app.variant(user="ann").call()
    assert call.id.startswith(f"{APP}-")
    assert seal_of(call.id[:-10], "pepper", b"my-key") == call.id[-10:]
    call.finish()


class GoneError(Exception):
    """An HTTP package's exception, with a status."""

    def __init__(self, status_code: int, body: object = None) -> None:
        super().__init__(f"{status_code}")
        self.status_code, self.body = status_code, body


def of_httpx(status: int) -> httpx.HTTPStatusError:
    """As httpx raises it."""
    request = httpx.Request("POST", "http://model/v1")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(GoneError(500), "provider_failed", id="500"),
        pytest.param(GoneError(401), "provider_failed", id="a bad key"),
        pytest.param(GoneError(429), "rate_limited", id="429"),
        pytest.param(GoneError(429, {"code": "insufficient_quota"}), "provider_failed", id="no credit"),
        pytest.param(GoneError(400, {"message": "context length exceeded"}), "request_at_fault", id="too long"),
        pytest.param(of_httpx(503), "provider_failed", id="httpx and 503"),
        pytest.param(urllib.error.HTTPError("http://x", 502, "no", None, None), "provider_failed", id="urllib"),  # type: ignore[arg-type]
        pytest.param(TimeoutError(), "total_timeout", id="a timeout"),
        pytest.param(httpx.ReadTimeout("slow"), "total_timeout", id="httpx's timeout"),
        pytest.param(httpx.ConnectTimeout("slow"), "connect", id="no connection in time"),
        pytest.param(httpx.ConnectError("no"), "connect", id="httpx and no connection"),
        pytest.param(ConnectionResetError(), "connect", id="reset"),
        pytest.param(httpx.RemoteProtocolError("cut"), "cut", id="broken off"),
        pytest.param(ValueError("no JSON"), "malformed", id="an answer that is none"),
        pytest.param(KeyError("choices"), "malformed", id="an answer without choices"),
        pytest.param(asyncio.CancelledError(), "client_gone", id="cancelled"),
        pytest.param(KeyboardInterrupt(), "client_gone", id="interrupted"),
    ],
)
def test_what_an_exception_says(
    server: ConfigServer, client: Client, app: App, error: BaseException, outcome: str
) -> None:
    """The exception goes on to the application, and is recorded by what it means."""
    with pytest.raises(type(error)), app.variant(user="ann").call():
        raise error
    assert told(client, server)[0]["outcome"] == outcome


def test_what_breaks_behind_the_first_token_is_a_cut(server: ConfigServer, client: Client, app: App) -> None:
    """An answer that had begun broke off, whatever the reason; one that pauses for too long has its own name."""
    for error in (GoneError(500), httpx.ReadTimeout("slow")):
        call = app.variant(user="ann").call()
        call.first_token()
        with pytest.raises(type(error)), call:
            raise error
    assert [one["outcome"] for one in told(client, server, 2)] == ["cut", "idle_timeout"]


@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        pytest.param(lambda call: call.answered(finish_reason="length"), "truncated", id="cut short"),
        pytest.param(lambda call: call.answered(finish_reason="content_filter"), "filtered", id="filtered"),
        pytest.param(lambda call: call.answered(text="  "), "empty", id="no text"),
        pytest.param(lambda call: call.answered(outcome=RequestOutcome.INVALID), "invalid", id="by its own check"),
        pytest.param(lambda call: call.failed("malformed"), "malformed", id="as it says"),
        pytest.param(lambda call: None, "answered", id="nothing said"),
    ],
)
def test_what_the_application_says(
    server: ConfigServer, client: Client, app: App, say: Callable[[Any], None], outcome: str
) -> None:
    """An answer is judged by how it ended."""
    with app.variant(user="ann").call() as call:
        say(call)
    assert told(client, server)[0]["outcome"] == outcome


def test_an_error_behind_the_answer_is_the_applications(server: ConfigServer, client: Client, app: App) -> None:
    """What fails after the answer is there is no failure of the arm."""
    call = app.variant(user="ann").call()
    call.answered()
    with pytest.raises(ZeroDivisionError), call:
        raise ZeroDivisionError
    assert told(client, server)[0]["outcome"] == "answered"


def test_a_call_is_recorded_once(server: ConfigServer, client: Client, app: App) -> None:
    """Ending it again changes nothing."""
    with app.variant(user="ann").call() as call:
        call.finish()
    call.finish()
    assert len(told(client, server)) == 1


def test_an_arm_is_that_of_its_beginning(server: ConfigServer, client: Client, app: App) -> None:
    """A call that outlives its release is recorded by the route that it began under."""
    server.lease_left = 10.0
    server.say(weight_percent=100.0)
    wait_until(lambda: app.variant(user="ann").arm == "candidate", "the candidate is served")
    with app.variant(user="ann").call():
        server.say()
        wait_until(lambda: app.variant(user="ann").arm == "stable", "it is over")
    (record,) = told(client, server)
    assert (record["arm"], record["revision"], record["weight_percent"]) == ("candidate", 2, 100.0)


def test_feedback_is_sent_until_it_is_heard(server: ConfigServer, client: Client, app: App) -> None:
    """A rating that comes before its row is sent again."""
    server.not_yet = 2
    with app.variant(user="ann").call() as call:
        pass
    client.feedback(call.id, thumbs="up")
    wait_until(lambda: server.feedback != [], "the rating is heard")
    assert server.feedback == [{"request_id": call.id, "thumbs": "up"}]
    with pytest.raises(ValueError, match="exactly one"):
        client.feedback(call.id, thumbs="up", stars=3)


def test_an_outage_loses_nothing(server: ConfigServer, client: Client, app: App) -> None:
    """Calls go on while the server is away, and are all there afterwards."""
    server.status = 503
    ids = []
    for number in range(300):
        with app.variant(user=f"u{number}").call() as call:
            call.answered()
        ids.append(call.id)
    wait_until(lambda: client.problem != "", "the server is away")
    server.status = 0
    wait_until(lambda: len(server.ids) == 300, "all of them are there")
    assert sorted(server.ids) == sorted(ids)
    assert not client.lost


def test_calls_of_many_threads_are_all_there(server: ConfigServer, client: Client, app: App) -> None:
    """Eight threads, each call once."""

    def ask() -> None:
        for number in range(100):
            with app.variant(user=f"u{number}").call():
                pass

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(server.ids) == 800, "all of them are there")
    assert len(server.records) == 800


def test_copies_go_to_the_candidate(server: ConfigServer, client: Client, app: App) -> None:
    """A shadow stage: a sampled call is asked again of the candidate, behind the answer, and says of which call."""
    server.lease_left, asked = 10.0, []

    def replay(variant: Variant, request: Any) -> None:
        with variant.call() as call:
            asked.append((variant.model, variant.arm, request))
            call.answered()

    app.shadow(replay, allowed=True)
    server.say(**_shadowing(50.0))
    wait_until(lambda: app.candidate_allowed, "the shadow stage is known")
    for number in range(40):
        with app.variant(user=f"u{number}").call(f"question {number}"):
            pass
    wait_until(lambda: client.flush(0.1) and len(asked) >= 5, "copies are made")
    records = told(client, server, 45)
    copies = [one for one in records if one["arm"] == "shadow"]
    assert {one["copy_of"] for one in copies} <= {one["id"] for one in records if one["arm"] == "stable"}
    assert {(model, arm) for model, arm, _ in asked} == {("candidate", "shadow")}
    assert 5 <= len(copies) <= 35
    assert {one["variant"] for one in copies} == {"candidate-digest"}


def test_no_copies_where_texts_arent_kept(server: ConfigServer, app: App) -> None:
    """Unless somebody allows it, a policy that keeps no texts has none asked again."""
    server.lease_left, asked = 10.0, []
    app.shadow(lambda variant, request: asked.append(request))
    server.say(**_shadowing(100.0))
    wait_until(lambda: app.candidate_allowed, "the shadow stage is known")
    with app.variant(user="ann").call("question"):
        pass
    time.sleep(0.1)
    assert asked == []


def test_too_many_copies_are_left_out(server: ConfigServer, app: App) -> None:
    """Copies that find others waiting are counted, and hold up nobody."""
    server.lease_left, held = 10.0, threading.Event()
    app.shadow(lambda variant, request: held.wait(10.0), allowed=True)
    server.say(**_shadowing(100.0))
    wait_until(lambda: app.candidate_allowed, "the shadow stage is known")
    for number in range(100):
        with app.variant(user=f"u{number}").call("question"):
            pass
    assert app.copies_left_out >= 30
    held.set()


def _shadowing(percent: float) -> dict[str, Any]:
    return {**route(1.0), "weight_percent": 0.0, "shadow_percent": percent}
