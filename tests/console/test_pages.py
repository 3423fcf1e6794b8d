"""The console's pages: what they show, and that they need and run nothing of anybody else's."""

import pytest
from sqlmodel import select

from softlaunch.console.state import Console
from softlaunch.ledger.releases import Opening, open_release
from softlaunch.policy.release import Kind
from softlaunch.releases.ending import abort
from softlaunch.store.tables import ApprovalRow, IncidentRow, ReleaseRow, RequestRow, TransitionRow, VoteRow
from tests.console.browsing import Browser, check_page
from tests.console.scenes import ROLLED_BACK, WAITING
from tests.reports.page_reader import ATTACK, PageReader
from tests.support.builders import ANNA, APP, CANDIDATE, NOON, STABLE, make_policy

PAGES = (
    "/",
    f"/apps/{APP}",
    f"/apps/{APP}/start?variant={CANDIDATE.digest}",
    "/releases",
    f"/releases/{ROLLED_BACK}",
    f"/releases/{WAITING}",
    f"/releases/{WAITING}/roll-back",
    f"/releases/{WAITING}/abort",
    "/approvals",
    "/approvals/1",
    "/incidents?all=1",
    "/incidents/1",
    "/runbooks",
    "/runbooks/gate_latency",
    "/variants",
    f"/variants/{STABLE.digest}",
    f"/variants/compare?a={STABLE.digest}&b={CANDIDATE.digest}",
    "/requests",
    "/requests/failed-0",
)


@pytest.mark.anyio
async def test_every_page_is_whole_and_needs_nothing_from_elsewhere(console: Console) -> None:
    """Well-formed, without style or script inside, and without addresses of others."""
    browser = Browser(console)
    for address in PAGES:
        check_page(await browser.get(address))


@pytest.mark.anyio
async def test_the_first_page_tells_what_serves_what_is_released_and_what_waits(console: Console) -> None:
    """One line says it of each app; what waits for a person stands first."""
    text = PageReader((await Browser(console).get("/")).text).text
    assert text.index("Start canary 50 %?") < text.index("All apps")
    line = text[text.index("All apps") :]
    for shown in (STABLE.label, CANDIDATE.label, "waits for you", "1 open incident", "no drift", "% of 23"):
        assert shown in line


@pytest.mark.anyio
async def test_a_release_shows_its_gates_over_time_its_failures_and_who_decided(console: Console) -> None:
    """Plots of both arms and of the harm, failed requests with their status, and every step with its author."""
    page = (await Browser(console).get(f"/releases/{WAITING}")).text
    text = PageReader(page).text
    assert page.count('class="history"') >= 4
    assert 'aria-label="harm of errors over time' in page
    for shown in (
        "failed-0",
        "503",
        "provider_failed",
        "canary 10 % starts",
        "anna (command line)",
        "A person is asked",
    ):
        assert shown in text
    assert "kindly" in text


@pytest.mark.anyio
async def test_a_rolled_back_release_leads_to_its_runbook_and_its_report(console: Console) -> None:
    """The reason stands first, with a link to what to do; the report is one file without a link to a style."""
    browser = Browser(console)
    page = (await browser.get(f"/releases/{ROLLED_BACK}")).text
    assert 'href="/runbooks/gate_latency"' in page
    assert "worse by" in PageReader(page).text
    report = await browser.get(f"/releases/{ROLLED_BACK}/report?download=true")
    assert f'filename="{ROLLED_BACK}.html"' in report.headers["content-disposition"]
    assert not PageReader(report.text).tags & {"link", "script", "img"}


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["/nothing", "/releases/no-such", "/incidents/999", "/runbooks/none", "/apps/none"])
async def test_what_is_not_there_is_said_on_a_page(console: Console, address: str) -> None:
    """With the status of what isn't found, and a way back."""
    answer = await Browser(console).get(address)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


@pytest.mark.anyio
async def test_other_peoples_text_is_never_markup(console: Console) -> None:
    """Reasons, names, questions and addresses of runs with tags in them are shown as they are, and never followed."""
    with console.database.begin() as session:
        waiting = session.get_one(ReleaseRow, WAITING)
        waiting.opened_by, waiting.run_url, waiting.driver_holder = ATTACK, "javascript:alert(1)", ATTACK
        for row in session.exec(select(ApprovalRow)):
            row.text = ATTACK
        for incident in session.exec(select(IncidentRow)):
            incident.summary = ATTACK
        for request in session.exec(select(RequestRow).where(RequestRow.release_id == WAITING)):
            request.finish_reason = request.resolved_model = ATTACK
        for step in session.exec(select(TransitionRow)):
            step.reason = step.actor = ATTACK
        vote = {"app": APP, "release_id": WAITING, "person": ATTACK, "name": ATTACK, "origin": ATTACK, "said": "x"}
        told = {"reason": ATTACK, "ruling": "late", "told": ATTACK, "said_at": NOON}
        session.add(VoteRow.model_validate({**vote, **told}))
    browser = Browser(console)
    for address in ("/", f"/releases/{WAITING}", "/approvals/1", "/incidents/1", "/requests/failed-0"):
        page = (await browser.get(address)).text
        assert ATTACK in PageReader(page).text, address
        assert "<script>" not in page
        assert "javascript:" not in page


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("outcome=failed&arm=candidate", 3, id="failures of the candidate"),
        pytest.param("app=no-such", 0, id="another app"),
        pytest.param("more=17", 1, id="a user's pseudonym"),
        pytest.param("more=%3E900", 0, id="slower than any"),
    ],
)
async def test_requests_are_found_by_what_is_known_of_them(console: Console, query: str, found: int) -> None:
    """By app, arm, outcome, pseudonym and latency."""
    page = (await Browser(console).get(f"/requests?{query}")).text
    assert page.count('href="/requests/') == found


@pytest.mark.anyio
async def test_an_ab_test_has_a_page_and_is_only_aborted(console: Console) -> None:
    """It is shown like a release; there is nothing to roll back."""
    with console.database.begin() as session:
        abort(session, APP, ANNA, "make room", console.clock())
        policy = make_policy()
        opening = Opening(APP, STABLE.digest, CANDIDATE.digest, policy, "policy.yaml", Kind.AB_TEST)
        test = open_release(session, opening, ANNA, console.clock())
    page = (await Browser(console).get(f"/releases/{test}")).text
    assert f"/releases/{test}/abort" in page
    assert f"/releases/{test}/roll-back" not in page
    assert "<form" not in (await Browser(console).get(f"/releases/{test}/roll-back")).text
