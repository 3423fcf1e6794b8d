"""Processes under measurement: pinned to a core, waited for, and what they cost in CPU time."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.gateway.load import Target, generate

GATEWAY_CORE = 0
LOAD_CORE = 1
_TICKS = os.sysconf("SC_CLK_TCK")


class NotAvailableError(Exception):
    """A peer that isn't measured, and why."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(
    command: Sequence[str | Path], folder: Path, core: int, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process and its children on one core, in a session of its own; its output goes to a file in `folder`."""
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process by its id, politely at first."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(happened: Callable[[], bool], process: "subprocess.Popen[bytes]", folder: Path, seconds: float) -> None:
    """Return when something has happened. Raises NotAvailableError with the last line of the process's log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if happened():
            return
        time.sleep(0.1)
    last = (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
    raise NotAvailableError(f"didn't start within {seconds:g} s: {' '.join(last)[:200]}")


def wait_until_it_answers(process: "subprocess.Popen[bytes]", target: Target, folder: Path, seconds: float) -> None:
    """Return when requests are answered with 200. Raises NotAvailableError."""

    def answers() -> bool:
        try:
            found = generate(target, 1, 0.3)
        except OSError:
            return False
        return found.answers > found.errors

    wait_for(answers, process, folder, seconds)


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    """User and system time so far of every process in this one's session."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == process.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS
