"""A person who has only the console, in a real browser, on a real installation: start, watch, approve, a rollback."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from softlaunch.cli.ui import begin_release
from softlaunch.console.access import Access
from softlaunch.console.state import Console
from softlaunch.simulator.cases import Case
from softlaunch.simulator.profiles import Latency
from tests.console.chromium import Seen, check_with_axe, serving
from tests.support.providers import quick_profile, running_provider
from tests.support.stage import APP, QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_MS = 240_000
CASES = [Case(id=f"q{number}", question=f"What is {number} plus 1?", expected=str(number + 1)) for number in range(40)]
GOLDEN = [
    {"id": one.id, "question": one.question, "expected": one.expected, "metric": "contains"} for one in CASES[:20]
]
POLICY: dict[str, Any] = {
    **QUICK,
    "eval": {**QUICK["eval"], "tolerance": "20 points"},
    "shadow": None,
    "stages": [
        {**QUICK["stages"][0], "weight_percent": 20},
        {**QUICK["stages"][1], "approval": True},
        QUICK["stages"][2],
    ],
    "approval": {"starter_may_approve": True},
    "gates": [{"metric": "errors", "margin": "10 points"}, {"metric": "latency", "margin": "150 %"}],
}


@pytest.fixture
def there(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation without Prefect, whose stable model has a fine and a slow one beside it."""
    monkeypatch.setenv("PREFECT_API_URL", "")
    slow = quick_profile("slow", latency=Latency(p50_s=0.4, p95_s=0.6))
    models = (quick_profile("steady"), quick_profile("fine"), slow)
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(CASES, models))
        write_app(tmp_path / "app", provider.endpoint, ["steady", "fine", "slow"], GOLDEN, POLICY)
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        yield stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=40))


@contextmanager
def _served(there: Installation, folder: Path) -> Iterator[str]:
    """The console on that installation; what it starts is driven by a thread of this process."""
    console = Console(there.database, Access("anna"), lambda asked: begin_release(there.database, asked), folder)
    with serving(console) as address:
        yield address
    console.background.close()


def _start(page: Page, model: str) -> None:
    """Start a release of another model, by the form."""
    page.goto(f"/apps/{APP}/start")
    page.get_by_label("Model").select_option(model)
    page.get_by_role("button", name="Show what that changes").click()
    expect(page.locator("ins").first).to_be_visible()
    page.get_by_role("button", name="Start this release").click()
    page.wait_for_url("**/releases/*")


def test_a_person_who_has_only_the_console(there: Installation, browser: Browser, tmp_path: Path) -> None:
    """They start a release, see it move, approve, see another one rolled back with its plot, and open the runbook."""
    seen = Seen()
    with _served(there, tmp_path) as address:
        context = browser.new_context(base_url=address, viewport={"width": 1200, "height": 900})
        seen.watch(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        try:
            _approve_one(page)
            _see_a_rollback(page)
        except Exception as error:
            raise AssertionError(f"what was to be seen: {page.locator('main').inner_text()}") from error
        _read_its_eval(page)
        _read_without_script(browser, address, seen)
        _check_with_axe(page)
        context.close()
    assert seen.errors == []
    assert seen.hosts == {address}


def _approve_one(page: Page) -> None:
    """A fine candidate: the page moves by itself, a person decides, and it is promoted."""
    _start(page, "fine")
    page.get_by_role("link", name="Decide…").click()
    page.get_by_label("Why?").fill("the cases that changed are fine")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("the cases that changed are fine")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Promoted")


def _see_a_rollback(page: Page) -> None:
    """A slow one: it is rolled back under the eyes of who looks, with the reason, the plot and what to do."""
    _start(page, "slow")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Rolled back")
    expect(page.locator("#part-head .why")).to_contain_text("latency: worse by")
    expect(page.get_by_role("img", name=re.compile("harm of latency over time"))).to_be_visible()
    page.get_by_role("link", name="Latency gate failed").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Latency gate failed")


def _read_its_eval(page: Page) -> None:
    """From the release that was rolled back to what its eval said, which comes in by itself."""
    page.goto(f"/releases/{APP}-2")
    page.get_by_role("link", name="The eval", exact=True).click()
    expect(page.get_by_role("heading", name="Cases that lost most")).to_be_visible()
    page.get_by_role("link", name="Read the answers and vote").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"eval {APP}-2")


def _read_without_script(browser: Browser, address: str, seen: Seen) -> None:
    """On a phone without JavaScript everything is there to read, and nothing is wider than the screen."""
    context = browser.new_context(
        base_url=address, viewport={"width": 390, "height": 800}, java_script_enabled=False, color_scheme="dark"
    )
    seen.watch(context)
    page = context.new_page()
    for place, words in {
        "/": APP,
        f"/releases/{APP}-2": "Rolled back",
        f"/releases/{APP}-1": "Promoted",
        "/incidents": "Latency gate failed",
        f"/apps/{APP}/start?model=slow": "Start this release",
    }.items():
        page.goto(place)
        expect(page.locator("main")).to_contain_text(words)
        box = page.locator("main").bounding_box()
        assert box is not None
        assert box["width"] <= 390, place
    context.close()


def _check_with_axe(page: Page) -> None:
    """No violation of what axe-core can tell of accessibility."""
    for place in (
        "/",
        f"/apps/{APP}",
        f"/releases/{APP}-2",
        f"/apps/{APP}/start?model=slow",
        "/incidents",
        "/variants",
        "/requests",
    ):
        page.goto(place)
        check_with_axe(page, place)
