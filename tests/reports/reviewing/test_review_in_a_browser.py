"""The review page in a real browser: keys, filters, search and votes."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from softlaunch.evals.judges.votes import Vote
from softlaunch.reports.reviewing.server import Review
from softlaunch.store.database import Database
from tests.reports.reviewing.test_review_server import NOW, reviewed, votes

pytestmark = pytest.mark.long
WAIT_MS = 60_000


@contextmanager
def serving(review: Review) -> Iterator[str]:
    """The review on a free port, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(review.app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_review_by_keyboard(database: Database, scheme: str) -> None:
    """Move, vote, filter and search without a mouse; what was said is in the ledger and there after a reload."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    review = Review(database, reviewed(), "anna", lambda: NOW)
    with serving(review) as address, sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(color_scheme=scheme)
        page.set_default_timeout(WAIT_MS)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.keyboard.press("j")
        page.keyboard.press("s")
        page.locator('[data-case="c0"] .said', has_text="saved").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("t")
        page.locator('[data-case="c1"] .said', has_text="saved").wait_for()
        page.reload()
        assert page.locator('[data-case="c0"]').get_attribute("data-vote") == "stable"
        page.get_by_role("button", name="unlabelled").click()
        page.locator("#shown", has_text="1 of 3 shown").wait_for()
        page.get_by_role("button", name="all").click()
        page.keyboard.press("/")
        page.keyboard.type("question 1")
        page.locator("#shown", has_text="1 of 3 shown").wait_for()
        browser.close()
    with database.read() as session:
        assert votes(session) == [("c0", Vote.STABLE, "anna"), ("c1", Vote.TIE, "anna")]
    icon = [problem for problem in problems if "favicon" not in problem and "404" not in problem]
    assert icon == []
