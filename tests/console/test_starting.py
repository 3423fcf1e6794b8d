"""Starting a release from the console."""

import pytest
from sqlmodel import select

from softlaunch.console.state import Console
from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.releases import find_live
from softlaunch.releases.ending import abort
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.store.tables import RouteRow
from tests.console.browsing import Browser, hidden_fields
from tests.reports.page_reader import PageReader
from tests.support.builders import ANNA, APP, CANDIDATE, STABLE

FORM = f"/apps/{APP}/start?variant={CANDIDATE.digest}"
START = f"/apps/{APP}/start"


@pytest.fixture
def asked(console: Console) -> list[ReleaseRequest]:
    """What the console asked to be started, where nothing is under way any more."""
    found: list[ReleaseRequest] = []

    def start(request: ReleaseRequest) -> str:
        found.append(request)
        return f"{APP}-1"

    console.start = start
    with console.database.begin() as session:
        abort(session, APP, ANNA, "make room", console.clock())
    return found


@pytest.mark.anyio
async def test_a_choice_shows_what_it_changes_before_anything_is_started(
    console: Console, asked: list[ReleaseRequest]
) -> None:
    """The difference by words; looking at it starts nothing."""
    text = PageReader((await Browser(console).get(FORM)).text).text
    assert "kindly" in text
    assert "Start this release" in text
    assert asked == []


@pytest.mark.anyio
async def test_a_release_is_started_by_whom_who_asks(console: Console, asked: list[ReleaseRequest]) -> None:
    """With the choice, the name and the way in; the answer leads to its page."""
    answer = await Browser(console).send(START, page=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/releases/{APP}-1")
    (request,) = asked
    assert (request.app, request.changes.variant, request.actor, request.origin) == (
        APP,
        CANDIDATE.digest,
        "anna",
        "console",
    )


@pytest.mark.anyio
async def test_what_serves_meanwhile_stops_the_start(console: Console, asked: list[ReleaseRequest]) -> None:
    """Somebody else promoted something since the page was opened: what would be compared is another thing now."""
    browser = Browser(console)
    fields = hidden_fields((await browser.get(FORM)).text)
    with console.database.begin() as session:
        session.exec(select(RouteRow)).one().stable_digest = CANDIDATE.digest
    answer = await browser.post(START, fields)
    assert answer.status_code == 409
    assert "nothing was started" in answer.text
    assert asked == []


@pytest.mark.anyio
async def test_of_two_starts_the_second_learns_who_was_first(console: Console) -> None:
    """The app's lock is taken: the message names the release that holds it, and by whom it was opened."""
    answer = await Browser(console).send(START, page=f"{START}?temperature=0.5")
    assert answer.status_code == 409
    with console.database.read() as session:
        held = find_live(session, APP)
    assert held is not None
    assert held.id in PageReader(answer.text).text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "problem"),
    [
        pytest.param("temperature=warm", "temperature is 'warm'", id="no number"),
        pytest.param("prompt=none@1.0.0", "none@1.0.0", id="a prompt that isn't recorded"),
        pytest.param(f"variant={STABLE.digest}", "serves already", id="what serves"),
    ],
)
async def test_a_choice_that_cannot_be_is_said(console: Console, query: str, problem: str) -> None:
    """In words, on the form, with nothing to start."""
    page = (await Browser(console).get(f"{START}?{query}")).text
    assert problem in PageReader(page).text
    assert "Start this release" not in page


@pytest.mark.anyio
async def test_a_start_that_fails_says_why(console: Console, asked: list[ReleaseRequest]) -> None:
    """The message of everywhere, on the form."""

    def fail(_: ReleaseRequest) -> str:
        raise SoftlaunchError("the golden set is gone; put it back")

    console.start = fail
    answer = await Browser(console).send(START, page=FORM)
    assert answer.status_code == 422
    assert "the golden set is gone; put it back" in PageReader(answer.text).text
