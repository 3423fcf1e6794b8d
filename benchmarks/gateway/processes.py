"""Processes under measurement: pinned to cores, waited for, and what they cost in CPU time and memory."""

import os
import re
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

GATEWAY_CORE = 0
LOAD_CORE = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class NotAvailableError(Exception):
    """What can't be measured, and why."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, open so many files. Raises NotAvailableError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise NotAvailableError(f"{count} open files are needed, and the hard limit is {hard}; raise it (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def start(
    command: Sequence[str | Path], folder: Path, cores: Sequence[int], environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process and its children on some cores, in a session of its own; its output goes into `folder`."""
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)],
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
    ended = process.poll()
    why = f"gave no good answer within {seconds:g} s" if ended is None else f"ended with {ended}"
    last = "".join(_COLOUR.sub("", (folder / "log.txt").read_text(errors="replace")).strip().splitlines()[-1:])
    raise NotAvailableError(f"{why}: {last[:200] or 'its log is empty'}")


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    """User and system time so far of every process in this one's session."""
    return sum(int(fields[11]) + int(fields[12]) for _, fields in _session(process)) / _TICKS


def peak_mb(process: "subprocess.Popen[bytes]") -> float:
    """The most resident memory (VmHWM) that each process in this one's session had so far, added up, in MB.

    What forks share is counted for each of them.
    """
    peaks = 0
    for folder, _ in _session(process):
        try:
            found = _PEAK.search((folder / "status").read_text())
        except OSError:  # it has just ended
            continue
        peaks += int(found[1]) if found else 0
    return peaks * 1024 / 1e6


def _session(process: "subprocess.Popen[bytes]") -> Iterator[tuple[Path, list[str]]]:
    """The folders in /proc of a session's processes, with the fields of `stat` behind the name."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == process.pid:
            yield stat.parent, fields
