"""An open page, in a real browser: the network goes dead for a minute, and the console is started again."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from softlaunch.console.state import Console
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from tests.console.conftest import MakeConsole
from tests.console.scenes import WAITING, make_console
from tests.console.serving import Line, serving
from tests.support.builders import ANNA, APP, Clock

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

PATIENCE_MS = 30_000
MINUTE = "01:00"


@pytest.fixture
def page(browser: Browser) -> Page:
    """A page whose clock can be turned."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.clock.install()
    return page


def test_a_page_catches_up_after_a_minute_without_a_network(console: Console, page: Page) -> None:
    """Nobody tells the browser that the line is dead: the page notices the silence, says so, and comes back."""
    with serving(console) as port:
        line = Line(port)
        page.goto(f"http://127.0.0.1:{line.port}/releases/{WAITING}")
        expect(page.locator("h1")).to_contain_text("under way")
        line.cut()
        _abort(console)
        page.clock.fast_forward(MINUTE)
        expect(page.locator("#connection")).to_contain_text("is lost. What you see is from")
        expect(page.locator("h1")).to_contain_text("under way")
        line.mend()
        page.clock.fast_forward(MINUTE)
        expect(page.locator("h1")).to_contain_text("Aborted")
        expect(page.locator("#connection")).to_be_hidden()
        line.close()


def test_a_restart_of_the_console_between_loses_nothing(make: MakeConsole, page: Page, tmp_path: Path) -> None:
    """A page says that it shows the past, and comes back; a form from before asks again, with what was written."""
    console = make()
    with serving(console) as port:
        page.goto(f"http://127.0.0.1:{port}/approvals/1")
        page.get_by_label("Why?").fill("the cases are fine")
        watching = page.context.new_page()
        watching.goto(f"http://127.0.0.1:{port}/releases/{WAITING}")
        expect(watching.locator("h1")).to_contain_text("under way")
    expect(watching.locator("#connection")).to_contain_text("is lost")
    again = make_console(Database(f"sqlite:///{tmp_path / 'ledger.db'}"), Clock(console.clock()), tmp_path)
    with serving(again, port):
        expect(watching.locator("#connection")).to_be_hidden()
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("alert")).to_contain_text("The console was started again")
        expect(page.get_by_label("Why?")).to_have_value("the cases are fine")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status").last).to_contain_text("approved: canary 10 % passed")
        expect(watching.locator("#part-people")).to_contain_text("the cases are fine")
    again.background.close()
    again.database.close()


def _abort(console: Console) -> None:
    with console.database.begin() as session:
        abort(session, APP, ANNA, "make room", console.clock())
