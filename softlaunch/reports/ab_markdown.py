"""An A/B test as the text of a Prefect artifact."""

from softlaunch.ab.views import TrialView
from softlaunch.core.formatting import show_moment, show_value
from softlaunch.releases.wording import show_exposure
from softlaunch.reports.ab_page import saving_means, trial_title
from softlaunch.reports.change_words import show_change, show_range


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
