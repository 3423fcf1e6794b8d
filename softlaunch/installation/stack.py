"""Processes that belong together: started, awaited, restarted, and stopped whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.private_files import private_folder, private_opener


class StackError(SoftlaunchError):
    """A process of the stack did not come up, or died."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process: its name, its command, the URL that answers once it is ready, and how long it may take to stop."""

    name: str
    command: tuple[str, ...]
    ready_url: str | None = None
    patience: float = 30.0
    stop_patience: float = 3.0


@dataclass(slots=True)
class Stack:
    """Processes with one environment and one folder for their logs; a context manager that stops them all."""

    logs: Path
    environment: dict[str, str]
    _services: dict[str, Service] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> "Stack":
        """Nothing is started yet. A terminal that closes, or a `kill`, ends the processes like Ctrl-C does.

        A caller that has its own way of ending keeps it.
        """
        private_folder(self.logs)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) is signal.SIG_DFL:
                signal.signal(ending, _leave)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every process, the latest first; those that won't are killed, with whatever they have started."""
        for name in list(self._running)[::-1]:
            self._stop(name)

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        below = descendants(process.pid)  # Prefect gives each flow run a session of its own, out of the group's reach
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._services[name].stop_patience)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid, began in below.items():
            if _begin_of(pid) == began:  # still the same process
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def start(self, service: Service) -> None:
        """Start a process in a group of its own, so that a Ctrl-C at the terminal reaches only the stack's owner."""
        self._services[service.name] = service
        with open(self.log_of(service), "ab", opener=private_opener) as log:
            self._running[service.name] = subprocess.Popen(  # noqa: S603  (the commands are ours)
                service.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def await_ready(self, service: Service, stopping: threading.Event | None = None) -> None:
        """Wait until a process answers or somebody stops it all; raises StackError, with the end of its log."""
        deadline = time.monotonic() + service.patience
        while service.ready_url is not None and not (stopping and stopping.is_set()):
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

    def dead(self) -> list[tuple[Service, int]]:
        """Services whose process has ended, with its exit code."""
        found = [(name, process.poll()) for name, process in self._running.items()]
        return [(self._services[name], code) for name, code in found if code is not None]

    def log_of(self, service: Service) -> Path:
        """Where a service's output is."""
        return self.logs / f"{service.name}.log"

    def _tail(self, name: str) -> str:
        path = self.log_of(self._services[name])
        lines = path.read_text(errors="replace").splitlines()[-12:]
        return "\n".join([f" The end of {path}:", *(f"  {line}" for line in lines)])


def descendants(pid: int) -> dict[int, str]:
    """Every process below one, with when it began; none where the system has no /proc."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            parents[int(folder.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: _begin_of(child) for child in found - {pid}}


def _begin_of(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty when there is none."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on: proc(5), fields 3 and up."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _leave(*_: object) -> None:
    sys.exit(1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0).status_code < 500
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
    return (sys.executable, "-m", "softlaunch.cli", *arguments)


def prefects(*arguments: str) -> tuple[str, ...]:
    """The prefect command of this very environment."""
    return (sys.executable, "-m", "prefect", *arguments)
