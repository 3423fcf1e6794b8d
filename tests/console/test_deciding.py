"""What people decide in the console: by the rules of everywhere, audited, and right when two do it at once."""

from ipaddress import ip_network

import pytest
from sqlmodel import col, delete, select

from softlaunch.console.guarding import Tokens
from softlaunch.console.state import Console
from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import State
from softlaunch.store.tables import ApprovalRow, IncidentRow, ReleaseRow, VoteRow
from tests.console.browsing import Browser, hidden_fields
from tests.console.conftest import MakeConsole
from tests.console.scenes import WAITING
from tests.reports.page_reader import PageReader

QUESTION = "/approvals/1"
ROLL_BACK = f"/releases/{WAITING}/roll-back"


def _votes(console: Console) -> list[tuple[str, str, str, str, str]]:
    with console.database.read() as session:
        rows = session.exec(select(VoteRow).order_by(col(VoteRow.id))).all()
        return [(row.said, row.name, row.origin, row.ruling, row.reason) for row in rows]


def _state(console: Console) -> State:
    with console.database.read() as session:
        return read_release(session, WAITING).state


def _approval(console: Console) -> str:
    with console.database.read() as session:
        return session.exec(select(ApprovalRow)).one().state


@pytest.mark.anyio
async def test_an_approval_is_given_kept_and_told(console: Console) -> None:
    """It is written with name, way in and reason, and the release's page says so."""
    browser = Browser(console)
    answer = await browser.send(QUESTION, choice="approve", reason="looked at the cases")
    assert answer.status_code == 303
    assert _votes(console) == [("approved", "anna", "console", "decided", "looked at the cases")]
    assert _approval(console) == "approved"
    assert "approved: canary 10 % passed" in PageReader((await browser.get(answer.headers["location"])).text).text


@pytest.mark.anyio
async def test_a_rejection_needs_a_reason(console: Console) -> None:
    """Without one nothing is decided, and the form asks for it."""
    answer = await Browser(console).send(QUESTION, choice="reject")
    assert answer.status_code == 422
    assert "Say why" in answer.text
    assert _approval(console) == "pending"


@pytest.mark.anyio
async def test_of_two_people_at_once_the_second_is_told(console: Console) -> None:
    """Both had the form open; the first decides, and the second learns by whom and how."""
    anna, bert = Browser(console), Browser(console)
    shown = [(await one.get(QUESTION)).text for one in (anna, bert)]
    first = await anna.post(QUESTION, {**hidden_fields(shown[0]), "choice": "approve"})
    second = await bert.post(QUESTION, {**hidden_fields(shown[1]), "choice": "reject", "reason": "too slow"})
    assert (first.status_code, second.status_code) == (303, 409)
    assert "was approved by anna" in PageReader(second.text).text
    assert _approval(console) == "approved"


@pytest.mark.anyio
async def test_whom_the_policy_does_not_name_may_not_decide(make: MakeConsole) -> None:
    """They read why, and that they tried is kept."""
    console = make(local_name="mallory")
    answer = await Browser(console).send(QUESTION, choice="approve")
    assert answer.status_code == 403
    assert "not among its approvers" in answer.text
    assert _votes(console) == [("approved", "mallory", "console", "refused", "")]


@pytest.mark.anyio
async def test_a_rollback_ends_the_release(console: Console) -> None:
    """Stable serves alone, and the reason is everybody's."""
    answer = await Browser(console).send(ROLL_BACK, reason="wrong prices")
    assert answer.status_code == 303
    assert _state(console) is State.ROLLED_BACK
    assert ("roll_back", "anna", "console", "decided", "wrong prices") in _votes(console)


@pytest.mark.anyio
async def test_an_abort_ends_the_release_as_aborted(console: Console) -> None:
    """It is told from a rollback in state and audit."""
    answer = await Browser(console).send(f"/releases/{WAITING}/abort", reason="not today")
    assert answer.status_code == 303
    assert _state(console) is State.ABORTED
    assert ("abort", "anna", "console", "decided", "not today") in _votes(console)
    late = await Browser(console).send(f"/releases/{WAITING}/abort", page=QUESTION, reason="again", state="canary")
    assert late.status_code == 409


