"""The console under stress, as a real server: clicks in the same moment, stale pages, dead lines, restarts."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from softlaunch.console.state import Console
from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import State
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, VoteRow
from tests.console.browsing import Browser, hidden_fields
from tests.console.conftest import MakeConsole
from tests.console.scenes import WAITING, furnish, make_console
from tests.console.serving import serving
from tests.reports.page_reader import PageReader
from tests.support.builders import ANNA, APP

QUESTION = "/approvals/1"
ROLL_BACK, ABORT = f"/releases/{WAITING}/roll-back", f"/releases/{WAITING}/abort"


def _at_once(port: int, sent: list[tuple[str, dict[str, str]]]) -> list[httpx.Response]:
    """Several people open their forms, and send them in the same moment, each by a connection of their own."""
    ready = threading.Barrier(len(sent))

    def person(address: str, fields: dict[str, str]) -> httpx.Response:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            shown = hidden_fields(client.get(address).text)
            ready.wait(20)
            told = {"origin": f"http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"}
            return client.post(address, data={**shown, **fields}, headers=told)

    with ThreadPoolExecutor(len(sent)) as pool:
        return list(pool.map(lambda one: person(*one), sent))


def _rulings(console: Console) -> list[tuple[str, str]]:
    with console.database.read() as session:
        rows = session.exec(select(VoteRow).order_by(col(VoteRow.id))).all()
        return [(row.said, row.ruling) for row in rows]


def _check_one_wins(console: Console) -> None:
    sent = [(QUESTION, {"choice": "approve"}), (QUESTION, {"choice": "reject", "reason": "too slow for us"})]
    with serving(console) as port:
        answers = _at_once(port, sent)
    assert sorted(one.status_code for one in answers) == [303, 409]
    approved = answers[0].status_code == 303
    with console.database.read() as session:
        assert session.exec(select(ApprovalRow)).one().state == ("approved" if approved else "rejected")
    loser = PageReader(answers[1 if approved else 0].text).text
    assert f"was {'approved' if approved else 'rejected'} by anna" in loser
    assert "too slow for us" in loser  # as what they wrote themselves, or as the winner's reason
    assert sorted(ruling for _, ruling in _rulings(console)) == ["decided", "late"]


def test_of_approve_and_reject_in_the_same_moment_one_wins(console: Console) -> None:
    """The other is told what happened, and their vote is in the audit as too late."""
    _check_one_wins(console)


@pytest.fixture
def on_postgres(migrated_postgres: str, tmp_path: Path) -> Iterator[Console]:
    """The same ledger on PostgreSQL, where two transactions really run at once."""
    database = Database(migrated_postgres)
    clock = furnish(database).clock
    console = make_console(database, clock, tmp_path)
    yield console
    console.background.close()
    database.close()


@pytest.mark.long
@pytest.mark.postgres
def test_of_two_at_once_one_wins_on_postgresql(on_postgres: Console) -> None:
    """Nobody has the ledger alone there: an answer to a question, and then the end of the release."""
    _check_one_wins(on_postgres)
    _check_one_ends(on_postgres)


def test_of_a_rollback_and_an_abort_in_the_same_moment_one_ends_it(console: Console) -> None:
    """The other reads that it was over already, and what they had written."""
    _check_one_ends(console)


def _check_one_ends(console: Console) -> None:
    with serving(console) as port:
        answers = _at_once(port, [(ROLL_BACK, {"reason": "wrong prices"}), (ABORT, {"reason": "not today"})])
    assert sorted(one.status_code for one in answers) == [303, 409]
    rolled_back = answers[0].status_code == 303
    with console.database.read() as session:
        assert read_release(session, WAITING).state is (State.ROLLED_BACK if rolled_back else State.ABORTED)
    loser = PageReader(answers[1 if rolled_back else 0].text).text
    assert "nothing was changed" in loser
    assert ("not today" if rolled_back else "wrong prices") in loser


def _abort(console: Console) -> None:
    with console.database.begin() as session:
        abort(session, APP, ANNA, "make room", console.clock())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("address", "fields", "words"),
    [
        pytest.param(QUESTION, {"choice": "reject"}, "was withdrawn", id="a question that isn't asked any more"),
        pytest.param(ROLL_BACK, {}, "has become aborted meanwhile, so nothing was", id="a rollback of what is over"),
        pytest.param(ABORT, {}, "has become aborted meanwhile, so nothing was", id="an abort of what is over"),
    ],
)
async def test_a_stale_form_is_refused_in_words_and_loses_nothing(
    console: Console, address: str, fields: dict[str, str], words: str
) -> None:
    """What was written stands on the answer, also where there is nothing left to decide."""
    browser = Browser(console)
    shown = hidden_fields((await browser.get(address)).text)
    _abort(console)
    answer = await browser.post(address, {**shown, **fields, "reason": "prices <b>are</b> wrong"})
    assert answer.status_code == 409
    assert words in PageReader(answer.text).text
    assert "prices <b>are</b> wrong" in PageReader(answer.text).text


@pytest.mark.anyio
async def test_an_incident_that_was_resolved_meanwhile_loses_nothing(console: Console) -> None:
    """Who comes second reads who was first, and still has what they wrote."""
    anna, bert = Browser(console), Browser(console)
    shown = [hidden_fields((await one.get("/incidents/1")).text) for one in (anna, bert)]
    await anna.post("/incidents/1", {**shown[0], "reason": "raised the quota"})
    late = await bert.post("/incidents/1", {**shown[1], "reason": "called the provider"})
    text = PageReader(late.text).text
    assert (late.status_code, "raised the quota" in text, "called the provider" in text) == (409, True, True)


@pytest.mark.anyio
async def test_who_may_act_no_more_keeps_what_they_wrote(make: MakeConsole) -> None:
    """The settings changed while somebody wrote: they read that they may only look, and their reason."""
    console = make()
    browser = Browser(console)
    shown = hidden_fields((await browser.get(ROLL_BACK)).text)
    console.access = replace(console.access, header="x-user", proxies=(ip_network("127.0.0.1/32"),))
    browser.client.headers["x-user"] = "anna"
    answer = await browser.post(ROLL_BACK, {**shown, "reason": "wrong prices"})
    assert answer.status_code == 403
    assert "wrong prices" in PageReader(answer.text).text


def _next_event(stream: Iterator[str]) -> dict[str, str]:
    """The next event of a stream, without its text."""
    event: dict[str, str] = {}
    for line in stream:
        name, _, value = line.partition(": ")
        if name in {"event", "id"}:
            event[name] = value
        if not line and "event" in event:
            return event
    return event


def test_a_stream_after_a_lost_connection_catches_up(console: Console) -> None:
    """Who names what they saw last gets what it became meanwhile, at once and once; nothing where it is the same."""
    with serving(console) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        with client.stream("GET", f"/live/releases/{WAITING}") as answer:
            first = _next_event(answer.iter_lines())
        _abort(console)
        console.live.forget()  # a minute later nothing that was made before is good enough
        seen = {"last-event-id": first["id"]}
        with client.stream("GET", f"/live/releases/{WAITING}", headers=seen) as answer:
            second = _next_event(answer.iter_lines())
    assert (first["event"], second["event"]) == ("part", "part")
    assert first["id"] != second["id"]
