"""The text of Prefect artifacts."""

from dataclasses import replace
from pathlib import Path

from softlaunch.core.arms import ByArm
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.ledger.outcomes import StageOutcomes
from softlaunch.notify.links import Links
from softlaunch.policy.release import State
from softlaunch.releases.views import to_json
from softlaunch.reports.markdown import release_markdown, stage_markdown, stage_table
from softlaunch.reports.release_page import render_release
from tests.support.release_views import CANDIDATE, TOO_SLOW, make_view, rolled_back

LINKS = Links(reports_dir=Path("/srv/reports"))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]


def test_a_stage_shows_each_gate_in_a_row() -> None:
    """Every verdict of the stage is a row with its outcome and figures."""
    view = rolled_back()
    text = stage_markdown(view, view.stages[3], LINKS)
    row = next(line for line in text.splitlines() if line.startswith("| latency"))
    assert _cells(row) == [
        "latency",
        "required",
        "**fail**",
        "4.91 s",
        "1.00 s",
        "+391 %",
        "+240 to … %",
        "+10 %",
        "4.91/1.00 s of 812/790 requests",
        "worse by 391 %, more than the acceptable 10 %",
    ]


def test_a_stage_without_verdicts_says_so() -> None:
    """No gate is never shown as an empty table."""
    view = make_view(State.CANARY, 2, verdicts=())
    text = stage_markdown(view, view.stages[2], LINKS)
    assert "No gate has judged anything." in text
    assert "under way" in text


def test_a_release_shows_reason_exposure_stages_and_history() -> None:
    """Everything that a person asks first is in the text."""
    text = release_markdown(rolled_back(), LINKS)
    assert f"**{TOO_SLOW}**" in text
    assert "151 of 2,934 users (5.1 %) were exposed to the candidate" in text
    assert f"| canary 50 % | rolled_back | 812 candidate, 790 stable | {TOO_SLOW} |" in text
    assert "| canary 100 % | waiting | - |  |" in text
    assert "| 2026-03-01 12:00:00 | pending | opened | anna (command line) |" in text


def test_a_live_release_is_under_way() -> None:
    """A release without a reason doesn't leave an empty pair of asterisks."""
    text = release_markdown(make_view(State.CANARY, 2), LINKS)
    assert "**under way**" in text
    assert "****" not in text


def test_a_reason_can_not_break_the_table() -> None:
    """Bars and line breaks in other people's words stay inside their cell."""
    text = release_markdown(rolled_back(reason="bad | worse\nworst"), LINKS)
    row = next(line for line in text.splitlines() if line.startswith("| canary 50 %"))
    assert _cells(row)[-1] == "bad ¦ worse worst"


def test_a_label_can_not_leave_its_code() -> None:
    """A stop sequence with backticks doesn't end the code that shows the label."""
    sampling = CANDIDATE.sampling.model_copy(update={"stop": ("```",)})
    view = make_view(candidate=CANDIDATE.model_copy(update={"sampling": sampling}))
    line = next(line for line in release_markdown(view, LINKS).splitlines() if "->" in line)
    assert line.count("`") == 4


def test_an_open_interval_is_no_figure() -> None:
    """An interval that is open on both sides is no knowledge, in words."""
    view = make_view()
    text = stage_markdown(view, view.stages[-1], LINKS)
    row = next(line for line in text.splitlines() if line.startswith("| satisfaction"))
    assert "not known yet" in _cells(row)


def test_what_failed_leads_to_its_report_and_its_runbook() -> None:
    """Both are links where they are served, and paths where they aren't; what passed names no runbook."""
    view = rolled_back()
    served = Links("https://ci.example/runbooks", "https://ci.example/reports")
    for text in (stage_markdown(view, view.stages[3], served), release_markdown(view, served)):
        assert "Report: [support-bot-1.html](https://ci.example/reports/support-bot-1.html)" in text
        assert "Runbook: [Latency gate failed](https://ci.example/runbooks/gate_latency.md)" in text
    unserved = stage_markdown(view, view.stages[3], LINKS)
    assert "Report: `/srv/reports/support-bot-1.html`" in unserved
    assert "Runbook: `runbooks/gate_latency.md`" in unserved
    assert "Runbook" not in stage_markdown(view, view.stages[2], LINKS)


def test_the_table_of_a_stage_has_the_same_figures() -> None:
    """Each gate is a row of texts that can be sorted and copied."""
    (row,) = stage_table(rolled_back().stages[3])
    assert (row["gate"], row["verdict"], row["harm"], row["evidence"]) == (
        "latency",
        "fail",
        "+391 %",
        "4.91/1.00 s of 812/790 requests",
    )


def test_what_became_of_requests_is_told_where_not_all_were_answered() -> None:
    """By outcome, for both arms of the last stage; that all were answered needs no table."""
    became = StageOutcomes(
        {RequestOutcome.ANSWERED: 1200, RequestOutcome.FILTERED: 31, RequestOutcome.REQUEST_AT_FAULT: 2},
        {RequestOutcome.ANSWERED: 1190, RequestOutcome.REQUEST_AT_FAULT: 3},
        ByArm(2, 3),
        ByArm(120, 0),
    )
    view = replace(rolled_back(), outcomes=became)
    text = release_markdown(view, LINKS)
    assert "| outcome at canary 50 % | candidate | stable |" in text
    assert "| filtered | 31 | 0 |" in text
    assert "| excused of these | 2 | 3 |" in text
    assert "| by a fallback model | 120 (9.7 %) | 0 (0.0 %) |" in text
    assert '<td data-label="outcome"><code>filtered</code></td>' in render_release(view)
    assert to_json(view)["outcomes"] == {
        "stage": "canary 50 %",
        "candidate": {"answered": 1200, "filtered": 31, "request_at_fault": 2},
        "stable": {"answered": 1190, "request_at_fault": 3},
        "excused": {"candidate": 2, "stable": 3},
        "by_fallback": {"candidate": 120, "stable": 0},
    }
    plain = replace(view, outcomes=StageOutcomes({RequestOutcome.ANSWERED: 9}, {RequestOutcome.ANSWERED: 9}))
    assert "outcome at" not in release_markdown(plain, LINKS)
    assert 'data-label="outcome"' not in render_release(plain)


def test_a_reason_is_no_markup() -> None:
    """Neither links nor HTML of other people are shown as such in Prefect's UI."""
    text = release_markdown(make_view(State.ABORTED, reason="<img src=x> [here](http://x) `y` \x1b[2J\n# now"), LINKS)
    assert "**&lt;img src=x&gt; \\[here\\](http://x) \\`y\\` \\\\x1b\\[2J # now**" in text
