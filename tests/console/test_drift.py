"""Drift in the console: every app's newest check, one app over the months, and the report of a check."""

import re

import pytest

from softlaunch.console.state import Console
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.policy.drift import DriftPolicy
from softlaunch.reports.drift_history import PastCheck, check_plots, week_plots
from tests.console.browsing import Browser, check_page
from tests.console.drift_scene import ACCURACIES, MONTH, SUNK, add_drift, check_report
from tests.reports.page_reader import PageReader
from tests.support.builders import APP, NOON

PAGE = f"/apps/{APP}/drift"


@pytest.fixture
def checked(console: Console) -> Console:
    """A console on a ledger with half a year of checks."""
    add_drift(console.database)
    return console


@pytest.mark.anyio
async def test_pages_are_whole(checked: Console) -> None:
    """Like every page of the console; an app without any check has one, too."""
    browser = Browser(checked)
    for address in ("/drift", PAGE, "/drift?q=none"):
        check_page(await browser.get(address))
    assert (await browser.get("/apps/none/drift")).status_code == 404
    assert (await browser.get(f"/drift/{APP}-drift-2")).status_code == 404  # a baseline has no report


@pytest.mark.anyio
async def test_every_app_has_its_newest_check_in_the_list(checked: Console) -> None:
    """With what it found, and the way to the app's page."""
    page = (await Browser(checked).get("/drift")).text
    assert f"{APP} ✘ drifted" in PageReader(page).text
    assert f'href="{PAGE}"' in page


@pytest.mark.anyio
async def test_an_app_shows_its_months_its_checks_and_its_incidents(checked: Console) -> None:
    """A plot for each metric and for the ratings, every run, and the incident that is open."""
    page = (await Browser(checked).get(PAGE)).text
    assert re.findall(r'<svg class="band"[^>]* aria-label="([^"]+)"', page) == [
        "accuracy over the checks",
        "answered over the checks",
        "latency over the checks",
        "satisfaction by week",
    ]
    text = PageReader(page).text
    for shown in ("✘ Drifted", "frozen", "5 % less", "another level from here", "Prompt drift", "what it found"):
        assert shown in text, shown
    assert f'href="/drift/{APP}-drift-8"' in page


@pytest.mark.anyio
async def test_a_checks_report_is_one_file(checked: Console) -> None:
    """It needs nothing from elsewhere."""
    answer = await Browser(checked).get(f"/drift/{APP}-drift-8")
    assert answer.status_code == 200
    assert not PageReader(answer.text).tags & {"script", "link", "img"}


def test_checks_are_joined_by_metric_and_marked_where_drift_began() -> None:
    """Scores in percent, amounts in percent of what they were; a second check that still drifts isn't another event."""
    policy = DriftPolicy(margin=Margin(MarginKind.POINTS, 0.03))
    plots = check_plots(_checks(), policy)
    assert [(one.metric, one.scale) for one in plots] == [
        ("accuracy", "percent"),
        ("answered", "percent"),
        ("latency", "percent more or less than at its baseline"),
    ]
    for one in plots:
        assert one.plot.count('class="event"') == 1
        assert one.plot.count('class="dot"') == len(ACCURACIES)
    assert "3 points less" in plots[0].plot


def test_one_check_is_no_history() -> None:
    """There is no plot of it."""
    assert check_plots(_checks()[:1], DriftPolicy()) == []


def test_weeks_of_several_checks_are_one_line_with_each_change_once() -> None:
    """Later checks replace what earlier ones saw of the same weeks; all of them tell of the same change."""
    (plot,) = week_plots(_checks())
    assert plot.metric == "satisfaction"
    assert plot.plot.count('class="dot"') in range(28, 36)
    assert plot.plot.count('class="event"') == 1


def _checks() -> list[PastCheck]:
    return [
        PastCheck(NOON + number * MONTH, check_report(number, accuracy, drifted=number >= SUNK))
        for number, accuracy in enumerate(ACCURACIES)
    ]
