"""What `gates replay` has to say: tables and sentences for people, one document for programs."""

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

from softlaunch.cli.output import print_json, print_table, print_text
from softlaunch.core.formatting import show_duration, show_harm, show_interval, show_value
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import LATELY_MINUTES, Met, Per, Role, Verdict
from softlaunch.forecast.replay.conclusion import Judged, Replayed
from softlaunch.forecast.replay.files import SampleFile
from softlaunch.forecast.replay.missing import WorstCase
from softlaunch.gates.plain_figures import harm_met

_Cells = tuple[object, ...]


def print_replayed(done: Replayed, file: SampleFile) -> None:
    """One JSON document."""
    print_json(
        {
            "outcome": done.conclusion.value,
            "at_row": None if done.at is None else done.at.row,
            "candidate_requests": done.exposed,
            "metric": done.metric,
            "reason": done.reason,
            "gates": [_gate(one) for one in done.gates],
            "stages": [
                {
                    "name": stage.stage.name,
                    "weight_percent": stage.stage.weight_percent,
                    "passed_at_row": None if stage.passed is None else stage.passed.row,
                    "last_row": stage.latest.row,
                }
                for stage in done.stages
            ],
            "rows_left_out": done.left_out,
            "gates_left_out": [metric.value for metric in done.unjudged],
            "users_on_both_arms": done.strays[0],
            "requests_on_second_arm": done.strays[1],
            "notes": [*done.notes, *file.notes],
            "columns_ignored": list(file.ignored),
        }
    )


def _gate(one: Judged) -> dict[str, Any]:
    verdict = one.verdict
    known = one.measured
    return {
        "name": verdict.gate,
        "outcome": verdict.outcome.value,
        "evidence": one.evidence,
        "estimate": verdict.harm,
        "lower": None if verdict.interval is None else verdict.interval.lower,
        "upper": None if verdict.interval is None else verdict.interval.upper,
        "margin": verdict.margin,
        "per": verdict.per.value,
        "role": verdict.role.value,
        "reason": verdict.reason,
        "units": {"candidate": verdict.candidate_count, "stable": verdict.stable_count},
        "met": {"candidate": _met(verdict.candidate_met), "stable": _met(verdict.stable_met)},
        "measured": known and {"candidate": known.candidate, "stable": known.stable, "differs": known.differ},
        "missing": one.missing and _missing(one.missing),
    }


def _missing(worst: WorstCase) -> dict[str, Any]:
    """What is missing, and the harm there would be were it as bad as can be; null where nothing bounds that."""
    return {
        "candidate": worst.missing.candidate,
        "stable": worst.missing.stable,
        "asked": {"candidate": worst.asked.candidate, "stable": worst.asked.stable},
        "worst_case": {where: harm if isfinite(harm) else None for where, harm in worst.harm.items()},
    }


def _met(met: Met | None) -> dict[str, Any] | None:
    if met is None:
        return None
    return {
        "requests": met.requests,
        "users": met.users,
        "value": met.value,
        "slow": met.slow,
        "lately": met.lately,
        "lately_requests": met.lately_requests,
    }


def show_replayed(done: Replayed, file: SampleFile, *, presumed: bool) -> None:
    """What users met, what the gates made of it, and how it ended; `presumed` where the file names no stage."""
    is_usual = all(one.verdict.per is Per.REQUEST for one in done.gates)
    columns = ("metric", "candidate", "stable", "harm", "lately", "requests" if is_usual else "counted", "users")
    print_table(_title(done), columns, [row for one in done.gates for row in _met_rows(one.verdict, is_usual=is_usual)])
    print_text("")
    gates = ("gate", "verdict", "harm", "between", "margin", "evidence", "units")
    print_table("Gates", gates, [_gate_row(one) for one in done.gates])
    print_text("")
    if presumed and done.stages:
        print_text(
            f"The file names no stage; it was taken for {done.stages[0].stage.name}; --weight-percent names another."
        )
    if done.unjudged:
        named = ", ".join(metric.value for metric in done.unjudged)
        print_text(
            f"Gates that were left out: {named}. The samples have no column for it, and the policy doesn't name it."
        )
    if file.ignored:
        print_text(f"Columns that were ignored: {', '.join(file.ignored)}.")
    for note in (*done.notes, *file.notes):
        print_text(f"{note}.")
    for stage in done.stages:
        how = "not passed" if stage.passed is None else f"passed at row {stage.passed.row:,}"
        print_text(f"{stage.stage.name}: {how}, last evaluation at row {stage.latest.row:,}")
    if done.left_out:
        print_text(f"{done.left_out:,} rows were left out: no candidate was in force, or their stage had just ended.")
    print_text(f"{done.conclusion.value}{_when(done)}: {done.reason}.")
    print_text(f"Users were exposed to the candidate in {done.exposed:,} requests.")


def _when(done: Replayed) -> str:
    if done.at is None:
        return ""
    return f" at row {done.at.row:,}, {show_duration(done.at.elapsed)} after the first"


def _title(done: Replayed) -> str:
    if any(one.verdict.candidate_met for one in done.gates):
        return f"What users met (candidate / stable; lately: the last {LATELY_MINUTES} minutes)"
    return "What both arms answered (candidate / stable)"


def _met_rows(verdict: Verdict, *, is_usual: bool) -> Iterator[_Cells]:
    """A metric's plain figures; a magnitude has a row for its median and one for its 95th percentile.

    What is counted is said unless everything is per request, as `is_usual`.
    """
    gate = verdict.gate
    candidate = verdict.candidate_met or Met(verdict.candidate_count, value=verdict.candidate_value)
    stable = verdict.stable_met or Met(verdict.stable_count, value=verdict.stable_value)
    harms = [*harm_met(Metric(gate), candidate, stable).values(), None, None]

    def pair(show: Callable[[Met], str]) -> str:
        return f"{show(candidate)} / {show(stable)}"

    values = show_value(gate, candidate.value), show_value(gate, stable.value), show_harm(gate, harms[0])
    lately = pair(lambda met: show_value(gate, met.lately))
    what = "" if is_usual else f" {verdict.per.counted}"
    counts = pair(lambda met: f"{met.requests:,}") + what, pair(lambda met: f"{met.users:,}" if met.users else "-")
    yield (f"{verdict.name} median" if Metric(gate).is_relative else verdict.name, *values, lately, *counts)
    if candidate.slow is not None or stable.slow is not None:
        slow = show_value(gate, candidate.slow), show_value(gate, stable.slow), show_harm(gate, harms[1])
        yield (f"{verdict.name} p95", *slow, "", "", "")


def _gate_row(one: Judged) -> _Cells:
    verdict = one.verdict
    return (
        verdict.name if verdict.role is Role.REQUIRED else f"{verdict.name} ({verdict.role.value})",
        verdict.outcome.value,
        show_harm(verdict.gate, verdict.harm),
        show_interval(verdict.gate, verdict.interval),
        show_harm(verdict.gate, verdict.margin),
        f"{one.evidence:+.1f}",
        f"{verdict.candidate_count:,} / {verdict.stable_count:,}",
    )
