"""A whole `softlaunch up` as a process, and every process that belongs to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.servers import wait_until


@dataclass
class Up:
    """A running `softlaunch up` and where its parts listen."""

    process: subprocess.Popen[bytes]
    home: Path
    gateway_port: int
    prefect_port: int

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return (self.home / "up.txt").read_text(errors="replace")

    def await_everything(self) -> None:
        """Wait until everything runs."""
        wait_until(lambda: "Everything runs." in self.said or self.process.poll() is not None, "everything runs", 240)
        assert self.process.poll() is None, self.said

    def pids(self, words: str) -> list[int]:
        """Processes of this stack whose command line has these words."""
        return [pid for pid, command in stack_processes(self.home).items() if words in command]


def stack_processes(home: Path) -> dict[int, str]:
    """Command lines of all processes that were told this home, by their ids."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"SOFTLAUNCH_HOME={home}".encode() in environment and command:
            found[int(folder.name)] = command
    return found


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running_up(
    home: Path, ports: tuple[int, int] | None = None, options: tuple[str, ...] = (), /, **environment: str
) -> Iterator[Up]:
    """Run it while the block works; whatever is left of it afterwards is killed."""
    ports = ports or (free_port(), free_port())
    command = [sys.executable, "-m", "softlaunch.cli", "up"]
    command += ["--gateway-port", str(ports[0]), "--prefect-port", str(ports[1]), *options]
    home.mkdir(exist_ok=True)
    with (home / "up.txt").open("wb") as out:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SOFTLAUNCH_"))
        }
        told = {**inherited, "PYTHONPATH": str(ROOT), "SOFTLAUNCH_HOME": str(home), **environment}
        told.setdefault("SOFTLAUNCH_CONSOLE_PORT", str(free_port()))
        process = subprocess.Popen(command, env=told, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Up(process, home, *ports)
    finally:
        kill_all(home)
        process.wait()


def kill_all(home: Path) -> None:
    """Kill every process of a stack at once, as the end of its machine does."""
    while left := stack_processes(home):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
