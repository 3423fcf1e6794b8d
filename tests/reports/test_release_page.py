"""The page of a release: what it shows, that it is one safe file, and how it is written."""

import re
from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import pytest

from softlaunch.core.approvals import ApprovalKind
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Sampling, Variant
from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.ledger.approvals import Approval
from softlaunch.policy.release import State
from softlaunch.reports.contrast import contrast
from softlaunch.reports.plots import interval_plot
from softlaunch.reports.release_page import Link, render_release
from tests.reports.page_reader import ATTACK, PageReader
from tests.support.builders import NOON
from tests.support.release_views import (
    CANDIDATE,
    CANDIDATE_TEXT,
    PASSED,
    SLOW,
    STABLE,
    STABLE_TEXT,
    TOO_SLOW,
    make_view,
    rolled_back,
    support_variant,
)


def test_the_verdict_comes_first() -> None:
    """State, reason and who was exposed to the candidate stand before the stages."""
    text = PageReader(render_release(rolled_back())).text
    before = text[: text.index("Stages")]
    assert "✘ Rolled back" in before
    assert TOO_SLOW in before
    assert "151 of 2,934 users (5.1 %) were exposed to the candidate" in before
    assert "1.00 s on stable, 4.91 s on the candidate; margin +10 %" in before


@pytest.mark.parametrize(
    ("state", "outcome", "position", "title"),
    [
        pytest.param(State.PROMOTED, Outcome.PASS, 4, "✔ Promoted", id="promoted"),
        pytest.param(State.ROLLED_BACK, Outcome.FAIL, 3, "✘ Rolled back", id="rolled back by a gate"),
        pytest.param(State.ROLLED_BACK, Outcome.INCONCLUSIVE, 3, "? Rolled back", id="rolled back undecided"),
        pytest.param(State.REJECTED, Outcome.FAIL, 0, "✘ Rejected", id="rejected by the eval"),
        pytest.param(State.REJECTED, Outcome.ERROR, 0, "! Rejected", id="rejected for want of an eval"),
        pytest.param(State.ABORTED, Outcome.FAIL, 1, "✘ Aborted", id="aborted"),
        pytest.param(State.CANARY, None, 2, "▶ Canary under way", id="under way"),
        pytest.param(State.PENDING, None, 0, "▶ Pending under way", id="just opened"),
    ],
)
def test_every_end_of_a_release_has_its_page(state: State, outcome: Outcome | None, position: int, title: str) -> None:
    """The heading says what became of the release, by a sign and in words."""
    view = make_view(state, position, outcome=outcome or Outcome.PASS, reason="for a reason")
    assert title in PageReader(render_release(view)).text


def test_stages_that_were_not_reached_say_so() -> None:
    """A stage that a finished release never came to isn't waiting for anything."""
    assert "canary 100 % not reached" in PageReader(render_release(rolled_back())).text
    assert "canary 100 % waiting" in PageReader(render_release(make_view(State.CANARY, 2))).text


def test_every_gate_is_shown_with_its_figures() -> None:
    """Both arms' values and counts, harm, interval, margin and reason are there to read."""
    text = PageReader(render_release(rolled_back((PASSED[0], SLOW)))).text
    row = text[text.index("latency required ✘ fail") :]
    for figure in ("4.91 s", "812 seen", "1.00 s", "790 seen", "+391 %", "+240 to … %", "+10 %", SLOW.reason):
        assert figure in row


def test_history_says_when_what_why_and_who() -> None:
    """Each transition is a row."""
    text = PageReader(render_release(make_view())).text
    assert "2026-03-01 12:00:00 pending opened anna (command line)" in text
    assert "promoted every stage passed release flow on build-7" in text


def test_an_open_question_shows_how_to_answer() -> None:
    """Who is asked learns what, until when, and by which command."""
    asked = Approval("support-bot-1", 2, ApprovalKind.ENTER_STAGE, "Start canary 50 %?", NOON + timedelta(days=1))
    text = PageReader(render_release(replace(make_view(State.CANARY, 2), approvals=(asked,)))).text
    assert "Start canary 50 %?" in text
    assert "Open until 2026-03-02 12:00:00 UTC" in text
    assert "softlaunch approve support-bot" in text