@pytest.mark.anyio
async def test_a_freeze_is_shown_and_lifted_with_a_reason(make: MakeConsole) -> None:
    """The page says until when and why, the form what it does; afterwards there is nothing left to lift."""
    console = make(local_name="bert")
    window = {"from": "2026-03-01", "until": "2026-03-02", "time_zone": "UTC", "reason": "quarter's end"}
    with console.database.begin() as session:
        row = session.get_one(ReleaseRow, WAITING)
        row.policy = {**row.policy, "freeze": [window]}
    browser, address = Browser(console), f"/releases/{WAITING}"
    shown = PageReader((await browser.get(address)).text).text
    assert "Frozen until Mon 2026-03-02 00:00 UTC (quarter's end): it is still watched" in shown
    assert (await browser.send(f"{address}/unfreeze", reason="")).status_code == 422
    answer = await browser.send(f"{address}/unfreeze", reason="a fix for prices")
    assert answer.status_code == 303
    assert ("unfreeze", "bert", "console", "decided", "a fix for prices") in _votes(console)
    after = PageReader((await browser.get(address)).text).text
    assert "Frozen until" not in after
    assert "unfrozen" in after
    assert after.count("a fix for prices") == 1
    assert "no freeze holds it" in (await browser.get(f"{address}/unfreeze")).text


@pytest.mark.anyio
async def test_a_page_that_is_stale_asks_again(console: Console) -> None:
    """What was live when somebody opened the form is over now: nothing is done, and they see how it stands."""
    browser = Browser(console)
    fields = hidden_fields((await browser.get(ROLL_BACK)).text)
    await Browser(console).send(f"/releases/{WAITING}/abort", reason="first")
    answer = await browser.post(ROLL_BACK, {**fields, "reason": "second"})
    assert answer.status_code == 409
    assert "has become aborted meanwhile, so nothing was changed" in PageReader(answer.text).text
    assert _state(console) is State.ABORTED


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, 403, id="another site"),
        pytest.param({"origin": "null", "sec-fetch-site": "cross-site"}, 403, id="a sandboxed frame"),
        pytest.param({"origin": "http://127.0.0.1:9999", "sec-fetch-site": "same-site"}, 403, id="another port here"),
    ],
)
async def test_forms_of_other_sites_are_refused(console: Console, headers: dict[str, str], status: int) -> None:
    """Even with a token, which another site can't read."""
    browser = Browser(console)
    fields = hidden_fields((await browser.get(ROLL_BACK)).text)
    answer = await browser.post(ROLL_BACK, {**fields, "reason": "evil"}, **headers)
    assert answer.status_code == status
    assert _state(console) is State.CANARY
    assert _votes(console) == []


@pytest.mark.anyio
async def test_a_form_from_before_a_restart_keeps_what_was_written_and_asks_again(console: Console) -> None:
    """The token is another one then: nothing is done, the reason stands in the form, and sending it works."""
    browser = Browser(console)
    fields = hidden_fields((await browser.get(ROLL_BACK)).text)
    console.tokens = Tokens()
    answer = await browser.post(ROLL_BACK, {**fields, "reason": "wrong prices"})
    assert answer.status_code == 409
    assert "The console was started again" in answer.text
    assert "wrong prices" in answer.text
    again = await browser.post(ROLL_BACK, {**hidden_fields(answer.text), "reason": "wrong prices"})
    assert again.status_code == 303


@pytest.mark.anyio
async def test_without_the_cookie_there_is_no_form(console: Console) -> None:
    """A token alone, without the browser that it was made for, is worth nothing."""
    fields = hidden_fields((await Browser(console).get(ROLL_BACK)).text)
    answer = await Browser(console).post(ROLL_BACK, {**fields, "reason": "stolen"})
    assert answer.status_code == 409
    assert _state(console) is State.CANARY


