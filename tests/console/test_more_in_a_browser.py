"""Evals, drift, A/B tests, prompts and models in a real browser: wide and light, narrow and dark, without a script."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel import col, select

from softlaunch.console.state import Console
from softlaunch.store.tables import EvalLabelRow
from tests.console.catalog_scene import add_versions
from tests.console.chromium import Seen, check_with_axe, serving
from tests.console.drift_scene import add_drift
from tests.console.eval_scene import RUN, add_drawn, add_eval
from tests.console.scenes import WAITING
from tests.console.test_deciding import let_end_early
from tests.console.trial_scene import TRIAL, add_trial
from tests.support.builders import APP, STABLE

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

PATIENCE_MS = 60_000
SCREENS: tuple[tuple[int, Literal["light", "dark"]], ...] = ((1400, "light"), (390, "dark"))
PAGES = {
    f"/releases/{WAITING}": "Failed requests",
    f"/releases/{WAITING}/advance": "Nothing is left to do",
    "/approvals/1": "Start canary 50 %?",
    "/requests/failed-0": "provider_failed",
    f"/apps/{APP}": "Label",
    "/evals": RUN,
    f"/evals/{RUN}": "Cases that lost most",
    f"/evals/{RUN}/review": "largest change first",
    f"/apps/{APP}/labels": "Live answers to label",
    f"/apps/{APP}/labels/reviewed": "2 left",
    "/drift": "drifted",
    f"/apps/{APP}/drift": "another level from here",
    f"/drift/{APP}-drift-8": "Drifted",
    "/ab-tests": TRIAL,
    f"/ab-tests/{TRIAL}": "Under way",
    f"/ab-tests/{TRIAL}/report": "Under way",
    f"/prompts/{STABLE.prompt.name}": "1.10.0",
    f"/prompts/{STABLE.prompt.name}/1.10.0": "What it changed",
    f"/models/{STABLE.model.name}": "Variants with it",
}


@pytest.fixture
def furnished_console(console: Console, tmp_path: Path) -> Console:
    """A console on a ledger that has something on every page."""
    add_eval(console.database, tmp_path)
    add_drawn(console.database)
    add_drift(console.database)
    add_trial(console.database)
    add_versions(console.database)
    return console


def test_every_page_is_for_everybody(furnished_console: Console, browser: Browser) -> None:
    """Nothing is wider than a screen or a phone, axe has nothing to say, and nothing goes wrong or elsewhere."""
    seen = Seen()
    with serving(furnished_console) as address:
        for width, scheme in ((1400, "light"), (390, "dark")):
            context = browser.new_context(
                base_url=address,
                viewport={"width": width, "height": 900},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            seen.watch(context)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            for place, words in PAGES.items():
                page.goto(place)
                expect(page.locator("main")).to_contain_text(words, timeout=PATIENCE_MS)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, place
                check_with_axe(page, place)
            context.close()
    assert seen.errors == []
    assert seen.hosts == {address}


@pytest.mark.parametrize("script", [pytest.param(True, id="with a script"), pytest.param(False, id="without")])
def test_a_person_reads_an_eval_and_votes(furnished_console: Console, browser: Browser, script: bool) -> None:  # noqa: FBT001  (a case)
    """From the app's page to the answers of a lost case, and the vote is there when they come again."""
    with serving(furnished_console) as address:
        context = browser.new_context(base_url=address, java_script_enabled=script)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"/apps/{APP}")
        page.get_by_role("link", name="Evals").last.click()
        page.get_by_role("link", name=RUN).click()
        page.get_by_role("link", name="Read the answers and vote").click()
        _vote(page, script=script)
        page.goto(f"/evals/{RUN}/review")
        expect(page.locator('[data-case="c0"] [aria-pressed=true]')).to_have_text("stable")
        context.close()
    with furnished_console.database.read() as session:
        assert session.exec(select(EvalLabelRow.vote).where(col(EvalLabelRow.case_id) == "c0")).all() == ["stable"]


@pytest.mark.parametrize("script", [pytest.param(True, id="with a script"), pytest.param(False, id="without")])
def test_a_person_on_a_phone_finds_a_failed_request_and_goes_on_early(
    console: Console,
    browser: Browser,
    script: bool,  # noqa: FBT001  (a case)
) -> None:
    """One of the release's failed requests, all of them by the search, and the next stage by a decision."""
    let_end_early(console)
    with serving(console) as address:
        context = browser.new_context(
            base_url=address, viewport={"width": 390, "height": 800}, java_script_enabled=script
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"/releases/{WAITING}")
        page.get_by_role("link", name="failed-1").click()
        expect(page.locator("main")).to_contain_text("provider_failed", timeout=PATIENCE_MS)
        page.goto("/requests")
        page.get_by_label("Arm").select_option("candidate")
        page.get_by_label("Outcome").select_option("failed")
        page.get_by_role("button", name="Find").click()
        expect(page.get_by_role("link", name="failed-")).to_have_count(3, timeout=PATIENCE_MS)
        page.goto(f"/releases/{WAITING}")
        page.get_by_role("link", name="Advance early…").click()
        page.get_by_label("Why?").fill("before the fair")
        page.get_by_role("button", name="Advance early").click()
        said = "anna decided to advance early (before the fair)"
        expect(page.locator("main")).to_contain_text(said, timeout=PATIENCE_MS)
        context.close()


def _vote(page: Page, *, script: bool) -> None:
    """Stable's answer to the first case is better."""
    page.locator('[data-case="c0"]').get_by_role("button", name="stable").click()
    if script:
        expect(page.locator('[data-case="c0"] .said')).to_have_text("saved", timeout=PATIENCE_MS)
    else:
        page.wait_for_url("**/review#case-c0")
