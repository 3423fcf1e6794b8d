"""A furnished ledger, made once, and a console on a copy of it for every test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from softlaunch.console.state import Console
from softlaunch.store.database import Database
from tests.console.scenes import furnish, make_console
from tests.support.builders import Clock

MakeConsole = Callable[..., Console]


@pytest.fixture(scope="session")
def furnished(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clock]:
    """The file of a furnished ledger, and the time there."""
    path = tmp_path_factory.mktemp("console") / "ledger.db"
    shutil.copy(migrated_file, path)
    database = Database(f"sqlite:///{path}")
    clock = furnish(database).clock
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path, clock


@pytest.fixture
def make(furnished: tuple[Path, Clock], tmp_path: Path) -> Iterator[MakeConsole]:
    """Makes the console of a test; what is given are rules of access."""
    made: list[Console] = []

    def one(**access: Any) -> Console:
        shutil.copy(furnished[0], tmp_path / "ledger.db")
        console = make_console(
            Database(f"sqlite:///{tmp_path / 'ledger.db'}"), Clock(furnished[1].now), tmp_path, **access
        )
        made.append(console)
        return console

    yield one
    for console in made:
        console.background.close()
        console.database.close()


@pytest.fixture
def console(make: MakeConsole) -> Console:
    """A console of anna, who may do everything that the policy lets her."""
    return make()


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the console runs on."""
    return "asyncio"


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A headless Chromium, or a skip that says what to install."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here; on Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        opened = playwright.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()
