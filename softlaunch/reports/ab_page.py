"""An A/B test as pages: its plan, how it stands or ended, the sheet that people read; and as an artifact's text."""

from collections.abc import Sequence
from datetime import datetime
from math import exp, isfinite
from pathlib import Path
from typing import Any

from markupsafe import Markup

from softlaunch.ab.analysis import Analysis, MetricResult
from softlaunch.ab.conclusion import Choice
from softlaunch.ab.document import from_json
from softlaunch.ab.power import TrialPlan
from softlaunch.ab.sheet import Pair
from softlaunch.ab.views import TrialView
from softlaunch.core.formatting import show_moment, show_value
from softlaunch.core.live_metrics import Metric
from softlaunch.core.private_files import private_folder
from softlaunch.policy.release import Release, State
from softlaunch.releases.wording import show_exposure
from softlaunch.reports.band_plot import Mark, Point, band_plot
from softlaunch.reports.change_words import show_change, show_range
from softlaunch.reports.contrast import contrast
from softlaunch.reports.html import page_environment
from softlaunch.reports.pages import write_whole
from softlaunch.reports.power_plot import power_plot

_TITLES = {
    Choice.A: "A stays",
    Choice.B: "B wins",
    Choice.EITHER: "Equal: A stays",
    Choice.PEOPLE: "People decide",
    Choice.VOID: "Void",
}


def write_trial_page(trial: TrialView, folder: Path) -> Path:
    """Write the page of a test into the reports folder; it may be written as often as one likes."""
    private_folder(folder)
    return write_whole(folder / f"{trial.view.release.id}.html", render_trial(trial))


def write_plan_page(plan: TrialPlan, folder: Path) -> Path:
    """Write the page of a plan into the reports folder."""
    private_folder(folder)
    template = page_environment().get_template("ab_plan.html.j2")
    return write_whole(folder / f"{plan.app}-ab-plan.html", template.render(plan=plan, plot=power_plot(plan)))


def write_sheet(release: Release, pairs: Sequence[Pair], folder: Path) -> Path:
    """Write the sheet of paired answers into the reports folder."""
    private_folder(folder)
    template = page_environment().get_template("ab_sheet.html.j2")
    return write_whole(folder / f"{release.id}-sheet.html", template.render(release=release, pairs=pairs))


def render_trial(trial: TrialView) -> str:
    """The page as one HTML document without anything outside of it; equal views make equal pages."""
    return page_environment().get_template("ab.html.j2").render(**trial_context(trial))


def trial_context(trial: TrialView) -> dict[str, Any]:
    """What templates show of a test."""
    release = trial.view.release
    return {
        "trial": trial,
        "view": trial.view,
        "release": release,
        "policy": release.policy.ab,
        "title": trial_title(trial),
        "tone": _tone(trial),
        "analysis": trial.analysis,
        "plots": _plots(trial),
        "history": _history(trial),
        "parts": contrast(release.stable, release.candidate),
        "show_change": show_change,
        "show_range": show_range,
        "saving_means": saving_means,
    }


def trial_title(trial: TrialView) -> str:
    """What became of a test, in two or three words."""
    if trial.choice is not None and trial.view.release.state is State.CONCLUDED:
        return _TITLES[trial.choice]
    if trial.view.release.state.live:
        return "Under way"
    return trial.view.release.state.value.replace("_", " ").capitalize()


def saving_means(result: MetricResult) -> tuple[float, float]:
    """Means of cost in USD; of latency its typical value in milliseconds, for it is compared by its logarithm."""
    pair = result.difference.mean_a, result.difference.mean_b
    return (exp(pair[0]), exp(pair[1])) if result.metric is Metric.LATENCY else pair


def _tone(trial: TrialView) -> str:
    outcome = trial.view.release.outcome
    if trial.view.release.state.live or outcome is None:
        return "running"
    if trial.choice in {Choice.A, Choice.EITHER}:
        return "pass"
    return outcome.value


def _plots(trial: TrialView) -> list[tuple[Metric, Markup]]:
    """For each metric the difference over time, between bounds that hold at any time."""
    equal = trial.view.release.policy.ab.equal_within
    limits = [
        Mark(0.0, "no difference", "zero"),
        Mark(equal.value, f"+{equal}"),
        Mark(-equal.value, f"-{equal}"),
    ]
    events = [
        Mark(look.looked_at.timestamp(), "extended" if look.choice == Choice.EXTEND else "concluded", "event")
        for look in trial.looks
        if look.planned_end
    ]
    plots = []
    for metric in trial.view.release.policy.ab.metrics:
        points = [
            Point(look.looked_at.timestamp(), found.anytime.lower, found.difference.value, found.anytime.upper)
            for look in trial.looks
            if (found := _find(from_json(look.analysis), metric)) is not None and isfinite(found.anytime.lower)
        ]
        drawn = band_plot(points, title=f"{metric}: B minus A over time", limits=limits, events=events)
        plots.append((metric, drawn))
    return plots


def _history(trial: TrialView) -> list[tuple[datetime, str, str]]:
    """Transitions and planned ends in the order in which they happened."""
    steps = [(step.happened_at, step.to_state, f"{step.reason} ({step.actor})") for step in trial.view.history]
    ends = [
        (look.looked_at, f"planned end {look.planned_end}: {look.choice}", look.reason)
        for look in trial.looks
        if look.planned_end
    ]
    return sorted([*steps, *ends], key=lambda entry: entry[0])


def _find(analysis: Analysis, metric: Metric) -> MetricResult | None:
    return next((result for result in analysis.metrics if result.metric is metric), None)


def trial_markdown(trial: TrialView) -> str:
    """What became of the test, each metric, and what happened at each planned end."""
    release, analysis = trial.view.release, trial.analysis
    lines = [
        f"# {trial_title(trial)}",
        f"A `{release.stable.label}` against B `{release.candidate.label}`",
        "",
        f"**{release.reason or 'under way'}**",
        "",
        show_exposure(trial.view.exposure),
    ]
    if analysis is not None:
        lines += ["", "| metric | A | B | B - A | holds at this end | p |", "| --- | --- | --- | --- | --- | --- |"]
        for one in analysis.metrics + analysis.savings:
            means = saving_means(one)
            shown = " | ".join(show_value(one.metric.value, mean) for mean in means)
            p_value = "-" if one.p_value is None else f"{one.p_value:.3g}"
            lines.append(
                f"| {one.metric} | {shown} | {show_change(one)} | {show_range(one, one.interval)} | {p_value} |"
            )
    ends = [look for look in trial.looks if look.planned_end]
    if ends:
        lines += ["", "| planned end (UTC) | came to | why |", "| --- | --- | --- |"]
        lines += [f"| {show_moment(look.looked_at)} | {look.choice} | {look.reason} |" for look in ends]
    return "\n".join(lines)
