"""Keeping services alive: what dies is started again, after a pause that grows and is bounded."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from softlaunch.installation.stack import Service, Stack

LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0


@dataclass(slots=True)
class Supervisor:
    """Restarts the services of a stack. `report` gets a line for each death and restart."""

    stack: Stack
    report: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _failures: dict[str, int] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)
    _due: dict[str, tuple[float, Service]] = field(default_factory=dict)

    def look(self) -> None:
        """Take note of the dead, and start again those whose pause is over."""
        now = self.clock()
        for service, code in self.stack.dead():
            if service.name not in self._due:
                pause = self._pause(service, now)
                self._due[service.name] = (now + pause, service)
                self.report(f"{service.name} ended with exit code {code}; it starts again in {pause:.0f} s")
        for name, (due, service) in list(self._due.items()):
            if now >= due:
                del self._due[name]
                self._started[name] = now
                self.stack.start(service)
                self.report(f"{name} was started again")

    def _pause(self, service: Service, now: float) -> float:
        """A second after a steady run, twice as long after each short one."""
        began = self._started.get(service.name)
        short = began is not None and now - began < _STEADY_SECONDS
        failures = self._failures.get(service.name, 0) + 1 if short else 0
        self._failures[service.name] = failures
        return float(min(2.0**failures, LONGEST_PAUSE_SECONDS))


@contextmanager
def shown(stack: Stack, services: list[Service], write: Callable[[str], None]) -> Iterator[None]:
    """While the block works, write each line that the services' logs grow by, with the service's name before it."""
    over = threading.Event()
    threads = [
        threading.Thread(target=_follow, args=(stack, service, write, over), daemon=True) for service in services
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _follow(stack: Stack, service: Service, write: Callable[[str], None], over: threading.Event) -> None:
    path = stack.log_of(service)
    path.touch()
    with path.open(encoding="utf-8", errors="replace") as log:
        log.seek(0, 2)
        last_look = False
        rest = ""
        while True:
            *lines, rest = (rest + log.read()).split("\n")
            for line in lines:
                if line.strip():
                    write(f"{service.name:<9} | {line}")
            if last_look:
                return
            last_look = over.wait(0.3)
