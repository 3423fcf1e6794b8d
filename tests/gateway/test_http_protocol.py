"""HTTP as the gateway speaks it, over sockets: no byte of a body becomes a request, and connections end well."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from softlaunch.gateway.limits import Limits
from tests.gateway.http_messages import (
    BODY,
    CHAT,
    CHUNKED,
    H2C,
    KEY,
    LAST,
    MESSAGES,
    OTHER_APIS,
    QUICK,
    RESPONSES,
    SMUGGLED,
    STORED,
    WEBSOCKET,
    aimed,
    chunks,
)
from tests.gateway.raw_client import Heard, address_of, head, hear, post, say
from tests.gateway.worlds import World, running_world
from tests.support.servers import FakeModels, wait_until


@pytest.fixture(scope="module")
def shared(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, shared_models: FakeModels) -> Iterator[World]:
    """An open gateway with tight limits."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("http") / "ledger.db")
    with running_world(f"sqlite:///{path}", shared_models, limits=QUICK) as running:
        yield running


@pytest.fixture
def world(shared: World, models: FakeModels) -> World:
    """The same, with nothing asked yet."""
    assert models is shared.models
    return shared


@pytest.fixture(scope="module")
def guarded(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, shared_models: FakeModels
) -> Iterator[World]:
    """The same, with a key."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("http_guarded") / "ledger.db")
    with running_world(f"sqlite:///{path}", shared_models, limits=QUICK, client_keys=[KEY]) as running:
        yield running


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(H2C, id="h2c, as Java's client and curl --http2 offer it"),
        pytest.param(WEBSOCKET, id="websocket"),
        pytest.param({"Connection": "upgrade, close", "Upgrade": "TLS/1.0"}, id="TLS, on a last request"),
        pytest.param({"Connection": "keep-alive, Upgrade", "Upgrade": "foo/2, h2c"}, id="several"),
        pytest.param({"Connection": "Upgrade", "Upgrade": ""}, id="nothing in particular"),
    ],
)
@pytest.mark.parametrize("pieces", ["together", "apart", "chunked", "bytewise"])
@pytest.mark.parametrize("path", [CHAT, *OTHER_APIS])
def test_an_offered_upgrade_is_declined_and_the_request_served(
    world: World, offer: dict[str, str], pieces: str, path: str
) -> None:
    """The body reaches the provider whole, however it comes, and the connection goes on."""
    if pieces == "chunked":
        sent = [aimed(head({**offer, **CHUNKED}), path), chunks(BODY[:7], BODY[7:])]
    else:
        whole = aimed(post(BODY, offer), path)
        cuts = {"together": [whole], "apart": [whole[: -len(BODY)], BODY]}
        sent = cuts.get(pieces) or [whole[:40], whole[40:90], whole[90:-5], whole[-5:]]
    heard = say(world.url, *sent, LAST)
    assert heard.statuses == ([200] if "close" in offer["Connection"] else [200, 200])
    assert [body["input"][-1]["content"] for body in world.models.bodies] == ["Hi"]


@pytest.mark.parametrize(
    "offer", [pytest.param(H2C, id="h2c"), pytest.param(WEBSOCKET, id="websocket"), pytest.param({}, id="none")]
)
@pytest.mark.parametrize(
    "path", [CHAT, RESPONSES, MESSAGES, STORED, f"{STORED}/cancel", "/healthz", "/nowhere", "/v1/feedback"]
)
def test_no_byte_of_a_body_becomes_a_request(guarded: World, offer: dict[str, str], path: str) -> None:
    """A body that looks like requests is a body, whether it is read, refused or of no interest."""
    body = SMUGGLED * 3
    sent = head({**offer, "Content-Length": str(len(body))}, f"POST {path} HTTP/1.1")
    for pieces in ([sent + body], [sent, body], [sent, body[:50], body[50:]]):
        heard = say(guarded.url, *pieces, LAST)
        assert b"/smuggled" not in heard.text
        assert (len(heard.statuses), heard.closed) in {(1, True), (2, True)}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(head({"Content-Length": "5", **CHUNKED}), 400, id="a length beside chunks"),
        pytest.param(head({**CHUNKED, "Content-Length": "5"}), 400, id="chunks beside a length"),
        pytest.param(head([("Content-Length", "5"), ("Content-Length", "5")]), 400, id="a length twice"),
        pytest.param(head({"Content-Length": "5, 5"}), 400, id="a list of lengths"),
        pytest.param(head({"Content-Length": "+5"}), 400, id="a signed length"),
        pytest.param(head({"Content-Length": "0x5"}), 400, id="a length in hexadecimal"),
        pytest.param(head({"Content-Length": "9" * 30}), 400, id="a length beyond counting"),
        pytest.param(head({"Content-Length ": "5"}), 400, id="a space before the colon"),
        pytest.param(head({"Transfer-Encoding": "identity"}), 501, id="an encoding without end"),
        pytest.param(head({"Transfer-Encoding": "xchunked"}), 501, id="an encoding that nearly is one"),
        pytest.param(head({"Transfer-Encoding": "gzip, chunked"}), 501, id="an encoding that isn't undone"),
        pytest.param(head({"Transfer-Encoding": "chunked, gzip"}), 400, id="chunks inside"),
        pytest.param(head([*CHUNKED.items(), *CHUNKED.items()]), 400, id="chunks twice"),
        pytest.param(head(CHUNKED, f"POST {CHAT} HTTP/1.0"), 501, id="chunks in HTTP/1.0"),
        pytest.param(head({"X": "a\r\n b"}), 400, id="a folded header"),
        pytest.param(head({"X": "a\rb"}), 400, id="a bare CR"),
        pytest.param(head({"X": "a\nContent-Length: 3"}), 400, id="a bare LF"),
        pytest.param(head({"X": "a\x00b"}), 400, id="a NUL"),
        pytest.param(head().replace(b"\r\n", b"\n"), 400, id="LF for CR LF"),
        pytest.param(head([("Host", "a"), ("Host", "b")]), 400, id="two hosts"),
        pytest.param(head({}, "CONNECT x:80 HTTP/1.1"), 405, id="CONNECT"),
        pytest.param(head({"Content-Length": "9"}, f"CONNECT {CHAT} HTTP/1.1"), 405, id="CONNECT with a body"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 at once"),
        pytest.param(head({}, f"GET {CHAT} HTTP/3.7"), 400, id="a version of the future"),
        pytest.param(head({}, f"GET {CHAT} HTTP/2.0"), 505, id="HTTP/2 in words"),
        pytest.param(b"GET /\r\n\r\n", 505, id="HTTP/0.9"),
        pytest.param(head({}, "GET /\xff HTTP/1.1"), 400, id="a path that isn't ASCII"),
        pytest.param(head({}, "GET http:// HTTP/1.1"), 400, id="no URL"),
        pytest.param(head({"Expect": "a miracle", "Content-Length": "2"}), 417, id="an unknown expectation"),
        pytest.param(head({"X": "a" * 5000}), 431, id="a large head"),
        pytest.param(head({f"X-{n}": "a" for n in range(900)}), 431, id="many headers"),
        pytest.param(head({}, f"GET /{'a' * 5000} HTTP/1.1"), 431, id="a long path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(head(CHUNKED) + b"5\nhello\r\n0\r\n\r\n", 400, id="a chunk that ends its size in LF"),
        pytest.param(head(CHUNKED) + b"5;x\nhello\r\n0\r\n\r\n", 400, id="an extension that ends in LF"),
        pytest.param(head(CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n", 400, id="a chunk of less than nothing"),
        pytest.param(head(CHUNKED) + b"0x5\r\nhello\r\n0\r\n\r\n", 400, id="a chunk in another notation"),
        pytest.param(head(CHUNKED) + b"f" * 17 + b"\r\nhello", 400, id="a chunk beyond counting"),
    ],
)
@pytest.mark.parametrize(
    "path", [CHAT, *OTHER_APIS, pytest.param(f"{STORED}/cancel", marks=pytest.mark.long, id="stored")]
)
def test_what_can_be_read_in_two_ways_is_refused(world: World, request_: bytes, status: int, path: str) -> None:
    """One answer with a reason, nothing behind it is served, and the connection is closed."""
    heard = say(world.url, aimed(request_, path) + SMUGGLED, SMUGGLED)
    assert (heard.statuses, heard.closed) == ([status], True)
    assert b"connection: close" in heard.text
    assert b'"error"' in heard.text
    assert not world.models.bodies


def test_headers_behind_a_body_are_left_out(guarded: World) -> None:
    """A proxy in front takes headers away and may not look for them in the trailer."""
    trailer = b"0\r\nAuthorization: Bearer first-key\r\n\r\n"
    body = b"%x\r\n%b\r\n" % (len(BODY), BODY) + trailer
    assert say(guarded.url, head(CHUNKED) + body + LAST).statuses == [401, 200]


def test_chunk_extensions_are_read_over_and_bounded(world: World) -> None:
    """They are allowed, and mean nothing here; an endless one is cut off."""
    fine = b"%x;name=value\r\n%b\r\n0;last\r\n\r\n" % (len(BODY), BODY)
    assert say(world.url, head(CHUNKED) + fine + LAST).statuses == [200, 200]
    endless = say(world.url, head(CHUNKED) + b"5;" + b"a" * 50_000)
    assert (endless.statuses, endless.closed) == ([400], True)


def test_expectations_are_met_before_the_body(world: World) -> None:
    """Who asks first is told to go on; who would be refused is refused without sending."""
    expecting = {"Expect": "100-continue", "Content-Length": str(len(BODY))}
    with socket.create_connection(address_of(world.url), 10) as connection:
        connection.sendall(head(expecting))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY + LAST)
        assert hear(connection, 5).statuses == [200, 200]
    refused = say(world.url, head({**expecting, "Content-Length": "999999"}))
    assert (refused.statuses, b"100 Continue" in refused.text, refused.closed) == ([413], False, True)


def test_requests_that_are_sent_ahead_are_answered_in_order(world: World) -> None:
    """Pipelining works, ends with the first error, and nothing behind that is served."""
    assert say(world.url, post(BODY) + post(b"[]") + post(BODY) + LAST).statuses == [200, 400, 200, 200]
    world.models.bodies.clear()
    broken = say(world.url, post(BODY) + b"NONSENSE\r\n\r\n" + post(BODY))
    assert (broken.statuses, broken.closed, len(world.models.bodies)) == ([200, 400], True, 1)
    last = say(world.url, post(BODY, {"Connection": "close"}) + post(BODY))
    assert (last.statuses, last.closed) == ([200], True)
    flood = say(world.url, SMUGGLED * 500)
    assert (flood.statuses[-1], flood.closed) == (503, True)
    assert len(flood.statuses) < 100


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        pytest.param(f"POST {CHAT} HTTP/1.1", {}, 401, id="no key"),
        pytest.param("PUT /healthz HTTP/1.1", {}, 405, id="no such verb"),
        pytest.param(f"POST {CHAT} HTTP/1.1", {"Authorization": f"Bearer {KEY}"}, 413, id="too large"),
    ],
)
def test_a_refusal_with_the_body_unread_closes_the_connection(
    guarded: World, line: str, headers: dict[str, str], status: int
) -> None:
    """The client hears the answer at once and the end soon, however slowly it goes on sending."""
    with socket.create_connection(address_of(guarded.url), 10) as connection:
        connection.sendall(head({**headers, "Content-Length": "9000000"}, line))
        began = time.monotonic()
        answer = connection.recv(4096)
        assert (int(answer[9:12]), b"connection: close" in answer) == (status, True)
        connection.settimeout(0.1)
        closed = dripped = False
        while not (closed and dripped) and time.monotonic() - began < 8:
            try:
                connection.sendall(b"a")
                closed = closed or connection.recv(100) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = dripped = True
            time.sleep(0.1)
    assert closed
    assert time.monotonic() - began < 6


def test_bodies_that_do_not_come_hold_no_place(ledger_url: str, models: FakeModels) -> None:
    """Clients that announce a body and send none don't count among the requests under way."""
    limits = Limits(requests=2, route_poll_seconds=0.05)
    with running_world(ledger_url, models, limits=limits) as world:
        held = [socket.create_connection(address_of(world.url), 10) for _ in range(5)]
        for connection in held:
            connection.sendall(head({"Content-Length": "100"}))
        time.sleep(0.1)
        assert world.ask("ann").status_code == 200
        for connection in held:
            connection.close()


