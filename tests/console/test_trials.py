"""A/B tests in the console: the list, one of them as it stands, its report, and what people are asked to read."""

import pytest

from softlaunch.console.state import Console
from tests.console.browsing import Browser, check_page
from tests.console.scenes import WAITING
from tests.console.trial_scene import LOOKS, TRIAL, add_trial
from tests.reports.page_reader import PageReader
from tests.support.builders import APP, CANDIDATE, STABLE

PAGE = f"/ab-tests/{TRIAL}"


@pytest.fixture
def tested(console: Console) -> Console:
    """A console on a ledger with a test that is under way."""
    add_trial(console.database)
    return console


@pytest.mark.anyio
async def test_pages_are_whole(tested: Console) -> None:
    """Like every page of the console; a release is no test, and has no page here."""
    browser = Browser(tested)
    for address in ("/ab-tests", f"/ab-tests?app={APP}", "/ab-tests?app=none", PAGE, f"/releases/{TRIAL}"):
        check_page(await browser.get(address))
    assert (await browser.get(f"/ab-tests/{WAITING}")).status_code == 404


@pytest.mark.anyio
async def test_the_list_has_tests_alone_with_what_they_found_so_far(tested: Console) -> None:
    """The newest look's difference with the interval that holds at any time."""
    page = (await Browser(tested).get("/ab-tests")).text
    text = PageReader(page).text
    assert f'href="{PAGE}"' in page
    assert f"/ab-tests/{WAITING}" not in page
    assert text.count("satisfaction +") == 1
    assert " to +" in text


@pytest.mark.anyio
async def test_a_test_shows_its_arms_its_estimate_over_time_and_where_it_stands(tested: Console) -> None:
    """Both arms, a point of each look, what decides between equals, and the ways to its report and its end."""
    page = (await Browser(tested).get(PAGE)).text
    text = PageReader(page).text
    for shown in (STABLE.label, CANDIDATE.label, "Under way", "planned end", "holds at any time", "cost", "kindly"):
        assert shown in text, shown
    assert page.count('class="dot"') == LOOKS
    for address in (f"{PAGE}/report", f"/releases/{TRIAL}/abort"):
        assert f'href="{address}"' in page
    report = await Browser(tested).get(f"{PAGE}/report?download=true")
    assert f'filename="{TRIAL}.html"' in report.headers["content-disposition"]
    assert not PageReader(report.text).tags & {"script", "link", "img"}


@pytest.mark.anyio
async def test_people_who_must_decide_are_led_to_the_sheet(console: Console) -> None:
    """By its page where it is written, and by the command that writes it where it isn't."""
    add_trial(console.database, choice="people")
    browser = Browser(console)
    page = (await browser.get(PAGE)).text
    assert f"softlaunch ab report {APP} --sheet" in PageReader(page).text
    assert (await browser.get(f"{PAGE}/sheet")).status_code == 404
    (console.reports / f"{TRIAL}-sheet.html").write_text("<p>which is better?</p>")
    console.live.forget()
    assert f'href="{PAGE}/sheet"' in (await browser.get(PAGE)).text
    assert "which is better?" in (await browser.get(f"{PAGE}/sheet")).text


@pytest.mark.anyio
async def test_a_winner_is_released_from_its_page(console: Console) -> None:
    """The form of a release with B chosen."""
    add_trial(console.database, choice="b")
    page = (await Browser(console).get(PAGE)).text
    assert f'href="/apps/{APP}/start?variant={CANDIDATE.digest}"' in page
    assert "B wins" in PageReader(page).text
