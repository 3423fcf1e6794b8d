"""Services that an installation on one machine runs only where a policy of an app, or an option, asks for them."""

import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from softlaunch.core.settings import Settings
from softlaunch.installation.services import url_of
from softlaunch.installation.stack import Service, ours
from softlaunch.policy.route import Route

_QUIET = ("--log-level", "warning")


@dataclass(frozen=True, slots=True)
class Extra:
    """Such a service, by its name in what is printed, where it is for others, and each port with what sets it."""

    service: Service
    name: str
    address: str
    host: str
    ports: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an option says of each; None leaves it to the policies of the apps."""

    otlp: bool | None = None
    envoy: bool | None = None
    config_server: bool = False


@dataclass(frozen=True, slots=True)
class Lacking:
    """Apps that ask for what can't be run here, and what must be installed for it."""

    apps: tuple[str, ...]
    what: str
    package: str

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.what} of {', '.join(self.apps)}, so their releases hold: pip install 'softlaunch[{self.package}]'"
        )


def choose_extras(settings: Settings, asked: Asked, routes: Collection[Route]) -> Iterator[Extra | Lacking]:
    """What is to run besides, in the order in which it is started."""
    spans = tuple(route.app for route in routes if route.serving.otlp is not None)
    routed = tuple(route.app for route in routes if route.serving.router is not None)
    rewritten = [route.app for route in routes if route.serving.router is not None and route.serving.router.rewrite]
    if asked.otlp or (asked.otlp is None and spans):
        if asked.otlp or importlib.util.find_spec("opentelemetry.proto") is not None:
            yield _otlp(settings)
        else:
            yield Lacking(spans, "nobody takes the spans", "otlp")
    if asked.envoy or (asked.envoy is None and routed):
        if asked.envoy or importlib.util.find_spec("grpc") is not None:
            yield _envoy(settings)
            yield from [_processor(settings)] if rewritten else []
        else:
            yield Lacking(routed, "nobody tells Envoy the weights", "envoy")
    if asked.config_server:
        yield _config_server(settings)


def _otlp(settings: Settings) -> Extra:
    """Takes spans of apps that no gateway serves."""
    host, port = settings.otlp_host, settings.otlp_port
    command = ours("otlp", "--host", host, "--port", str(port), *_QUIET)
    url = url_of(host, port)
    service = Service("otlp", command, f"{url}/healthz", 30, 15)
    return Extra(service, "OTLP", url, host, ((port, "SOFTLAUNCH_OTLP_PORT"),))


def _envoy(settings: Settings) -> Extra:
    """Tells Envoys their weights, and takes their access logs."""
    ports = (
        (settings.envoy_port, "SOFTLAUNCH_ENVOY_PORT"),
        (settings.envoy_health_port, "SOFTLAUNCH_ENVOY_HEALTH_PORT"),
    )
    return _of_envoy(settings, "envoy", "Envoy", ("control",), ports)


def _processor(settings: Settings) -> Extra:
    """Rewrites bodies, where rendering prompts holds up no weight."""
    ports = (
        (settings.envoy_processor_port, "SOFTLAUNCH_ENVOY_PROCESSOR_PORT"),
        (settings.envoy_processor_health_port, "SOFTLAUNCH_ENVOY_PROCESSOR_HEALTH_PORT"),
    )
    return _of_envoy(settings, "processor", "bodies", ("processor",), ports)


def _of_envoy(
    settings: Settings, service: str, name: str, words: tuple[str, ...], ports: tuple[tuple[int, str], ...]
) -> Extra:
    host, ((port, _), (health, _)) = settings.envoy_host, ports
    where = ("--host", host, "--port", str(port), "--health-port", str(health))
    ready = f"{url_of(host, health)}/healthz" if health else None
    used = tuple((number, setting) for number, setting in ports if number)
    address = url_of(host, port).removeprefix("http://")
    return Extra(Service(service, ours("envoy", *words, *where, *_QUIET), ready, 30, 5), name, address, host, used)


def _config_server(settings: Settings) -> Extra:
    """Tells applications which variant to use, without being in their way."""
    host, port = settings.config_server_host, settings.config_server_port
    command = ours("config-server", "--host", host, "--port", str(port), *_QUIET)
    url = url_of(host, port)
    service = Service("config-server", command, f"{url}/healthz", 30, 15)
    return Extra(service, "config server", url, host, ((port, "SOFTLAUNCH_CONFIG_SERVER_PORT"),))
