"""How many connections an address may hold."""

import time
from collections.abc import Iterator

import pytest

from softlaunch.core.errors import SoftlaunchError
from softlaunch.gateway.http.connections import Connections, address_of, parse_networks
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.server import affordable
from tests.gateway.http_messages import CHAT, MESSAGES, RESPONSES
from tests.gateway.large_answers import is_dropped, large_answers, slow_reader
from tests.gateway.raw_client import hear, post, say
from tests.gateway.worlds import World, running_world, variant
from tests.support.servers import FakeModels, wait_until

MIB = 1024 * 1024


def admitted(connections: Connections, address: str, wanted: int) -> int:
    """How many of so many connections of an address are taken."""
    return sum(connections.admit(address) for _ in range(wanted))


def test_who_is_greedy_leaves_as_much_as_they_take() -> None:
    """One address gets a half at most, the next a half of what is left, and there is always room for a newcomer."""
    connections = Connections(Limits(connections=1000))
    assert [admitted(connections, address, 2000) for address in ("a1", "a2", "a3")] == [500, 250, 125]
    assert admitted(connections, "b", 100) == 63
    connections.leave("a1")
    connections.leave("a1")
    assert admitted(connections, "b", 100) == 1


def test_places_are_given_back() -> None:
    """Connections that come and go take nothing with them."""
    connections = Connections(Limits(connections=10))
    for _ in range(3):
        taken = admitted(connections, "192.0.2.1", 10)
        assert taken == 5
        for _ in range(taken):
            connections.leave("192.0.2.1")


def test_a_setting_bounds_addresses_further() -> None:
    """`connections_per_address` is a bound of its own."""
    assert admitted(Connections(Limits(connections=1000, connections_per_address=7)), "192.0.2.1", 100) == 7


def test_trusted_proxies_are_bounded_together_only() -> None:
    """A proxy's connections are many clients'; no more than all are taken even so."""
    trusted = parse_networks("10.1.0.0/16, 2001:db8::/32", "X")
    connections = Connections(Limits(connections=100, connections_per_address=3), trusted)
    assert [admitted(connections, address, 40) for address in ("10.1.2.3", "2001:db8::", "10.2.0.1")] == [40, 40, 3]
    assert admitted(connections, "10.1.2.3", 40) == 17


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        pytest.param(("192.0.2.7", 80), "192.0.2.7", id="IPv4"),
        pytest.param(("::ffff:192.0.2.7", 80, 0, 0), "192.0.2.7", id="IPv4 within IPv6"),
        pytest.param(("2001:db8:1:2:3:4:5:6", 80, 0, 0), "2001:db8:1:2::", id="the network of an IPv6 address"),
        pytest.param(("fe80::1%eth0", 80, 0, 2), "fe80::", id="with a zone"),
        pytest.param("", "", id="a Unix socket"),
        pytest.param(None, "", id="nothing"),
        pytest.param(("nonsense", 1), "", id="no address"),
    ],
)
def test_whose_connections_are_counted_together(peer: object, address: str) -> None:
    """Whoever has one IPv6 address has 2^64 of them."""
    assert address_of(peer) == address


@pytest.mark.parametrize(
    ("files", "connections"), [(1024, 512), (4096, 2048), (8192, 5888), (20_000, 8192), (1_048_576, 8192)]
)
def test_connections_leave_files_for_providers(files: int, connections: int) -> None:
    """Each request under way needs a second file; half of all are for clients in any case."""
    assert affordable(Limits(), files).connections == connections


def test_networks_that_are_none_are_named() -> None:
    """The setting and the remedy are in the error."""
    with pytest.raises(SoftlaunchError, match=r"SOFTLAUNCH_X: .*10\.0\.0\.300.*; write addresses or networks"):
        parse_networks("10.0.0.300", "SOFTLAUNCH_X")


@pytest.fixture
def talkative(ledger_url: str, models: FakeModels, request: pytest.FixtureRequest) -> Iterator[World]:
    """A gateway whose provider answers 6 MiB, with limits of the test's."""
    with (
        large_answers(6 * MIB) as endpoint,
        running_world(ledger_url, models, stable=variant("stable", endpoint), limits=request.param) as world,
    ):
        yield world


@pytest.mark.long
@pytest.mark.parametrize(
    "talkative", [Limits(stall_seconds=0.5, answer_rate=20_000, route_poll_seconds=0.05)], indirect=True
)
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_who_reads_nothing_is_dropped(talkative: World, path: str) -> None:
    """An answer isn't kept for ever for somebody who doesn't take it; one that is taken slowly arrives whole."""
    idle = slow_reader(talkative.url, path)
    slow = slow_reader(talkative.url, path)
    got = 0
    slow.settimeout(5)
    while got < 6 * MIB:
        piece = slow.recv(200_000)
        assert piece
        got += len(piece)
        time.sleep(0.001)
    wait_until(lambda: is_dropped(idle), "the one that reads nothing is dropped")
    idle.close()
    slow.close()


@pytest.mark.long
@pytest.mark.parametrize(
    "talkative", [Limits(answers_bytes=16 * MIB, stall_seconds=30, route_poll_seconds=0.05)], indirect=True
)
def test_answers_that_nobody_takes_are_bounded_together(talkative: World) -> None:
    """Beyond the bound those go first that have been slow for longest."""
    readers = []
    for _ in range(6):
        readers.append(slow_reader(talkative.url))
        time.sleep(0.15)
    wait_until(lambda: sum(map(is_dropped, readers)) >= 3, "the first ones are dropped")
    assert [is_dropped(reader) for reader in readers] == sorted(map(is_dropped, readers), reverse=True)
    assert not is_dropped(readers[-1])
    assert hear(readers[-1], 2).statuses == [200]
    assert say(talkative.url, post(b"[]"), seconds=0.3).statuses == [400]
    for reader in readers:
        reader.close()
