"""Who asks: the user who runs the console, or whom a trusted identity proxy names, and what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from softlaunch.approvals.rules import Person
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.gateway.http.connections import Network

ORIGIN = "console"
EVERYBODY = "*"
_LONGEST_NAME = 200
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ConsoleSettingsError(SoftlaunchError):
    """Settings with which the console would let in whom it can't know."""


class NotAdmittedError(SoftlaunchError):
    """Whoever asks may not see the console; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who looks at a page; `may_act` is whether the settings let them do anything at all."""

    name: str
    may_act: bool

    @property
    def person(self) -> Person:
        """The same for the rules of who may decide."""
        return Person(self.name, ORIGIN)


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of who is let in. Without a `header` everybody is `local_name`."""

    local_name: str
    header: str = ""
    proxies: tuple[Network, ...] = ()
    viewers: frozenset[str] = frozenset({EVERYBODY})
    operators: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset(_LOOPBACK)
    secure: bool = False

    @classmethod
    def of(cls, settings: Settings, local_name: str, host: str) -> "Access":
        """By the settings. Raises ConsoleSettingsError where it would listen to others and know nobody."""
        header, address = settings.console_user_header.strip(), urlsplit(settings.console_url)
        if not header and host not in _LOOPBACK:
            raise ConsoleSettingsError(
                f"the console would listen on {host} and let everybody there act as {local_name}; put an identity "
                "proxy in front and name its header (SOFTLAUNCH_CONSOLE_USER_HEADER), or listen on 127.0.0.1"
            )
        if settings.console_url and (address.scheme not in {"http", "https"} or not address.hostname):
            raise ConsoleSettingsError(
                f"SOFTLAUNCH_CONSOLE_URL is {settings.console_url!r}; expected an address such as https://host"
            )
        return cls(
            local_name,
            header,
            tuple(_networks(settings.console_trusted_proxies)),
            _names(settings.console_viewers),
            _names(settings.console_operators),
            frozenset({*_LOOPBACK, *([address.hostname] if address.hostname else [])}),
            address.scheme == "https",
        )

    def visitor(self, names: Sequence[str], address: str) -> Visitor:
        """Who asks, by the values of the header and the address that the request came from.

        Raises NotAdmittedError, with what to do.
        """
        if not self.header:
            return Visitor(self.local_name, may_act=True)
        if not self._is_trusted(address):
            raise NotAdmittedError(
                "This address is not the identity proxy's; open the console by its own address, or name the proxy in "
                "SOFTLAUNCH_CONSOLE_TRUSTED_PROXIES.",
                403,
            )
        name = names[0].strip() if len(names) == 1 else ""
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise NotAdmittedError(f"The proxy didn't send your name (header {self.header}); log in there.", 401)
        acts = EVERYBODY in self.operators or name in self.operators
        if not (acts or EVERYBODY in self.viewers or name in self.viewers):
            raise NotAdmittedError(
                f"{name} may not see the console; the person who runs it can add you to SOFTLAUNCH_CONSOLE_VIEWERS.",
                403,
            )
        return Visitor(name, may_act=acts)

    def _is_trusted(self, address: str) -> bool:
        try:
            asked = ip_address(address)
        except ValueError:
            return False
        return any(asked in network for network in self.proxies if network.version == asked.version)


def _names(listed: str) -> frozenset[str]:
    return frozenset(name for name in (part.strip() for part in listed.split(",")) if name)


def _networks(listed: str) -> list[Network]:
    found = []
    for part in _names(listed):
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise ConsoleSettingsError(
                f"SOFTLAUNCH_CONSOLE_TRUSTED_PROXIES has {part!r}; expected an address or network, such as 10.0.0.0/8"
            ) from error
    return found
