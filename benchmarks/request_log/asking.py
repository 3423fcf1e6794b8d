"""Everything that is asked of a request log, on a small one and on a large one in turn: questions, pages, looks."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benchmarks.request_log.history import BUSY, LEDGER, QUIET, STEADY, Past
from benchmarks.request_log.questions import QUESTIONS, Scene
from softlaunch.console.access import Access
from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from softlaunch.store.database import Database

_BUSY_RELEASE, _STEADY_RELEASE = f"{BUSY}-{LEDGER.releases}", f"{STEADY}-{LEDGER.releases}"
PAGES = {
    "page: apps": "/",
    "page: an app": f"/apps/{BUSY}",
    "page: a release of 100 requests a second": f"/releases/{_STEADY_RELEASE}",
    "page: a release that is over": f"/releases/{BUSY}-10",
    "page: the newest requests": "/requests",
    "page: failed requests": "/requests?outcome=failed&arm=candidate",
    "page: a user's requests": "/requests?more=17",
    "page: a request": f"/requests/{BUSY}-00000000000003e9",
}


@dataclass(slots=True)
class Timed:
    """How long something took, by the clock and by this process and the server's, in milliseconds."""

    taken: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    @contextmanager
    def measure(self, processor: Callable[[], float]) -> Iterator[None]:
        """Once more."""
        used, began = time.process_time() + processor(), time.perf_counter()
        yield
        self.taken.append(1000 * (time.perf_counter() - began))
        self.used.append(1000 * (time.process_time() + processor() - used))

    @property
    def row(self) -> str:
        """Medians without the first, which fills caches, and the slowest."""
        rest, used = self.taken[1:], self.used[1:]
        return f"{statistics.median(rest):.1f} | {max(rest):.0f} | {statistics.mean(used):.1f}"


def ask(ledgers: Mapping[str, tuple[Database, Past]], rounds: int, processor: Callable[[], float]) -> None:
    """Ask each of all ledgers in turn, again and again, and print a table. `processor` tells what the servers used."""
    scenes = {name: (database, _scenes(past)) for name, (database, past) in ledgers.items()}
    found: dict[tuple[str, str], Timed] = {}
    for number in range(rounds + 1):
        for what, question in QUESTIONS.items():
            for name, (database, (steady, _)) in scenes.items():
                with found.setdefault((what, name), Timed()).measure(processor):
                    question(database, steady)
        asyncio.run(_pages(ledgers, found, processor))
        print(f"round {number}", flush=True)
    _print(found, list(ledgers))


def _scenes(past: Past) -> tuple[Scene, Scene]:
    """The release of the app with 100 requests a second, of the same size on each ledger, and the busy one's."""
    steady = Scene(STEADY, _STEADY_RELEASE, QUIET, past.now - 1000, past.now)
    return steady, Scene(BUSY, _BUSY_RELEASE, QUIET, past.began, past.now)


async def _pages(
    ledgers: Mapping[str, tuple[Database, Past]], found: dict[tuple[str, str], Timed], processor: Callable[[], float]
) -> None:
    for name, (database, past) in ledgers.items():
        at = datetime.fromtimestamp(past.now, UTC)
        console = Console(database, Access("anna"), lambda _: "", Path("/nonexistent"), clock=lambda at=at: at)  # type: ignore[misc]
        transport = httpx.ASGITransport(build_app(console))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for what, address in PAGES.items():
                with found.setdefault((what, name), Timed()).measure(processor):
                    answer = await client.get(address)
                assert answer.status_code == 200, (address, answer.text[:500])
        console.background.close()


def _print(found: Mapping[tuple[str, str], Timed], names: list[str]) -> None:
    heads = " | ".join(f"{name}: median, ms | slowest | processor" for name in names)
    print(f"| | {heads} |\n| --- |{' ---: |' * 3 * len(names)}")
    for what in dict.fromkeys(what for what, _ in found):
        print(f"| {what} | {' | '.join(found[what, name].row for name in names)} |", flush=True)