def test_a_client_that_sends_all_of_a_refused_body_can_read_why(guarded: World) -> None:
    """The connection isn't reset under its hands while it is still sending."""
    body = b"a" * 150_000
    with socket.create_connection(address_of(guarded.url), 10) as connection:
        connection.sendall(head({"Content-Length": str(len(body))}))
        for start in range(0, len(body), 10_000):
            connection.sendall(body[start : start + 10_000])
            time.sleep(0.01)
        assert hear(connection, 3).statuses == [401]


@pytest.mark.parametrize("path", [CHAT, *OTHER_APIS])
def test_a_body_that_comes_too_slowly_is_given_up(world: World, path: str) -> None:
    """A byte now and then doesn't hold a place; a large body may take its time as long as it keeps coming."""
    with socket.create_connection(address_of(world.url), 10) as connection:
        connection.sendall(aimed(head({"Content-Length": "100"}), path))
        began = time.monotonic()
        connection.settimeout(0.1)
        got = b""
        while not got and time.monotonic() - began < 5:
            connection.sendall(b"a")
            try:
                got = connection.recv(1000)
            except TimeoutError:
                continue
        assert (got[9:12], time.monotonic() - began < 3) == (b"408", True)
    large = b" " * 30_000 + BODY
    pieces = [large[start : start + 6_000] for start in range(0, len(large), 6_000)]
    with socket.create_connection(address_of(world.url), 10) as connection:
        connection.sendall(aimed(head({"Content-Length": str(len(large))}), path))
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.2)
        connection.sendall(LAST)
        assert hear(connection, 5).statuses == [200, 200]


