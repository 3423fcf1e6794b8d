"""Stored responses under attack: providers that stall, clients that leave or read nothing, too many at once."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from softlaunch.gateway.limits import Limits
from softlaunch.policy.gateway import GatewayPolicy
from tests.gateway.large_answers import is_dropped
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.protocols.test_responses import RESPONSE, STREAM, event
from tests.gateway.raw_client import address_of, head, say
from tests.gateway.worlds import APP, NEVER_TRIPS, World, running_world, variant
from tests.support.servers import FakeModels, wait_until

MIB = 1024 * 1024
BELOW = ("", "/input_items", "?stream=true")


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that keeps one response."""
    with recorded_provider() as running:
        running.answer_with(RESPONSE)
        yield running


@pytest.fixture
def world(
    ledger_url: str, models: FakeModels, provider: RecordedProvider, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A gateway that waits half a second for its provider, or as long as the test says."""
    policy, limits = getattr(request, "param", (GatewayPolicy(timeout=0.5, breaker=NEVER_TRIPS), Limits()))
    stable = variant("stable", provider.endpoint)
    with running_world(ledger_url, models, stable=stable, gateway=policy, limits=limits) as running:
        yield running


PATIENT = GatewayPolicy(breaker=NEVER_TRIPS)
patient = pytest.mark.parametrize(
    "world", [(PATIENT, Limits(stall_seconds=0.5, requests=3))], ids=["patient"], indirect=True
)


def kept(world: World) -> str:
    """The path of a response that the provider keeps."""
    return f"/v1/responses/{world.client.post('/v1/responses', json={'model': APP, 'input': 'Hi'}).json()['id']}"


@pytest.mark.parametrize("below", BELOW)
def test_a_provider_that_says_nothing(world: World, provider: RecordedProvider, below: str) -> None:
    """It is waited for as long as for an answer, and no longer."""
    path = kept(world)
    provider.silent = True
    response = world.client.get(path + below)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "total_timeout")
    wait_until(lambda: provider.under_way == 0, "the provider is let go")


def test_a_stored_stream_that_stalls(world: World, provider: RecordedProvider) -> None:
    """It ends as one that isn't whole."""
    path = kept(world)
    provider.stream(STREAM[: STREAM.index(b"\n\n") + 2])
    provider.stalls = True
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        world.client.get(path)
    wait_until(lambda: provider.under_way == 0, "the provider is let go")


@patient
@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the midst of a stream"])
def test_a_client_that_leaves(world: World, provider: RecordedProvider, *, begun: bool) -> None:
    """The provider is let go at once."""
    path = kept(world)
    provider.silent, provider.stalls = not begun, begun
    provider.stream(event("response.created", response=RESPONSE))
    with socket.create_connection(address_of(world.url), 10) as connection:
        connection.sendall(head(line=f"GET {path} HTTP/1.1"))
        wait_until(lambda: provider.under_way == 1, "the provider is asked")
        assert not begun or connection.recv(1000)
    wait_until(lambda: provider.under_way == 0, "the provider is let go")


@patient
def test_a_client_that_is_reset(world: World, provider: RecordedProvider) -> None:
    """The same for one whose connection breaks."""
    path = kept(world)
    provider.silent = True
    connection = socket.create_connection(address_of(world.url), 10)
    connection.sendall(head(line=f"POST {path}/cancel HTTP/1.1"))
    wait_until(lambda: provider.under_way == 1, "the provider is asked")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
    wait_until(lambda: provider.under_way == 0, "the provider is let go")


@patient
def test_requests_for_stored_responses_count(world: World, provider: RecordedProvider) -> None:
    """No more of them are under way than of all requests."""
    path = kept(world)
    provider.silent = True
    held = [socket.create_connection(address_of(world.url), 10) for _ in range(3)]
    for connection in held:
        connection.sendall(head(line=f"GET {path} HTTP/1.1"))
    wait_until(lambda: provider.under_way == 3, "three are under way")
    assert world.client.get(path).status_code == 503
    for connection in held:
        connection.close()
    provider.silent = False
    wait_until(lambda: world.client.get(path).status_code == 200, "there is room again")


@patient
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_who_reads_nothing_is_dropped(world: World, provider: RecordedProvider, *, stream: bool) -> None:
    """A stored answer isn't kept for ever for somebody who doesn't take it, and its provider is let go."""
    path = kept(world)
    large = {**RESPONSE, "metadata": {"x": "a" * 6 * MIB}}
    provider.answer_with(large)
    if stream:
        provider.stream(event("response.created", response=large) * 3)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(address_of(world.url))
    connection.sendall(head(line=f"GET {path} HTTP/1.1"))
    wait_until(lambda: is_dropped(connection), "it is dropped")
    wait_until(lambda: provider.under_way == 0, "the provider is let go")
    connection.close()


@patient
def test_a_body_that_nobody_reads(world: World, provider: RecordedProvider) -> None:
    """A body of a request that needs none is neither passed on nor taken for a request."""
    path = kept(world)
    smuggled = head(line=f"DELETE {path} HTTP/1.1")
    heard = say(world.url, head({"Content-Length": str(len(smuggled))}, f"POST {path}/cancel HTTP/1.1"), smuggled)
    assert (heard.statuses, heard.closed) == ([200], True)
    assert [(one.method, one.content) for one in provider.asked[1:]] == [("POST", b"")]


@patient
def test_a_query_is_no_way_out(world: World, provider: RecordedProvider) -> None:
    """Whatever a query holds, the provider is asked for the response that the client may ask for."""
    path = kept(world)
    queries = ("a=%0d%0aX:%20y", "a=%20HTTP/1.1%0d%0a%0d%0aGET%20/", "../../x", "/../..", "?", "&&=%", "a#b", "%23x")
    statuses = {say(world.url, head(line=f"GET {path}?{query} HTTP/1.1"), seconds=0.3).statuses[0] for query in queries}
    assert statuses <= {200, 400}
    assert {one.path.partition("?")[0] for one in provider.asked[1:]} == {f"/v1/responses/{RESPONSE['id']}"}
    assert all("X" not in one.headers for one in provider.asked)
