"""HTTP as clients really speak it: compression, slashes, HEAD, OPTIONS, web pages, other names for a key, proxies."""

import gzip
import http.client
import json
from collections.abc import Iterator

import httpx
import pytest

from softlaunch.core.errors import SoftlaunchError
from softlaunch.gateway.cors import Cors, checked_origin
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

BODY = {"model": APP, "user": "ann", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/v1/chat/completions"
PAGE = "https://chat.example.com"


def raw(world: World, method: str, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """A request without a client's conveniences; the whole connection's bytes were read when it returns."""
    connection = http.client.HTTPConnection(world.url.removeprefix("http://"), timeout=20)
    connection.request(method, path, headers=headers or {})
    response = connection.getresponse()
    response.text = response.read()  # type: ignore[attr-defined]  # kept for whoever reads it later
    connection.close()
    return response


def test_compressed_requests(world: World) -> None:
    """The provider gets them plain; what is too large or in an unknown encoding is refused in words."""
    packed = gzip.compress(json.dumps(BODY).encode())
    answered = world.client.post(CHAT, content=packed, headers={"Content-Encoding": "gzip"})
    assert answered.status_code == 200
    assert world.models.bodies[0]["messages"][-1] == BODY["messages"][0]
    assert "Content-Encoding" not in world.models.headers[0]
    bomb = gzip.compress(bytes(50_000_000))
    assert world.client.post(CHAT, content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413
    unknown = world.client.post(CHAT, content=packed, headers={"Content-Encoding": "lzma"})
    assert (unknown.status_code, "br" in unknown.headers["accept-encoding"]) == (415, True)
    rated = gzip.compress(
        json.dumps({"request_id": answered.headers["x-softlaunch-request-id"], "thumbs": "up"}).encode()
    )
    assert world.client.post("/v1/feedback", content=rated, headers={"Content-Encoding": "gzip"}).status_code == 202


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1//chat/completions", "//v1/chat/completions//"])
def test_slashes_do_not_matter(world: World, path: str) -> None:
    """A base URL with a slash at its end is no reason for a 404."""
    assert world.client.post(httpx.URL(world.url).copy_with(raw_path=path.encode()), json=BODY).status_code == 200


def test_slashes_open_no_door(ledger_url: str, models: FakeModels) -> None:
    """Whatever leads to an endpoint needs the key that it needs."""
    with running_world(ledger_url, models, client_keys=("k",)) as world:
        found = {
            path: raw(world, "GET", path).status
            for path in ("/v1/models", "//v1/models", "/v1/models//", "/v1//models")
        }
    assert set(found.values()) == {401}


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/v1/models", f"/v1/models/{APP}", "/healthz/"])
def test_head(world: World, path: str) -> None:
    """As GET, without the body, on a connection that goes on."""
    connection = http.client.HTTPConnection(world.url.removeprefix("http://"), timeout=20)
    for method in ("HEAD", "GET"):
        connection.request(method, path)
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (200, method == "GET")
    connection.close()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        pytest.param(CHAT, "POST, OPTIONS", id="post"),
        pytest.param("/v1/models", "GET, HEAD, OPTIONS", id="get"),
        pytest.param(f"/v1/models/{APP}", "GET, HEAD, OPTIONS", id="below"),
    ],
)
def test_options(world: World, path: str, allowed: str) -> None:
    """Says what a path takes, and so does the refusal of another method."""
    asked = raw(world, "OPTIONS", path, {"Origin": PAGE, "Access-Control-Request-Method": "POST"})
    assert (asked.status, asked.getheader("allow"), asked.getheader("access-control-allow-origin")) == (
        200,
        allowed,
        None,
    )
    refused = raw(world, "DELETE", path)
    assert (refused.status, refused.getheader("allow")) == (405, allowed)
    assert raw(world, "OPTIONS", "/v2/other").status == 404


@pytest.fixture
def open_world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway with a key, that one web page may call."""
    with running_world(ledger_url, models, client_keys=("k",), cors=Cors((PAGE,))) as running:
        yield running


def test_a_web_page_may_call(open_world: World) -> None:
    """The browser's question needs no key; answers and refusals can be read by the page, with their ids."""
    asked = raw(
        open_world, "OPTIONS", CHAT, {"Origin": PAGE, "Access-Control-Request-Headers": "authorization, x-stainless-os"}
    )
    assert (asked.status, asked.getheader("access-control-allow-origin")) == (200, PAGE)
    assert asked.getheader("access-control-allow-headers") == "authorization, x-stainless-os"
    assert "POST" in (asked.getheader("access-control-allow-methods") or "")
    answered = open_world.client.post(CHAT, json=BODY, headers={"Origin": PAGE, "Authorization": "Bearer k"})
    refused = open_world.client.post(CHAT, json=BODY, headers={"Origin": PAGE})
    stream = open_world.client.post(CHAT, json={**BODY, "stream": True}, headers={"Origin": PAGE, "api-key": "k"})
    assert [one.status_code for one in (answered, refused, stream)] == [200, 401, 200]
    assert {one.headers["access-control-allow-origin"] for one in (answered, refused, stream)} == {PAGE}
    assert "x-softlaunch-request-id" in answered.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", f"{PAGE}.evil.org", PAGE.upper(), "\xff"])
def test_other_web_pages_may_not(open_world: World, origin: str) -> None:
    """An origin is what the settings say, to the letter."""
    answered = raw(open_world, "OPTIONS", CHAT, {"Origin": origin})
    assert (answered.getheader("access-control-allow-origin"), answered.getheader("vary")) == (None, "origin")


@pytest.mark.parametrize("text", ["chat.example.com", "https://chat.example.com/", "https://*/x", "https://a b", ""])
def test_what_is_no_origin(text: str) -> None:
    """A slash at the end would never match what browsers send."""
    with pytest.raises(SoftlaunchError, match="is no origin"):
        checked_origin(text)


@pytest.mark.parametrize("headers", [{"Authorization": "bearer k"}, {"api-key": "k"}, {"X-API-Key": "k"}])
def test_a_key_by_any_of_its_names(open_world: World, headers: dict[str, str]) -> None:
    """Azure's and Anthropic's clients send theirs in headers of their own; none of them goes up."""
    assert open_world.client.post(CHAT, json=BODY, headers=headers).status_code == 200
    assert not {"authorization", "api-key", "x-api-key"} & {name.lower() for name in open_world.models.headers[0]}


@pytest.mark.parametrize("headers", [{"api-key": "x"}, {"x-api-key": ""}, {"Authorization": "k"}, {"api-key": "\xff"}])
def test_a_wrong_key(open_world: World, headers: dict[str, str]) -> None:
    """By whatever name, it is a wrong key."""
    assert raw(open_world, "GET", "/v1/models", headers).status == 401


def test_the_arm_is_not_told(ledger_url: str, models: FakeModels) -> None:
    """Unless the settings say so."""
    with running_world(ledger_url, models, show_arm=False) as world:
        assert "x-softlaunch-arm" not in world.ask("ann").headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
def test_answers_that_are_compressed_unasked(world: World, coding: str, *, stream: bool) -> None:
    """The client gets them plain."""
    world.models.coding = coding
    response = world.ask("ann", stream=stream)
    assert response.status_code == 200
    assert "content-encoding" not in response.headers
    assert "am " in response.text
    assert response.text.rstrip().endswith("[DONE]" if stream else "}")


def test_a_proxy_by_environment(ledger_url: str, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is only reached through a proxy is asked through it."""
    monkeypatch.setenv("HTTP_PROXY", models.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # for the test's own client
    there = variant("stable", "http://provider.invalid:8123/v1")
    with running_world(ledger_url, models, stable=there) as world:
        assert world.ask("ann").status_code == 200
    assert models.headers[0]["Host"] == "provider.invalid:8123"
