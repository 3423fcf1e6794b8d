"""The text of Prefect artifacts."""

from release_views import CANDIDATE, TOO_SLOW, make_view, rolled_back

from softlaunch.release import State
from softlaunch.reports.markdown import release_markdown, stage_markdown


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]


def test_a_stage_shows_each_gate_in_a_row() -> None:
    """Every verdict of the stage is a row with its outcome and figures."""
    view = rolled_back()
    text = stage_markdown(view, view.stages[3])
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
        "812 / 790",
        "worse by 391 %, more than the acceptable 10 %",
    ]


def test_a_stage_without_verdicts_says_so() -> None:
    """No gate is never shown as an empty table."""
    view = make_view(State.CANARY, 2, verdicts=())
    text = stage_markdown(view, view.stages[2])
    assert "No gate has judged anything." in text
    assert "under way" in text


def test_a_release_shows_reason_exposure_stages_and_history() -> None:
    """Everything that a person asks first is in the text."""
    text = release_markdown(rolled_back())
    assert f"**{TOO_SLOW}**" in text
    assert "151 of 2,934 users (5.1 %) met the candidate" in text
    assert f"| canary 50 % | rolled_back | 812 candidate, 790 stable | {TOO_SLOW} |" in text
    assert "| canary 100 % | waiting | - |  |" in text
    assert "| 2026-03-01 12:00:00 | pending | opened | anna (command line) |" in text


def test_a_live_release_is_under_way() -> None:
    """A release without a reason doesn't leave an empty pair of asterisks."""
    text = release_markdown(make_view(State.CANARY, 2))
    assert "**under way**" in text
    assert "****" not in text


def test_a_reason_can_not_break_the_table() -> None:
    """Bars and line breaks in other people's words stay inside their cell."""
    text = release_markdown(rolled_back(reason="bad | worse\nworst"))
    row = next(line for line in text.splitlines() if line.startswith("| canary 50 %"))
    assert _cells(row)[-1] == "bad ¦ worse worst"


def test_a_label_can_not_leave_its_code() -> None:
    """A stop sequence with backticks doesn't end the code that shows the label."""
    sampling = CANDIDATE.sampling.model_copy(update={"stop": ("```",)})
    view = make_view(candidate=CANDIDATE.model_copy(update={"sampling": sampling}))
    line = next(line for line in release_markdown(view).splitlines() if "->" in line)
    assert line.count("`") == 4


def test_an_open_interval_is_no_figure() -> None:
    """An interval that is open on both sides is no knowledge, in words."""
    view = make_view()
    row = next(line for line in stage_markdown(view, view.stages[-1]).splitlines() if line.startswith("| satisfaction"))
    assert "not known yet" in _cells(row)
