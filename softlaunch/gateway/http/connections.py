"""The connections of a server: how many each address may hold, and which of them have had their time."""

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

from softlaunch.core.errors import SoftlaunchError
from softlaunch.gateway.http.draining import Drain
from softlaunch.gateway.limits import Limits

_LOGGER = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network

_SWEEPS = 4  # looks within the shortest limit, so that none is overdrawn by more than a quarter
_LONGEST_PAUSE = 1.0
_COMPLAIN_SECONDS = 30.0
_MAKE_WAY = 64
_TURNED_AWAY = 256  # connections that are being told that there is no room; more are dropped without a word
_NEIGHBOURS = 64  # bits of an IPv6 address that name a network: whoever has one address of it has all


class Connection(Protocol):
    """What is asked of a connection."""

    address: str
    """Whose it is."""
    deadline: float
    """When its time is up, by the loop's clock; infinite while it waits for nothing from its client."""

    def is_idle(self) -> bool:
        """Whether it has a place, and no request that somebody waits for."""

    def make_way(self) -> None:
        """Close it, and give its place back at once."""

    def expire(self) -> None:
        """Its time is up."""

    def unsent(self) -> int:
        """Bytes of answers that the client hasn't taken."""

    def drop(self) -> None:
        """End it at once; what is unsent is lost."""


class Connections:
    """Everything that holds for the connections together; used from one event loop."""

    def __init__(self, limits: Limits, trusted_proxies: Iterable[Network] = (), drain: Drain | None = None) -> None:
        """Connections of `trusted_proxies` are many clients', and are bounded together only.

        While the server drains each ends with its next answer.
        """
        self.limits = limits
        self.drain = drain or Drain()
        self._trusted = tuple(trusted_proxies)
        self._open: dict[Connection, None] = {}  # in the order in which they came, which decides between equals
        self._of_address: Counter[str] = Counter()
        self._total = 0
        self._turned_away = 0
        self._slow: dict[Connection, tuple[int, float]] = {}
        self._slow_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._complained_at = float("-inf")

    def admit(self, address: str) -> bool:
        """Whether one more connection of an address is taken; `leave` gives its place back.

        An address may hold as many as are still free for the others, so that one alone never gets more than half, two
        no more than two thirds together, and there is always room for the next; or fewer, by `connections_per_address`.
        Where there is no room, idle connections make way, of this address or when all are taken of any: who sends a
        request at once is served even beside a flood from its own address.
        """
        if not self._has_room(address):
            self._make_room(address)
            if not self._has_room(address):
                return False
        self._total += 1
        self._of_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was admitted is over."""
        self._total -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def turn_away(self, address: str, now: float) -> bool:
        """Whether a connection that isn't admitted can at least be told so; `turned_away` when it is over."""
        self._turned_away += 1
        if now - self._complained_at > _COMPLAIN_SECONDS:
            self._complained_at = now
            _LOGGER.warning(
                "refusing connections of %s, which has %d of %d (at most %d are taken); where it is a proxy of ours, "
                "name it in SOFTLAUNCH_GATEWAY_TRUSTED_PROXIES",
                address or "a socket",
                self._of_address[address],
                self._total,
                self.limits.connections,
            )
        return self._turned_away <= _TURNED_AWAY

    def turned_away(self) -> None:
        """A connection that wasn't admitted is over."""
        self._turned_away -= 1

    def watch(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Look at its deadline from now on."""
        self._open[connection] = None
        if self._timer is None:
            self._timer = loop.call_later(self._pause(), self._sweep, loop)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._open.pop(connection, None)
        self.reads_again(connection)

    def reads_slowly(self, connection: Connection, now: float) -> Sequence[Connection]:
        """Its client hasn't taken what it was sent; gives those that must be dropped to stay within `answers_bytes`.

        These are the ones that have been slow for longest.
        """
        size = connection.unsent()
        self._slow[connection] = (size, now)
        self._slow_bytes += size
        excess = self._slow_bytes - self.limits.answers_bytes
        dropped: list[Connection] = []
        for slow, (held, _) in self._slow.items():
            if excess <= 0:
                break
            dropped.append(slow)
            excess -= held
        return dropped

    def reads_again(self, connection: Connection) -> None:
        """Its client has taken enough to be sent more, or it is closed."""
        held, _ = self._slow.pop(connection, (0, 0.0))
        self._slow_bytes -= held

    def _has_room(self, address: str) -> bool:
        free = self.limits.connections - self._total
        most = min(self.limits.connections_per_address or free, free)
        return free > 0 and not (self._is_bounded(address) and self._of_address[address] >= most)

    def _make_room(self, address: str) -> None:
        """Several at once, those whose time is up first: looking through all is too dear for one."""
        full = self._total >= self.limits.connections
        idle = [one for one in self._open if (full or one.address == address) and one.is_idle()]
        for one in heapq.nsmallest(max(1, min(_MAKE_WAY, len(idle) // 8)), idle, key=lambda one: one.deadline):
            one.make_way()

    def _is_bounded(self, address: str) -> bool:
        return bool(address) and not (self._trusted and any(ip_address(address) in one for one in self._trusted))

    def _pause(self) -> float:
        limits = self.limits
        waits = (limits.head_seconds, limits.body_seconds, limits.body_grace_seconds, limits.idle_seconds)
        return min(
            min(waits) / _SWEEPS, limits.linger_seconds / _SWEEPS, limits.stall_seconds / _SWEEPS, _LONGEST_PAUSE
        )

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """One look at all: cheaper than a timer for each request, which would be set and cancelled in vain."""
        now = loop.time()
        for connection in [one for one in self._open if one.deadline <= now]:
            connection.expire()
        for connection, (held, since) in list(self._slow.items()):
            if now - since >= self.limits.stall_seconds:
                self._look_at_slow(connection, held, now)
        self._timer = loop.call_later(self._pause(), self._sweep, loop) if self._open else None

    def _look_at_slow(self, connection: Connection, held: int, now: float) -> None:
        left = connection.unsent()
        if held - left < self.limits.answer_rate * self.limits.stall_seconds:
            connection.drop()
        else:
            self._slow[connection] = (left, now)
            self._slow_bytes -= held - left


def address_of(peer: object) -> str:
    """Whose connections are counted together, by a socket's peer: an IPv4 address, or the network of an IPv6 one.

    Empty where there is none, as at a Unix socket.
    """
    if not isinstance(peer, tuple) or not peer:
        return ""
    try:
        address = ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    kept = 128 - _NEIGHBOURS
    return str(IPv6Address(int(address) >> kept << kept))


def parse_networks(text: str, setting: str) -> tuple[Network, ...]:
    """Addresses and networks separated by commas. Raises SoftlaunchError that names the setting."""
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SoftlaunchError(
            f"{setting}: {error}; write addresses or networks, such as 10.0.0.7,10.1.0.0/16"
        ) from None