def test_bodies_under_way_count_towards_the_memory(world: World) -> None:
    """What has come is bounded together; beyond it clients are told to come back, and then there is room again."""
    held = []
    for _ in range(4):
        connection = socket.create_connection(address_of(world.url), 10)
        connection.sendall(head({"Content-Length": "100001"}) + b"a" * 90_000)
        held.append(connection)
        time.sleep(0.1)
    refused = hear(held[-1], 5)
    assert (refused.statuses, b"retry-after: 1" in refused.text) == ([503], True)
    for connection in held:
        connection.close()
    wait_until(lambda: world.ask("ann").status_code == 200, "there is room again")


def test_an_address_leaves_room_for_others(world: World) -> None:
    """One address never takes more than half of the connections, and is told so where all of its own are busy."""
    with ExitStack() as held:
        heard = [ask_to_send_on(world, held, "127.0.0.2") for _ in range(12)]
        assert [one.statuses for one in heard] == [[]] * 8 + [[503]] * 4
        assert b"retry-after: 1" in heard[-1].text
        assert say(world.url, post(BODY) + LAST, source="127.0.0.3").statuses == [200, 200]


def ask_to_send_on(world: World, held: ExitStack, source: str) -> Heard:
    """The first answer to a request whose body is held back; told to go on, its connection stays busy."""
    connection = held.enter_context(socket.create_connection(address_of(world.url), 10, (source, 0)))
    with suppress(OSError):
        connection.sendall(head({"Content-Length": "100", "Expect": "100-continue"}))
    return Heard(connection.recv(65_536), closed=False)


