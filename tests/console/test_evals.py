"""Evals in the console: the list, one of them, its report, and people who vote on its answers."""

import re
import time
from ipaddress import ip_network
from pathlib import Path

import anyio
import httpx
import pytest
from sqlmodel import col, select

from softlaunch.console.state import Console
from softlaunch.evals.judges.votes import Vote, read_labels
from softlaunch.store.tables import AppRow, ReviewDrawRow, ScoreRow
from tests.console.browsing import Browser, check_page, hidden_fields
from tests.console.conftest import MakeConsole
from tests.console.eval_scene import RUN, add_drawn, add_eval
from tests.console.scenes import WAITING
from tests.reports.page_reader import PageReader
from tests.support.builders import APP

REVIEW, LABELS = f"/evals/{RUN}/review", f"/evals/{RUN}/labels"
MINE = f"/apps/{APP}/labels"


@pytest.fixture
def evaluated(console: Console, tmp_path: Path) -> Console:
    """A console on a ledger with an eval."""
    add_eval(console.database, tmp_path)
    return console


async def _worked_out(browser: Browser, console: Console, address: str) -> httpx.Response:
    """The page once everything on it is worked out, which happens beside it."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        answer = await browser.get(address)
        if "being computed" not in answer.text and "…</td>" not in answer.text:
            return answer
        console.live.forget()
        await anyio.sleep(0.02)
    raise AssertionError(f"it is still being worked out: {answer.text}")


@pytest.mark.anyio
async def test_pages_are_whole(evaluated: Console) -> None:
    """Like every page of the console."""
    browser = Browser(evaluated)
    for address in ("/evals", f"/evals/{RUN}", MINE):
        check_page(await _worked_out(browser, evaluated, address))
    assert (await browser.get("/evals/none")).status_code == 404


@pytest.mark.anyio
async def test_the_list_tells_what_each_eval_came_to(evaluated: Console) -> None:
    """Verdict with its reason, interval, calls and cost, as soon as they are worked out."""
    page = await _worked_out(Browser(evaluated), evaluated, f"/evals?app={APP}")
    line = PageReader(page.text).text.partition(RUN)[2]
    for shown in ("fail", "accuracy", "points", "80", "$0.032", "in place of"):
        assert shown in line


@pytest.mark.anyio
async def test_one_eval_shows_its_metrics_segments_and_what_was_lost(evaluated: Console) -> None:
    """The segment that lost stands first, and the lost cases lead to their answers."""
    page = (await _worked_out(Browser(evaluated), evaluated, f"/evals/{RUN}")).text
    text = PageReader(page).text
    assert "10 6 -60.0 points" in text.partition("Segments")[2]
    assert 'class="plot fail"' in page
    assert re.findall(r'href="/evals/[^"]+/review#case-([^"]+)"', page) == [f"c{number}" for number in range(6)]
    assert f"/evals/{RUN}/report" in page


@pytest.mark.anyio
async def test_an_eval_of_a_release_has_the_verdicts_that_the_release_recorded(
    console: Console, tmp_path: Path
) -> None:
    """The list goes by what decided, whatever the golden set has become since."""
    add_eval(console.database, tmp_path, WAITING, WAITING)
    page = await _worked_out(Browser(console), console, "/evals")
    assert f'href="/releases/{WAITING}"' in page.text
    assert "✔ pass" in PageReader(page.text).text
    assert f'href="/evals/{WAITING}"' in (await Browser(console).get(f"/releases/{WAITING}")).text


@pytest.mark.anyio
async def test_the_report_is_one_file_that_runs_only_its_own_script(evaluated: Console) -> None:
    """It may be kept, and asks for nothing from elsewhere."""
    answer = await Browser(evaluated).get(f"/evals/{RUN}/report?download=true")
    assert f"{RUN}.html" in answer.headers["content-disposition"]
    assert not PageReader(answer.text).tags & {"link", "img", "form"}
    assert "script-src 'sha256-" in answer.text


@pytest.mark.anyio
async def test_a_golden_set_that_is_gone_is_said(evaluated: Console, tmp_path: Path) -> None:
    """On the eval's page and in place of its report, in words."""
    (tmp_path / "golden.jsonl").unlink()
    browser = Browser(evaluated)
    assert "golden.jsonl" in (await _worked_out(browser, evaluated, f"/evals/{RUN}")).text
    assert (await browser.get(f"/evals/{RUN}/report")).status_code == 422


