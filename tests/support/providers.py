"""A real provider for rehearsal on a free port, for every test that needs models to talk to."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop

from softlaunch.simulator.cases import Case
from softlaunch.simulator.knowledge import Knowledge
from softlaunch.simulator.models import SimulatedModel
from softlaunch.simulator.profiles import Errors, Latency, OutputTokens, Profile, builtin_profiles
from softlaunch.simulator.provider import Provider
from softlaunch.simulator.server import ProviderServer, serve


@dataclass(frozen=True)
class RunningProvider:
    """Where a provider listens, and the provider itself for stats and faults."""

    port: int
    provider: Provider

    @property
    def origin(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        """The base URL that a model version names."""
        return f"{self.origin}/v1"


def quick_profile(name: str, **figures: object) -> Profile:
    """A profile that answers right, without errors, in about 5 ms; every field can be given."""
    chosen: dict[str, object] = {
        "latency": Latency(p50_s=0.005, p95_s=0.008),
        "output_tokens": OutputTokens(mean=40, spread=0.3),
        "accuracy": 1.0,
        "errors": Errors(),
    }
    return Profile.model_validate({"name": name, **chosen, **figures})


@contextmanager
def running_provider(
    cases: Iterable[Case] = (),
    profiles: Sequence[Profile] | None = None,
    others: Iterable[SimulatedModel] = (),
    speed: float = 1.0,
    seed: int = 0,
    api_key: str | None = None,
) -> Iterator[RunningProvider]:
    """Start a provider in a thread with its own event loop; the built-in profiles unless others are given."""
    provider = Provider.of_profiles(
        builtin_profiles() if profiles is None else profiles, Knowledge(cases), others, speed=speed, seed=seed
    )
    with running_server(ProviderServer(provider, api_key)) as port:
        yield RunningProvider(port, provider)


@contextmanager
def running_server(server: ProviderServer) -> Iterator[int]:
    """Serve in a thread; yields the port."""
    loop = uvloop.new_event_loop()
    stop = asyncio.Event()
    ports: list[int] = []
    listening = threading.Event()

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    def run() -> None:
        try:
            loop.run_until_complete(serve(server, "127.0.0.1", 0, stop, ready))
        finally:
            listening.set()
            loop.close()

    thread = threading.Thread(target=run, name="rehearsal provider", daemon=True)
    thread.start()
    listening.wait(10)
    if not ports:
        raise RuntimeError("the provider did not start; its thread's traceback is above")
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
