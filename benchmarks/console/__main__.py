"""Time the console's pages on a large ledger, on SQLite and others: python -m benchmarks.console [URL...]."""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.console.evals import LARGE_EVAL
from benchmarks.console.ledger import Size, build, variant
from softlaunch.console.access import Access
from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from softlaunch.core.clock import utc_now
from softlaunch.store.migrate import open_database

ROUNDS = 9
SIZE = Size()
VARIANT, OTHER = (variant(number).digest for number in (0, 1))
PAGES = {
    "apps": "/",
    "apps, the last page": "/?page=4",
    "apps by name": "/?q=19",
    "one app": "/apps/app-000",
    "releases": "/releases",
    "releases, page 50": "/releases?page=50",
    "releases of one app": "/releases?app=app-100",
    "releases that were rolled back, page 20": "/releases?state=rolled_back&page=20",
    "a live release with 40,000 requests": f"/releases/{SIZE.busy}",
    "a release that is over": "/releases/app-100-24",
    "its report": "/releases/app-100-24/report",
    "roll it back": "/releases/app-100-25/roll-back",
    "approvals": "/approvals",
    "a question": "/approvals/1",
    "incidents": "/incidents?all=1",
    "an incident": "/incidents/1",
    "runbooks": "/runbooks",
    "a runbook": "/runbooks/gate_latency",
    "start a release": "/apps/app-100/start",
    "A/B tests": "/ab-tests",
    "an A/B test with 200 looks": "/ab-tests/app-100-ab-99",
    "evals": "/evals",
    "evals of one app": "/evals?app=app-100",
    "an eval with 1,800 answers": f"/evals/{LARGE_EVAL}",
    "drift": "/drift",
    "drift of one app, 24 checks": "/apps/app-100/drift",
    "prompts": "/prompts",
    "a prompt with 40 versions": "/prompts/support",
    "a version of it": "/prompts/support/1.7.0",
    "models": "/models",
    "a model of everything": "/models/steady",
    "variants": "/variants",
    "a variant": f"/variants/{VARIANT}",
    "two variants": f"/variants/compare?a={VARIANT}&b={OTHER}",
    "requests": "/requests",
    "failed requests": "/requests?outcome=failed&arm=candidate",
    "a user's requests": "/requests?more=17",
    "one request": "/requests/request-99000",
}


@dataclass(slots=True)
class Timed:
    """The answers to one page from one ledger: clock and processor in milliseconds, the first ones apart."""

    kilobytes: float = 0.0
    taken: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def row(self) -> list[str]:
        """Size, the first time, median and slowest of the others, the processor's median."""
        first, *rest = self.taken
        numbers = (self.kilobytes, first, statistics.median(rest), max(rest), statistics.median(self.cpu))
        return [f"{number:.0f}" for number in numbers]


def main(urls: Sequence[str]) -> None:
    """Print for each page and ledger its size, the first time that it is made, and the median after it."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        consoles = {}
        for url in [f"sqlite:///{folder}/ledger.db", *urls]:
            database = open_database(url)
            stack.callback(database.close)
            began = time.perf_counter()
            build(database, utc_now(), SIZE)
            name = database.url.get_backend_name()
            print(f"the ledger on {name} took {time.perf_counter() - began:.0f} s", file=sys.stderr)
            consoles[name] = Console(database, Access("anna"), lambda _: "", Path("/nonexistent"))
            stack.callback(consoles[name].background.close)
        asyncio.run(_measure(consoles))


async def _measure(consoles: Mapping[str, Console]) -> None:
    """All pages of all ledgers in turn, so that what else the machine does meets them alike."""
    timed = {(name, page): Timed() for page in PAGES for name in consoles}
    async with AsyncExitStack() as stack:
        clients = {}
        for name, console in consoles.items():
            transport = httpx.ASGITransport(build_app(console))
            client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
            clients[name] = await stack.enter_async_context(client)
        for _ in range(ROUNDS + 1):
            for (name, page), one in timed.items():
                consoles[name].live.forget()  # nobody else looks at this page
                await _ask(clients[name], PAGES[page], one)
    print("| page | ledger | KB | first, ms | median, ms | slowest, ms | processor, ms |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for (name, page), one in timed.items():
        print(f"| {page} | {name} | {' | '.join(one.row)} |", flush=True)


async def _ask(client: httpx.AsyncClient, address: str, timed: Timed) -> None:
    began, used = time.perf_counter(), time.process_time()
    answer = await client.get(address)
    timed.taken.append(1000 * (time.perf_counter() - began))
    timed.cpu.append(1000 * (time.process_time() - used))
    timed.kilobytes = len(answer.content) / 1000
    assert answer.status_code == 200, (address, answer.text)


if __name__ == "__main__":
    main(sys.argv[1:])
