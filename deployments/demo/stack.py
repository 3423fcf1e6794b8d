"""The processes of the demo: started together, awaited, and stopped whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from softlaunch.errors import SoftlaunchError

_STOP_PATIENCE = 3.0


class StackError(SoftlaunchError):
    """A process of the demo did not come up, or died."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process: its name, its command, and the URL that answers once it is ready."""

    name: str
    command: tuple[str, ...]
    ready_url: str | None = None
    patience: float = 30.0


@dataclass(slots=True)
class Stack:
    """Processes with one environment and one folder for their logs; a context manager that stops them all."""

    logs: Path
    environment: dict[str, str]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> "Stack":
        """Nothing is started yet. A terminal that closes, or a `kill`, ends the processes like Ctrl-C does."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, _leave)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every process, the latest first; those that won't are killed."""
        for process in list(self._running.values())[::-1]:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, service: Service) -> None:
        """Start a process in a group of its own, so that a Ctrl-C at the terminal reaches only the demo itself."""
        with (self.logs / f"{service.name}.log").open("wb") as log:
            self._running[service.name] = subprocess.Popen(  # noqa: S603  (the commands are ours)
                service.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def await_ready(self, service: Service) -> None:
        """Wait until a process answers; raises StackError, with the end of its log, when it doesn't."""
        deadline = time.monotonic() + service.patience
        while service.ready_url is not None:
            self.check()
            if _answers(service.ready_url):
                return
            if time.monotonic() > deadline:
                raise StackError(
                    f"{service.name} did not answer within {service.patience:g} s.{self._tail(service.name)}"
                )
            time.sleep(0.1)

    def check(self) -> None:
        """Raise StackError when a process has died."""
        for name, process in self._running.items():
            if process.poll() not in {None, 0}:
                raise StackError(f"{name} ended with exit code {process.returncode}.{self._tail(name)}")

    def _tail(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-12:]
        return "\n".join([f" The end of {path}:", *(f"  {line}" for line in lines)])


def _leave(*_: object) -> None:
    sys.exit(1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0).is_success
    except httpx.HTTPError:
        return False


def free_ports(count: int) -> Sequence[int]:
    """Ports that nothing listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def ours(*arguments: str) -> tuple[str, ...]:
    """The softlaunch command of this very environment."""
    return (sys.executable, "-m", "deployments.cli", *arguments)


def prefects(*arguments: str) -> tuple[str, ...]:
    """The prefect command of this very environment."""
    return (sys.executable, "-m", "prefect", *arguments)