@pytest.mark.anyio
async def test_a_vote_is_kept_under_the_visitors_name_and_taken_back(evaluated: Console) -> None:
    """By the forms of the page, which need no script; the answer leads back to the case."""
    browser = Browser(evaluated)
    fields = {**hidden_fields((await browser.get(REVIEW)).text), "case_id": "c3"}
    answer = await browser.post(LABELS, {**fields, "vote": "stable"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{REVIEW}#case-c3")
    assert 'data-case="c3" data-vote="stable"' in (await browser.get(REVIEW)).text
    with evaluated.database.read() as session:
        assert [(one.vote, one.labelled_by) for one in read_labels(session, APP, RUN)] == [(Vote.STABLE, "anna")]
    assert "anna 1" in PageReader((await _worked_out(browser, evaluated, f"/evals/{RUN}")).text).text
    await browser.post(LABELS, {**fields, "vote": ""})
    with evaluated.database.read() as session:
        assert read_labels(session, APP, RUN) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "headers", "status"),
    [
        pytest.param({"token": "guessed"}, {}, 409, id="a form of another browser"),
        pytest.param({}, {"origin": "https://evil.example"}, 403, id="a form of another site"),
        pytest.param({"case_id": "c999"}, {}, 422, id="no case of the eval"),
        pytest.param({"vote": "both"}, {}, 422, id="no vote"),
    ],
)
async def test_votes_that_are_not_ours_are_refused(
    evaluated: Console, fields: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """Nothing is kept of them."""
    browser = Browser(evaluated)
    own = {**hidden_fields((await browser.get(REVIEW)).text), "case_id": "c3", "vote": "stable"}
    assert (await browser.post(LABELS, {**own, **fields}, **headers)).status_code == status
    with evaluated.database.read() as session:
        assert read_labels(session, APP, RUN) == []


@pytest.mark.anyio
async def test_a_viewer_reads_and_does_not_vote(make: MakeConsole, tmp_path: Path) -> None:
    """They are led to the report, and a vote that they send all the same is refused."""
    console = make(header="X-User", proxies=(ip_network("127.0.0.0/8"),), operators=frozenset({"anna"}))
    add_eval(console.database, tmp_path)
    viewer = Browser(console, **{"X-User": "vera"})
    assert (await viewer.get(REVIEW)).headers["location"] == f"/evals/{RUN}/report"
    fields = {"case_id": "c3", "vote": "stable", "token": "x"}
    assert (await viewer.post(LABELS, fields)).status_code == 403
    with console.database.read() as session:
        assert read_labels(session, APP, RUN) == []


@pytest.mark.anyio
async def test_live_answers_are_labelled_blind(console: Console) -> None:
    """One after the other, without a word on the arm; each label is a value of its metric."""
    add_drawn(console.database)
    browser = Browser(console)
    assert "reviewed 0 2" in PageReader((await browser.get(MINE)).text).text
    for _ in range(2):
        shown = (await browser.get(f"{MINE}/reviewed")).text
        assert "candidate" not in PageReader(shown).text
        assert (await browser.post(f"{MINE}/reviewed", {**hidden_fields(shown), "value": "0.75"})).status_code == 303
    with console.database.read() as session:
        values = session.exec(select(ScoreRow.value).where(col(ScoreRow.metric) == "reviewed")).all()
        names = session.exec(select(ReviewDrawRow.labelled_by)).all()
    assert (values, names) == ([0.75, 0.75], ["anna", "anna"])
    assert "All drawn answers are labeled" in (await browser.get(f"{MINE}/reviewed")).text


@pytest.mark.anyio
async def test_more_is_drawn_where_there_is_something_to_draw_from(console: Console) -> None:
    """Otherwise the page says what is missing."""
    with console.database.begin() as session:
        app = session.get_one(AppRow, APP)
        app.policy = {**app.policy, "metrics": [{"name": "reviewed", "kind": "share", "better": "up", "drawn": True}]}
    answer = await Browser(console).send(f"{MINE}/reviewed/draw", page=MINE)
    assert answer.status_code == 409
    assert "no text of an answer" in answer.text
    assert (await Browser(console).get(f"{MINE}/none")).status_code == 404