def test_what_a_body_becomes_counts_towards_the_memory(world: World) -> None:
    """Objects of two bytes each take a hundred times as much once they are read."""
    small = BODY[:-1] + b',"x":[' + b",".join([b"{}"] * 5000) + b"]}"
    response = world.client.post(CHAT, content=small)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "overloaded")
    assert world.client.post(CHAT, content=BODY[:-1] + b',"x":"' + b"a" * len(small) + b'"}').status_code == 200
    assert world.client.post("/v1/feedback", content=small).status_code == 503


@pytest.mark.parametrize("sent", [b"", head()[:20], post(BODY)], ids=["nothing", "half a head", "a request"])
def test_idle_connections_make_way(world: World, sent: bytes) -> None:
    """Where there is no room the longest idle are closed, so that a flood of the own address is survived."""
    with ExitStack() as open_ones:
        held = []
        for _ in range(20):
            connection = open_ones.enter_context(socket.create_connection(address_of(world.url), 10, ("127.0.0.2", 0)))
            connection.sendall(sent)
            if sent == post(BODY):
                assert hear(connection, 0.1).statuses == [200]
            held.append(connection)
        assert not hear(held[-1], 0.02).closed  # looked at first: left alone, it has a second for its head
        assert say(world.url, post(BODY) + LAST, source="127.0.0.2").statuses == [200, 200]
        closed = [hear(connection, 0.02).closed for connection in held[:-1]]
        assert (closed[0], sum(closed) >= 11) == (True, True)
