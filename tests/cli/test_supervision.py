"""Restarting what dies, with pauses that grow and are bounded."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from softlaunch.installation.stack import Service, Stack, descendants
from softlaunch.installation.supervision import LONGEST_PAUSE_SECONDS, Supervisor, shown
from tests.support.servers import wait_until


@dataclass
class Ticks:
    """A monotonic clock that goes only when told."""

    now: float = 0.0

    def __call__(self) -> float:
        """The time it shows."""
        return self.now


@dataclass
class Mortal(Stack):
    """A stack whose one service is dead whenever it is looked at, until it is started again."""

    starts: list[float] = field(default_factory=list)
    ticks: Ticks = field(default_factory=Ticks)
    alive: bool = False

    def dead(self) -> list[tuple[Service, int]]:
        """The service, unless it has just been started."""
        return [] if self.alive else [(Service("worker", ()), 1)]

    def start(self, service: Service) -> None:
        """Note when."""
        self.starts.append(self.ticks.now)
        self.alive = True


def test_pauses_grow_while_a_service_keeps_dying_and_end_when_it_lives(tmp_path: Path) -> None:
    """1, 2, 4 ... 30 seconds, and a second again after it lived for a minute; each death is told."""
    stack = Mortal(tmp_path, {})
    told: list[str] = []
    supervisor = Supervisor(stack, told.append, stack.ticks)
    pauses = []
    for _ in range(8):
        stack.alive = False
        died = stack.ticks.now
        while not stack.alive:
            supervisor.look()
            stack.ticks.now += 0.5
        pauses.append(stack.starts[-1] - died)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert told[0] == "worker ended with exit code 1; it starts again in 1 s"
    stack.ticks.now += 61
    stack.alive = False
    died = stack.ticks.now
    while not stack.alive:
        supervisor.look()
        stack.ticks.now += 0.5
    assert stack.starts[-1] - died == 1


ESCAPING = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found through /proc")
def test_what_a_service_has_started_ends_with_it(tmp_path: Path) -> None:
    """Also a process in a session of its own, as Prefect's worker starts flow runs: it would drive on unseen."""
    service = Service("worker", (sys.executable, "-c", ESCAPING), stop_patience=10)
    with Stack(tmp_path, {}) as stack:
        stack.start(service)
        wait_until(lambda: stack.log_of(service).read_text().endswith("\n"), "it has started another process")
        child = int(stack.log_of(service).read_text())
        assert child in descendants(os.getpid())
    wait_until(lambda: ended(child), "the other process has ended")


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for somebody to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_logs_are_shown_with_the_name_of_their_service(tmp_path: Path) -> None:
    """Every line once, the last ones too; the log file holds them as they were."""
    service = Service("speaker", (sys.executable, "-c", "print('one'); print('two')"))
    stack = Stack(tmp_path, {})
    lines: list[str] = []
    with stack, shown(stack, [service], lines.append):
        stack.start(service)
        wait_until(lambda: bool(stack.dead()), "it has spoken")
    assert lines == ["speaker   | one", "speaker   | two"]
    assert stack.log_of(service).read_text() == "one\ntwo\n"
