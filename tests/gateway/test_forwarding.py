"""Headers that pass a gateway, up and down, and those that don't."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from multidict import CIMultiDict

from softlaunch.core.variant import ModelVersion
from softlaunch.gateway.forwarding import Told, content_type_of, request_headers, response_headers
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MODEL = ModelVersion(name="m", provider="p", model="m", endpoint="http://x/v1")


def test_what_goes_up() -> None:
    """Traces, OpenAI's own, ids and the key against repetition; nothing that is the client's affair with us."""
    client = {
        b"traceparent": TRACE,
        b"tracestate": b"a=1",
        b"baggage": b"k=v",
        b"openai-organization": b"org-1",
        b"openai-project": b"proj-1",
        b"openai-beta": b"x=y",
        b"idempotency-key": b"k1",
        b"x-request-id": b"r1",
        b"x-client-request-id": b"c1",
        b"x-stainless-retry-count": b"2",
        b"authorization": b"Bearer ours",
        b"api-key": b"ours",
        b"x-api-key": b"ours",
        b"cookie": b"c=1",
        b"host": b"gateway",
        b"content-length": b"7",
        b"content-encoding": b"gzip",
        b"accept-encoding": b"br",
        b"x-forwarded-for": b"10.0.0.1",
        b"x-user-id": b"ann",
        b"user-agent": b"mine",
    }
    sent = {name.lower(): value for name, value in request_headers(MODEL, client, {}).items()}
    passed = {name.decode(): value.decode() for name, value in client.items() if name in list(client)[:10]}
    assert sent.pop("user-agent").startswith("softlaunch/")
    assert sent == {**passed, "content-type": "application/json", "accept": "*/*", "accept-encoding": "identity"}


@pytest.mark.parametrize("value", [b"\xff\xfe", b"a\x00b", b"a\x7f", b"caf\xc3\xa9", b"", b"  "])
def test_what_is_no_text_does_not_go_up(value: bytes) -> None:
    """A header that can't be sent is left out, and fails nothing."""
    assert "traceparent" not in request_headers(MODEL, {b"traceparent": value}, {})


def test_the_models_headers_win() -> None:
    """What was released is what is sent."""
    asked = ModelVersion.model_validate(
        {**MODEL.model_dump(), "api_key_env": "K", "headers": {"OpenAI-Organization": "ours", "user-agent": "us"}}
    )
    sent = request_headers(asked, {b"openai-organization": b"theirs"}, {"K": "key"})
    assert (sent["openai-organization"], sent["user-agent"]) == ("ours", "us")
    assert {name.lower() for name in sent} == set(sent)
    assert sent["authorization"] == "Bearer key"


