"""A release's page: what judges said, with samples where texts are kept, and what all of it has cost."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from sqlmodel import Session

from softlaunch.console.queries.costs import Cost, traffic_costs
from softlaunch.console.queries.judged import read_judged
from softlaunch.console.state import Console
from softlaunch.ledger.logged import Logged
from softlaunch.live.states import JudgementState
from softlaunch.live.tallies import stage_period
from softlaunch.store.tables import CopyJudgementRow, LiveJudgementRow, LiveTallyRow, TextRow
from tests.console.browsing import Browser
from tests.console.conftest import MakeConsole
from tests.console.scenes import ROLLED_BACK, WAITING
from tests.reports.page_reader import ATTACK, PageReader
from tests.support.builders import APP, request_row

PAGE = f"/releases/{WAITING}"


def _judge(session: Session, number: int, arm: str, value: float | None, at: float, **changes: Any) -> None:
    """A judgement of one live answer."""
    said = {"metric": "quality", "state": JudgementState.OVER.value, "value": value, "calls": 1}
    place = {"app": APP, "release_id": WAITING, "stage": 2, "unit": number, "started_at": at, "sample_percent": 100.0}
    row = {"request_id": f"judged-{number}", "arm": arm, **place, **said, **changes}
    session.add(LiveJudgementRow.model_validate(row))


def _keep(session: Session, number: int, arm: str, answer: str, until: float, **changes: Any) -> None:
    """The texts of an answer."""
    texts = {"app": APP, "question": f"question {number}?", "answer": answer, "expires_at": until}
    session.add(TextRow.model_validate({"request_id": f"judged-{number}", "arm": arm, **texts, **changes}))


@pytest.fixture
def judged(console: Console) -> Console:
    """Judgements of both arms: some with texts, some whose texts are gone, expired or for judges alone."""
    at = console.clock().timestamp()
    with console.database.begin() as session:
        for number, (arm, value) in enumerate([("candidate", 1.0), ("stable", 0.5), ("candidate", 0.5)]):
            _judge(session, number, arm, value, at)
        _judge(session, 3, "stable", None, at, reason="the judge answered no number")
        _judge(session, 4, "candidate", None, at, state=JudgementState.WAITING.value, calls=0)
        _keep(session, 0, "candidate", "kept answer", at + 60)
        _keep(session, 1, "stable", "expired answer", at - 1)
        _keep(session, 2, "candidate", "answer for judges alone", at + 60, until_judged=True)
    return console


@pytest.mark.anyio
async def test_samples_of_both_arms_stand_beside_each_other(judged: Console) -> None:
    """With the means, and with texts only where people may read them: nothing expired, nothing for judges alone."""
    text = PageReader((await Browser(judged).get(PAGE)).text).text
    assert "candidate 75.0 % of 2, stable 50.0 % of 1" in text
    for shown in ("question 0?", "kept answer", "judged-1", "the judge answered no number", "Its texts aren't kept."):
        assert shown in text
    for hidden in ("expired answer", "answer for judges alone", "judged-4"):
        assert hidden not in text


@pytest.mark.anyio
async def test_who_may_only_look_sees_no_texts(judged: Console) -> None:
    """Neither on the page nor in its stream, which is another one than that of who may act."""
    judged.access = replace(judged.access, header="x-user", proxies=(ip_network("127.0.0.1/32"),))
    judged.live.is_stopping = lambda: True
    viewer = Browser(judged, **{"x-user": "vera"})
    page = (await viewer.get(PAGE)).text
    assert "judged-0" in page
    assert "Its texts are for those who may act." in PageReader(page).text
    assert "kept answer" not in page
    assert 'data-live="/live/releases/' in page
    assert "kept answer" not in judged.live.rendered(f"releases/{WAITING}?look=1", lambda: "not kept").html


@pytest.mark.anyio
async def test_copies_stand_beside_what_users_got(console: Console) -> None:
    """How often the candidate's was better, and samples with both answers; texts are never markup."""
    at = console.clock().timestamp()
    with console.database.begin() as session:
        for number, value in enumerate((1.0, 0.5, 0.0, None)):
            who = {"request_id": f"judged-{number}", "arm": "shadow", "app": APP, "release_id": WAITING, "stage": 1}
            said = {"unit": number, "value": value, "calls": 2, "judged_at": at}
            session.add(CopyJudgementRow.model_validate({**who, **said}))
        _keep(session, 0, "shadow", ATTACK, at + 60)
        _keep(session, 0, "stable", "what the user got", at + 60)
    page = (await Browser(console).get(PAGE)).text
    text = PageReader(page).text
    assert "better in 1, as good in 1 and worse in 1" in text
    assert "what the user got" in text
    assert ATTACK in text
    assert "<script>" not in page


def test_long_texts_are_cut_and_few_are_read(console: Console) -> None:
    """Three samples of each arm, however many there are, and 600 characters of each."""
    at = console.clock().timestamp()
    with console.database.begin() as session:
        for number in range(60):
            _judge(session, number, ("candidate", "stable")[number % 2], 0.5, at)
        for number in range(0, 60, 2):
            _keep(session, number, "candidate", "long " * 1000, at + 60)
    with console.database.read() as session:
        (quality,) = read_judged(session, WAITING, at, with_texts=True).live
    assert len(quality.samples) == 3
    assert [len(candidate.answer or "") for _, candidate in quality.samples if candidate is not None] == [601] * 3


@pytest.mark.anyio
async def test_the_cost_of_a_release_is_the_sum_of_its_parts(console: Console) -> None:
    """Requests of both arms, copies, the eval, and judges; what has no known price is told, not left out."""
    with console.database.begin() as session:
        for number, (arm, usd) in enumerate([("stable", 0.25), ("candidate", 0.5), ("candidate", None)]):
            named = {"request_id": f"priced-{number}", "release_id": WAITING, "stage": 2, "arm": arm}
            session.add(request_row(**named, cost_usd=usd))
        copy = {"request_id": "priced-0", "arm": "shadow", "app": APP, "release_id": WAITING, "stage": 1, "unit": 0}
        session.add(CopyJudgementRow.model_validate({**copy, "calls": 2, "cost_usd": 0.125, "judged_at": 0.0}))
        tally = {"app": APP, "period": stage_period(WAITING, 2), "calls": 4, "cost_usd": 1.0, "judged": 4}
        session.add(LiveTallyRow.model_validate(tally))
    with console.database.read() as session:
        found = {one.what: one for one in traffic_costs(session, Logged(WAITING))}
    assert found["requests to stable"].usd == 0.25
    assert found["judges of copies"] == Cost("judges of copies", 2, 0.125)
    text = PageReader((await Browser(console).get(PAGE)).text).text
    assert "whose price is unknown" in text
    assert "judges of live answers 4 $1.00" in " ".join(text.split())
    assert "at least $" in text


@pytest.mark.anyio
async def test_a_release_leads_to_the_one_before_and_the_one_after(make: MakeConsole) -> None:
    """Of the same app, by links that browsers know as such."""
    browser = Browser(make())
    assert f'href="/releases/{ROLLED_BACK}" rel="prev"' in (await browser.get(PAGE)).text
    assert f'href="/releases/{WAITING}" rel="next"' in (await browser.get(f"/releases/{ROLLED_BACK}")).text
