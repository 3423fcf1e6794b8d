"""The page of a release: what became of it and why, on what evidence, and what was released."""

from collections.abc import Sequence
from dataclasses import dataclass

from softlaunch.core.verdict import Outcome
from softlaunch.ledger.stages import StageState
from softlaunch.policy.release import State
from softlaunch.releases.views import ReleaseView, StageView, deciding_verdicts
from softlaunch.releases.wording import outcome_rows
from softlaunch.reports.contrast import contrast
from softlaunch.reports.html import page_environment
from softlaunch.reports.live_words import show_live
from softlaunch.reports.plots import interval_axis, interval_plot

SIGNS = {"pass": "✔", "fail": "✘", "inconclusive": "?", "review": "⚖", "error": "!", "running": "▶", "waiting": "○"}
"""A sign for each way in which a release, a stage or a gate can stand, which colour alone must not tell."""
_LOOKS = {
    StageState.PASSED: "pass",
    StageState.ENDED_EARLY: "inconclusive",
    StageState.RUNNING: "running",
    StageState.WAITING: "waiting",
}


@dataclass(frozen=True, slots=True)
class Link:
    """Somewhere to read on; without an address it is only named."""

    text: str
    address: str | None


def render_release(
    view: ReleaseView,
    *,
    eval_page: str | None = None,
    eval_note: str = "",
    agreement: str = "",
    runbooks: Sequence[Link] = (),
) -> str:
    """The page as one HTML document without anything outside of it; equal views make equal pages.

    `eval_page` is the address of the eval's page; `eval_note` says why there is none where there could be one.
    `agreement` is the similarity of the answers, for the shadow stage.
    """
    release = view.release
    template = page_environment().get_template("release.html.j2")
    return template.render(
        view=view,
        release=release,
        tone=release_tone(view),
        title=state_title(release.state),
        signs=SIGNS,
        stages=[stage for stage in view.stages if stage.record.entered_at is not None],
        stage_tone=stage_tone,
        stage_result=lambda stage: stage_result(view, stage),
        seconds=seconds_in,
        decided=deciding_verdicts(view),
        parts=contrast(release.stable, release.candidate),
        axis=interval_axis(),
        plot=interval_plot,
        eval_page=eval_page,
        eval_note=eval_note,
        agreement=agreement,
        show_live=show_live,
        became=outcome_rows(view.outcomes),
        runbooks=runbooks,
    )


def release_tone(view: ReleaseView) -> str:
    """The outcome that a release is coloured by, or `running`."""
    release = view.release
    if release.state.live:
        return "inconclusive" if view.approvals else "running"
    if release.state is State.PROMOTED:
        return "pass"
    return "fail" if release.outcome is None or release.outcome is Outcome.PASS else release.outcome.value


def state_title(state: State) -> str:
    """`Rolled back`: a state as a heading."""
    return state.value.replace("_", " ").capitalize()


def stage_tone(stage: StageView) -> str:
    """What a stage is coloured by: an outcome, `running` or `waiting`."""
    return _LOOKS.get(stage.record.state, "fail")


def stage_result(view: ReleaseView, stage: StageView) -> str:
    """A stage's state in words; one that a release ended before is `not reached`."""
    if stage.record.state is StageState.WAITING and not view.release.state.live:
        return "not reached"
    return stage.record.state.replace("_", " ")


def seconds_in(stage: StageView) -> float | None:
    """How long a stage lasted; None until it has ended."""
    entered, ended = stage.record.entered_at, stage.record.ended_at
    return None if entered is None or ended is None else (ended - entered).total_seconds()
