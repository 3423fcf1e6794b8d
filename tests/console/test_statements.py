"""How much of the ledger a page reads: as many statements however large the ledger is."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from sqlalchemy import event

from benchmarks.console.ledger import Size, build, variant
from softlaunch.console.access import Access
from softlaunch.console.background import Background, Found
from softlaunch.console.state import Console
from softlaunch.core.clock import utc_now
from softlaunch.store.database import Database
from tests.console.browsing import Browser

MOST = 60
SMALL = Size(apps=2, releases=4, requests=50, looks=5, live=1, answers=2)
LARGE = Size(apps=5, releases=7, requests=300, looks=15, live=4, answers=10)


def _pages(size: Size) -> dict[str, str]:
    live, over = size.busy, f"app-001-{size.releases - 1}"
    one, other = variant(0).digest, variant(1).digest
    addresses = [
        "/",
        "/?page=2",
        "/apps/app-000",
        "/apps/app-001/start",
        "/releases",
        "/releases?page=2",
        "/releases?app=app-001",
        "/releases?state=live",
        f"/releases/{live}",
        f"/releases/{over}",
        f"/releases/{over}/report",
        f"/releases/{live}/roll-back",
        "/approvals",
        "/approvals/1",
        "/incidents?all=1",
        "/incidents/1",
        "/runbooks",
        "/variants",
        f"/variants/{one}",
        f"/variants/compare?a={one}&b={other}",
        "/requests",
        "/requests?outcome=failed",
        "/requests/request-1",
    ]
    return {address.replace(live, "LIVE").replace(over, "OVER"): address for address in addresses}


class Nothing(Background):
    """Works out nothing."""

    def get(self, key: Hashable, work: Callable[[], Any], seconds: float) -> Found:
        """Nothing is known yet."""
        return Found()


@contextmanager
def _told(database: Database) -> Iterator[list[str]]:
    """The statements of a block."""
    found: list[str] = []

    def take(*told: object) -> None:
        found.append(str(told[2]))

    event.listen(database.engine, "before_cursor_execute", take)
    yield found
    event.remove(database.engine, "before_cursor_execute", take)


async def _counts(path: Path, size: Size) -> dict[str, int]:
    database = Database(f"sqlite:///{path}")
    build(database, utc_now(), size)
    console = Console(database, Access("anna"), lambda _: "", Path("reports"))
    console.background = Nothing()  # what is worked out beside a page isn't the page's
    browser, counts = Browser(console), {}
    for name, address in _pages(size).items():
        with _told(database) as statements:
            answer = await browser.get(address)
        assert answer.status_code == 200, address
        counts[name] = len(statements)
    database.close()
    return counts


@pytest.mark.long
@pytest.mark.anyio
async def test_a_page_asks_as_often_whatever_the_ledger_holds(migrated_file: Path, tmp_path: Path) -> None:
    """More apps, releases of each, requests, looks and answers of an eval: not one statement more, and few in all."""
    small, large = (copy(migrated_file, tmp_path / f"{name}.db") for name in ("small", "large"))
    few, many = await _counts(Path(small), SMALL), await _counts(Path(large), LARGE)
    assert many == few
    assert {name: count for name, count in many.items() if count > MOST} == {}
