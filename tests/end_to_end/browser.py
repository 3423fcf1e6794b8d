"""Prefect's pages in a headless Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, sync_playwright

_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@contextmanager
def opened(ui: str) -> Iterator[Page]:
    """A page of a browser, or a skip that says what to install."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here; on Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        page = browser.new_page(base_url=ui, viewport={"width": 1200, "height": 2400})
        page.set_default_timeout(60_000)
        try:
            yield page
        finally:
            browser.close()


class Form:
    """The form that starts a run of a deployment."""

    def __init__(self, page: Page, deployment_id: str) -> None:
        self._page = page
        page.goto(f"/deployments/deployment/{deployment_id}/run")

    def write(self, label: str, text: str) -> None:
        """Fill a field in."""
        self._field(label).locator("textarea").fill(text)

    def choose(self, label: str, kind: str) -> None:
        """Say which kind of value an optional field gets."""
        self._field(label).get_by_role("button", name=kind, exact=True).click()

    def submit(self) -> None:
        """Start the run, and wait until the page shows it."""
        self._page.get_by_role("button", name="Submit").click()
        self._page.wait_for_url(lambda url: not url.endswith("/run"))

    def _field(self, label: str) -> Locator:
        """The innermost field of that label; the fields around it hold it too, and come before."""
        named = self._page.locator(".schema-form-property__label").get_by_text(label, exact=True)
        return self._page.locator(".schema-form-property", has=named).last