def test_other_peoples_text_is_never_markup() -> None:
    """Reasons, actors, questions, labels and prompts with tags in them are shown as they are."""
    prompt = support_variant(f"{STABLE_TEXT} {ATTACK}", "1.1.0", Sampling(stop=(ATTACK,)))
    verdict = replace(SLOW, gate=ATTACK, reason=ATTACK)
    view = make_view(State.ROLLED_BACK, 3, reason=ATTACK, outcome=Outcome.FAIL, verdicts=[verdict], candidate=prompt)
    asked = Approval(ATTACK, 3, ApprovalKind.DEADLINE, ATTACK, NOON)
    history = tuple(replace(step, actor=ATTACK, reason=ATTACK) for step in view.history)
    release = replace(view.release, id=ATTACK, opened_by=ATTACK)
    hostile = replace(view, release=release, approvals=(asked,), history=history)
    page = render_release(hostile, eval_note=ATTACK, runbooks=[Link(ATTACK, f'"{ATTACK}')])
    read = PageReader(page)
    assert "script" not in read.tags
    assert "<script" not in page
    assert ATTACK in read.text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, no external resource, and addresses only within the page or beside it."""
    read = PageReader(render_release(make_view(), eval_page="support-bot-1-eval.html"))
    assert not read.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert set(read.addresses) <= {"support-bot-1-eval.html", *(f"#stage-{position}" for position in range(5))}


def test_equal_views_make_equal_pages() -> None:
    """Nothing in the page depends on when it was made."""
    assert render_release(make_view()) == render_release(make_view())


@pytest.mark.parametrize(
    ("outcome", "shape"),
    [
        pytest.param(Outcome.PASS, "<circle", id="a pass is a disc"),
        pytest.param(Outcome.FAIL, "l7.5 7.5l-7.5 7.5", id="a fail is a diamond"),
        pytest.param(Outcome.INCONCLUSIVE, "h10v10h-10z", id="undecided is an open square"),
        pytest.param(Outcome.ERROR, "l7 12h-14z", id="an error is a triangle"),
    ],
)
def test_outcomes_differ_by_shape(outcome: Outcome, shape: str) -> None:
    """Who sees no colours can tell them apart, and who sees nothing reads the title."""
    plot = str(interval_plot(replace(SLOW, outcome=outcome)))
    assert shape in plot
    assert f"<title>latency {outcome}: harm +391 %, interval +240 to … %, margin +10 %</title>" in plot


@pytest.mark.parametrize(
    ("interval", "arrows", "ticks"),
    [
        pytest.param(Interval(-0.05, 0.05), 0, 2, id="closed"),
        pytest.param(Interval(-inf, 0.05), 1, 1, id="open below"),
        pytest.param(Interval(0.05, inf), 1, 1, id="open above"),
        pytest.param(Interval(-inf, inf), 2, 0, id="open on both sides"),
        pytest.param(Interval(-99.0, 99.0), 2, 0, id="beyond the scale"),
        pytest.param(Interval(nan, nan), 2, 0, id="not numbers"),
        pytest.param(None, 0, 0, id="no interval"),
    ],
)
def test_open_ends_are_arrows(interval: Interval | None, arrows: int, ticks: int) -> None:
    """Where an interval doesn't end, no end is drawn."""
    plot = str(interval_plot(Verdict("latency", Outcome.INCONCLUSIVE, "", harm=0.01, interval=interval, margin=0.1)))
    assert plot.count('class="arrow"') == arrows
    assert plot.count('v10"') == ticks
    assert "nan" not in re.sub(r"<title>.*</title>", "", plot)
    assert "inf" not in re.sub(r"<title>.*</title>", "", plot)


@pytest.mark.parametrize(
    "verdict",
    [
        pytest.param(Verdict("errors", Outcome.ERROR, "no source answered"), id="no figures"),
        pytest.param(Verdict("errors", Outcome.PASS, "", harm=0.1, margin=0.0), id="no margin"),
        pytest.param(Verdict("errors", Outcome.INCONCLUSIVE, "", margin=0.01), id="no evidence"),
    ],
)
def test_what_can_not_be_drawn_is_left_out(verdict: Verdict) -> None:
    """A plot without evidence would look like one."""
    assert not interval_plot(verdict)


def test_differences_of_the_variants_are_marked() -> None:
    """Words that only one side has are marked, settings that differ are named, secrets in addresses aren't shown."""
    rows = {row.part: row for row in contrast(STABLE, CANDIDATE)}
    message = rows["message 1: system"]
    assert [piece.text for piece in message.candidate if piece.differs] == [" and friendly", " and name {{ team }}"]
    assert "".join(piece.text for piece in message.candidate) == CANDIDATE_TEXT
    assert not any(piece.differs for piece in message.stable)
    assert [part for part, row in rows.items() if row.differs] == ["prompt", "message 1: system", "top_p"]
    assert rows["top_p"].stable == ()
    page = render_release(make_view())
    assert "<mark> and friendly</mark>" in page
    assert "hunter2" not in page


def test_other_parameters_and_fallback_models_are_shown() -> None:
    """A release of tools shows which words of which tool changed, and what hasn't."""
    tool = {"name": "find_order", "description": "Finds an order."}
    longer = {"name": "find_order", "description": "Finds an order by number."}
    parameters = [
        Parameters.model_validate({"name": "support", "version": version, "tools": [one], "settings": {"top_k": 5}})
        for version, one in (("1.0.0", tool), ("1.1.0", longer))
    ]
    spare = CANDIDATE.model.model_copy(update={"name": "spare"})
    before, after = (
        Variant(prompt=STABLE.prompt, model=STABLE.model, parameters=one, fallbacks=fallbacks)
        for one, fallbacks in zip(parameters, ((), (spare,)), strict=True)
    )
    rows = {row.part: row for row in contrast(before, after)}
    assert [part for part, row in rows.items() if row.differs] == ["parameters", "fallback 1", "tools.find_order"]
    assert [piece.text for piece in rows["tools.find_order"].candidate if piece.differs] == [" by number"]
    assert "top_k" in "".join(piece.text for piece in rows["settings"].candidate)


def test_very_long_prompts_are_compared_as_a_whole() -> None:
    """A comparison word by word would take minutes."""
    long = "word " * 20_000
    row = contrast(support_variant(long), support_variant(f"{long}!"))[1]
    assert row.differs
    assert len(row.candidate) == 1
