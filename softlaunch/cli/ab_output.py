"""A/B tests in a terminal: the plan and the standing, as tables and as JSON values."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from rich.text import Text

from softlaunch.ab.analysis import change
from softlaunch.ab.power import MetricPlan, TrialPlan
from softlaunch.ab.views import TrialView
from softlaunch.cli.output import console, print_table, print_text
from softlaunch.cli.verdicts import verdict_table
from softlaunch.core.formatting import show_duration, show_moment, show_value
from softlaunch.core.verdict import Interval
from softlaunch.core.visible import one_line
from softlaunch.releases.wording import evidence_unit
from softlaunch.reports.ab_page import saving_means, trial_title
from softlaunch.reports.change_words import unit_of

_NEVER = "never at this traffic"


def plan_json(plan: TrialPlan) -> Mapping[str, Any]:
    """The plan as JSON values; what never comes is null."""
    return {
        "app": plan.app,
        "requests_per_hour": plan.requests_per_hour,
        "from": plan.note,
        "policy": plan.policy.model_dump(mode="json"),
        "duration_seconds": plan.duration,
        "planned_ends_seconds": list(plan.ends),
        "metrics": [_metric_json(one, plan) for one in plan.metrics],
        "curves": [
            {"end_seconds": end, "effect": [point[0] for point in curve], "power": [point[1] for point in curve]}
            for end, curve in plan.curves
        ],
    }


def _metric_json(one: MetricPlan, plan: TrialPlan) -> Mapping[str, Any]:
    return {
        "metric": one.metric,
        "known": one.is_known,
        "deviation": one.deviation if one.is_known else None,
        "users_needed": _finite(one.units_needed),
        "seconds_needed": _finite(one.seconds_needed),
        "users_for_equality": _finite(one.units_equal),
        "seconds_for_equality": _finite(one.seconds_equal),
        "at_planned_ends": [
            {"end_seconds": end, "smallest_effect": _finite(smallest), "power": power}
            for end, smallest, power in zip(plan.ends, one.smallest, one.power, strict=False)
        ],
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def show_plan(plan: TrialPlan, page: Path) -> None:
    """The plan as a table, and what it comes to in a sentence."""
    policy = plan.policy
    print_text(f"{plan.requests_per_hour:,.0f} requests an hour, from {plan.note}. Each user counts once.\n")
    columns = (
        "",
        "spread",
        "users needed",
        "takes",
        *(f"finds in {show_duration(end)}" for end in plan.ends),
        "equality",
    )
    print_table(
        f"To find {policy.minimum_effect} with {policy.power:.0%} power at {policy.alpha:.0%} error",
        columns,
        [_plan_row(one, len(plan.ends)) for one in plan.metrics],
    )
    limit = show_duration(policy.maximum_time)
    if plan.found_in_time:
        print_text(f"\nPlanned for {show_duration(plan.duration)}; undecided it extends itself up to {limit}.")
    else:
        print_text(
            f"\nThis traffic does not find {policy.minimum_effect} within {limit}. Look for a larger difference "
            "(--effect), send more ratings or scores, or give the test more time (ab.maximum_time)."
        )
    print_text(f"Power curve: {page}")


def _plan_row(one: MetricPlan, ends: int) -> tuple[str, ...]:
    if not one.is_known:
        return (one.metric.value, "not known: too few values", *[""] * (3 + ends))
    return (
        one.metric.value,
        f"{one.deviation * 100:.1f} points",
        f"{one.units_needed:,.0f}",
        _wait(one.seconds_needed),
        *(f"{smallest * 100:.1f} points" if isfinite(smallest) else "-" for smallest in one.smallest),
        _wait(one.seconds_equal),
    )


def _wait(seconds: float) -> str:
    return show_duration(seconds) if seconds < 10 * 365 * 86400 else _NEVER


def show_trial(trial: TrialView) -> None:
    """How a test stands: what decides, what decides between equals, and what guards it."""
    release = trial.view.release
    labels = one_line(f"  A {release.stable.label}  B {release.candidate.label}")
    console.print(Text.assemble("\n", (release.id, "bold"), labels), highlight=False)
    print_text(f"{trial_title(trial)}: {release.reason or 'opened'}")
    if release.state.live and trial.planned_end is not None:
        print_text(f"planned to end {show_moment(trial.planned_end)} UTC")
    analysis = trial.analysis
    if analysis is None:
        print_text("no interim analysis yet")
        return
    rows = [
        (
            f"{one.metric}, {unit_of(one)}",
            *(show_value(one.metric.value, mean) for mean in saving_means(one)),
            f"{change(one) * 100:+.1f}",
            _bounds(one.interval),
            _bounds(one.anytime),
            None if one.p_value is None else f"{one.p_value:.3g}",
        )
        for one in analysis.metrics + analysis.savings
    ]
    print_text("")
    print_table(
        f"{analysis.units[0]:,} users on A, {analysis.units[1]:,} on B",
        ("", "A", "B", "B - A", "at its end", "at any time", "p"),
        rows,
    )
    stage = trial.view.stages[0]
    if stage.verdicts:
        console.print("", verdict_table("guarded by", stage.verdicts, evidence_unit(stage), arms="B/A"))


def _bounds(interval: Interval) -> str:
    return f"{interval.lower * 100:+.1f} to {interval.upper * 100:+.1f}"