def test_what_comes_down() -> None:
    """Limits, ids and when to try again; once each, and nothing about the provider's connection or account."""
    provider = [
        (b"X-RateLimit-Remaining-Tokens", b"42"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
        (b"anthropic-ratelimit-requests-remaining", b"1"),
        (b"Retry-After", b" 7 "),
        (b"retry-after", b"8"),
        (b"retry-after-ms", b"6500"),
        (b"x-should-retry", b"true"),
        (b"x-request-id", b"req_1"),
        (b"apim-request-id", b"a-1"),
        (b"openai-processing-ms", b"12"),
        (b"openai-organization", b"our-org"),
        (b"set-cookie", b"c=1"),
        (b"content-encoding", b"br"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"3"),
        (b"server", b"x"),
        (b"x-softlaunch-arm", b"candidate"),
    ]
    assert response_headers(provider) == [
        (b"x-ratelimit-remaining-tokens", b"42"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
        (b"anthropic-ratelimit-requests-remaining", b"1"),
        (b"retry-after", b"7"),
        (b"retry-after-ms", b"6500"),
        (b"x-should-retry", b"true"),
        (b"x-request-id", b"req_1"),
        (b"apim-request-id", b"a-1"),
        (b"openai-processing-ms", b"12"),
    ]


@pytest.mark.parametrize("value", [b"\xff\xfe", b"7\x00", b"7\r\nx: y", b"\x1b[31m7", b"sieben \xc3\xbc"])
def test_raw_bytes_do_not_come_down(value: bytes) -> None:
    """They would mean nothing to a client, or too much."""
    assert response_headers([(b"Retry-After", value)]) == []
    assert content_type_of([(b"Content-Type", value)]) == b"application/json"


def test_whose_request_id_it_is() -> None:
    """The provider's stays the provider's; ours is there by its own name in any case."""
    told = Told("bot-1", "abc", None)
    always = b"x-softlaunch-request-id: bot-1\r\nx-softlaunch-variant: abc\r\n"
    assert told.lines([]) == always + b"x-request-id: bot-1\r\n"
    assert told.lines([(b"x-request-id", b"req_1")]) == always
    assert b"x-softlaunch-arm: stable\r\n" in Told("bot-1", "abc", "stable").lines([])


UP = {"traceparent": TRACE.decode(), "Idempotency-Key": "k1", "OpenAI-Organization": "org-1"}


def ask(world: World, *, stream: bool = False) -> httpx.Response:
    """One request with a client's headers."""
    body = {"model": APP, "user": "ann", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    return world.client.post("/v1/chat/completions", json=body, headers={**UP, "Authorization": "Bearer client"})


@contextmanager
def keyed(ledger_url: str, models: FakeModels, *, stable: str = "", candidate: str = "") -> Iterator[World]:
    """A world whose stable variant needs a key in a header of its own."""
    headers = {"api-key": {"env": "AZURE_KEY"}, "api-version": "2024-06-01"}
    models.faults.update({"stable": stable, "candidate": candidate})
    with running_world(
        ledger_url,
        models,
        stable=variant("stable", f"{models.endpoint}?api-version=1", headers=headers),
        environment={"AZURE_KEY": "azure"},
    ) as world:
        yield world


@pytest.mark.parametrize("stream", [False, True])
def test_headers_of_a_good_answer(ledger_url: str, models: FakeModels, *, stream: bool) -> None:
    """Up go the client's and the model's, down the provider's, in a stream too."""
    models.answer_headers = {"x-ratelimit-remaining-requests": "9", "x-request-id": "req_1", "Set-Cookie": "c=1"}
    with keyed(ledger_url, models) as world:
        response = ask(world, stream=stream)
    (sent,) = (CIMultiDict(one) for one in models.headers)
    assert {name: sent.get(name) for name in UP} == UP
    assert (sent["api-key"], sent["api-version"], sent.get("Authorization")) == ("azure", "2024-06-01", None)
    assert response.headers["x-ratelimit-remaining-requests"] == "9"
    assert response.headers.get_list("x-request-id") == ["req_1"]
    assert response.headers["x-softlaunch-request-id"].startswith(APP)
    assert "set-cookie" not in response.headers


def test_the_key_against_repetition_goes_with_the_first_call_alone(ledger_url: str, models: FakeModels) -> None:
    """A fallback and a copy are other requests on the same account; they are traced all the same."""
    with keyed(ledger_url, models, candidate="500") as world:
        world.split(100.0, control_percent=100.0)
        with world.watched():
            assert ask(world).is_success
            world.rows(2)
    asked = zip(models.bodies, models.headers, strict=True)
    keys = [(body["model"], CIMultiDict(sent).get("Idempotency-Key")) for body, sent in asked]
    assert keys[:2] == [("candidate", "k1"), ("stable", None)]
    assert {key for _, key in keys[1:]} == {None}
    assert {sent["traceparent"] for sent in models.headers} == {UP["traceparent"]}


def test_a_missing_variable_is_named(ledger_url: str, models: FakeModels) -> None:
    """A key in a header that the environment lacks is our fault, not the client's, and says which."""
    stable = variant("stable", models.endpoint, headers={"api-key": {"env": "NO_SUCH_KEY"}})
    with running_world(ledger_url, models, stable=stable, environment={}) as world:
        response = world.ask("ann")
    assert response.status_code == 502
    assert "no key for model stable: set the variable NO_SUCH_KEY" in response.json()["error"]["message"]
