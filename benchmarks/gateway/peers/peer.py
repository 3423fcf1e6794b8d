"""What every gateway under measurement has: how it is started in front of the provider, waited for and stopped."""

import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway import processes
from benchmarks.gateway.load import Target, does_answer
from benchmarks.gateway.processes import NotAvailableError
from benchmarks.gateway.requests import RequestKind

SETTLE_SECONDS = 90.0
IDLE_SECONDS = 3600
"""How long a gateway keeps an idle connection, where that can be set and is short."""
PROVIDER_MODEL = "gpt-4-0613"


@dataclass(frozen=True, slots=True)
class Place:
    """Where peers run: a folder for their files, one with their environments, the provider's two ports, their cores."""

    folder: Path
    environments: Path
    provider_ports: tuple[int, int]
    cores: tuple[int, ...]


class Peer(ABC):
    """One gateway under measurement. `note` says what it did besides passing requests on."""

    name: str
    note: str
    process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = place.folder / self.name.lower().replace(" ", "-")
        self.folder.mkdir(parents=True)
        self.provider_port = place.provider_ports[0]
        self.port = processes.free_port()
        self.target = Target(self.port, "/v1", "m")

    @abstractmethod
    def start(self) -> None:
        """Start it. Raises NotAvailableError."""

    def wait(self, kind: RequestKind, events: int) -> None:
        """Return once it answers such requests in so many events. Raises NotAvailableError."""
        if self.process is not None:
            there = self.target
            processes.wait_for(lambda: does_answer(there, kind, events), self.process, self.folder, SETTLE_SECONDS)

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None:
            processes.stop(self.process)

    def _run(self, *command: str | Path, **environment: str) -> None:
        self.process = processes.start(command, self.folder, self.place.cores, environment)

    def _tool(self, environment: str, program: str) -> Path:
        path = self.place.environments / environment / "bin" / program
        if not path.exists():
            raise NotAvailableError("not installed; run with --install")
        return path


class Direct(Peer):
    """No gateway at all."""

    name = "direct"
    note = "the provider itself"

    def start(self) -> None:
        """Nothing to start: it is the provider's own port."""
        self.target = Target(self.provider_port, "/v1", "m")