@pytest.mark.anyio
async def test_who_may_only_look_changes_nothing(make: MakeConsole) -> None:
    """Behind a proxy nobody acts whom the settings don't name: no button, and a form that is sent is refused."""
    console = make(header="X-User", proxies=(ip_network("127.0.0.0/8"),))
    browser = Browser(console, **{"X-User": "vera"})
    assert f"{ROLL_BACK}" not in (await browser.get(f"/releases/{WAITING}")).text
    for address in (QUESTION, ROLL_BACK, "/incidents/1"):
        answer = await browser.send(address, choice="approve", reason="let me")
        assert answer.status_code == 403, address
    assert _state(console) is State.CANARY
    assert _approval(console) == "pending"


@pytest.mark.anyio
async def test_an_incident_is_resolved_with_what_was_done(console: Console) -> None:
    """By whom and how is kept; a second person learns that it was done."""
    first = await Browser(console).send("/incidents/1", reason="raised the quota")
    assert first.status_code == 303
    with console.database.read() as session:
        row = session.get_one(IncidentRow, 1)
        assert (row.resolved_by, row.resolution) == ("anna (console)", "raised the quota")


def let_end_early(console: Console) -> None:
    """The stage that waits may end early, and its next one asks nobody."""
    with console.database.begin() as session:
        row = session.get_one(ReleaseRow, WAITING)
        stages = [{**stage, "approval": False, "may_advance_early": True} for stage in row.policy["stages"]]
        stages[0]["minimum_time"], stages[0]["deadline"] = 3600.0, 7200.0
        stages[-1]["may_advance_early"] = False
        row.policy = {**row.policy, "stages": stages}
        session.exec(delete(ApprovalRow))


@pytest.mark.anyio
async def test_the_next_stage_begins_early_by_a_decision_with_a_reason(console: Console) -> None:
    """The form says what is skipped; two people at once make one decision, and the second reads whose."""
    let_end_early(console)
    anna, bert, address = Browser(console), Browser(console), f"/releases/{WAITING}"
    assert "Advance early…" in (await anna.get(address)).text
    shown = [await one.get(f"{address}/advance") for one in (anna, bert)]
    assert "canary 50 % starts before canary 10 % has passed" in PageReader(shown[0].text).text
    fields = [hidden_fields(one.text) for one in shown]
    assert (await anna.post(f"{address}/advance", {**fields[0], "reason": ""})).status_code == 422
    first = await anna.post(f"{address}/advance", {**fields[0], "reason": "before the fair"})
    second = await bert.post(f"{address}/advance", {**fields[1], "reason": "me too"})
    assert (first.status_code, second.status_code) == (303, 409)
    assert "anna has already decided this (before the fair)" in PageReader(second.text).text
    after = PageReader((await anna.get(first.headers["location"])).text).text
    assert "anna decided to advance early (before the fair)" in after
    assert "Advance early…" not in after
    assert ("approved", "anna", "console", "decided", "before the fair") in _votes(console)


@pytest.mark.anyio
async def test_a_form_about_a_stage_that_is_over_ends_no_other(console: Console) -> None:
    """The release went on since the page was made: nothing is decided, and the answer says what is in force."""
    let_end_early(console)
    browser, address = Browser(console), f"/releases/{WAITING}/advance"
    fields = hidden_fields((await browser.get(address)).text)
    answer = await browser.post(address, {**fields, "stage": "1", "reason": "before the fair"})
    assert answer.status_code == 409
    assert "canary 10 % is in force by now" in PageReader(answer.text).text
    assert "before the fair" in answer.text


@pytest.mark.anyio
async def test_where_the_policy_says_nothing_no_stage_ends_early(make: MakeConsole) -> None:
    """There is no button, and the form's address says which key would allow it; a viewer may not in any case."""
    console = make()
    browser, address = Browser(console), f"/releases/{WAITING}"
    assert "Advance early…" not in (await browser.get(address)).text
    assert "may_advance_early: true" in (await browser.get(f"{address}/advance")).text
    assert (await browser.send(f"{address}/advance", page=QUESTION, stage="2", reason="now")).status_code == 403
    assert _state(console) is State.CANARY
