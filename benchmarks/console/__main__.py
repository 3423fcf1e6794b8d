"""Time the console's pages on a large ledger: python -m benchmarks.console [URL]."""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.console.evals import LARGE_EVAL
from benchmarks.console.ledger import BUSY, build
from softlaunch.console.access import Access
from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from softlaunch.core.clock import utc_now
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database

ROUNDS = 9
PAGES = {
    "apps": "/",
    "apps, the last page": "/?page=4",
    "one app": "/apps/app-000",
    "releases": "/releases",
    "releases, page 50": "/releases?page=50",
    "releases of one app": "/releases?app=app-100",
    "a live release with 40,000 requests": f"/releases/{BUSY}",
    "a release that is over": "/releases/app-100-24",
    "its report": "/releases/app-100-24/report",
    "approvals": "/approvals",
    "a question": "/approvals/1",
    "incidents": "/incidents?all=1",
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
    "requests": "/requests",
    "failed requests": "/requests?outcome=failed&arm=candidate",
    "a user's requests": "/requests?more=17",
    "one request": "/requests/request-99000",
}


def main(url: str | None) -> None:
    """Print for each page its size, the first time that it is made, and the median after it."""
    with _ledger(url) as database:
        began = time.perf_counter()
        build(database, utc_now())
        print(f"the ledger took {time.perf_counter() - began:.0f} s", file=sys.stderr)
        console = Console(database, Access("anna"), lambda _: "", Path("/nonexistent"))
        asyncio.run(_measure(console))
        console.background.close()


@contextmanager
def _ledger(url: str | None) -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(url or f"sqlite:///{folder}/ledger.db")
        yield database
        database.close()


async def _measure(console: Console) -> None:
    print("| page | KB | first, ms | median, ms | slowest, ms | processor, ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    transport = httpx.ASGITransport(build_app(console))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.get("/runbooks")  # loads the templates' engine
        for name, address in PAGES.items():
            taken, cpu = [], []
            for _ in range(ROUNDS + 1):
                console.live.forget()  # nobody else looks at this page
                began, used = time.perf_counter(), time.process_time()
                answer = await client.get(address)
                taken.append(1000 * (time.perf_counter() - began))
                cpu.append(1000 * (time.process_time() - used))
                assert answer.status_code == 200, (address, answer.text)
            first, *rest = taken
            row = [
                f"{first:.0f}",
                f"{statistics.median(rest):.0f}",
                f"{max(rest):.0f}",
                f"{statistics.median(cpu):.0f}",
            ]
            print(f"| {name} | {len(answer.content) / 1000:.0f} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
