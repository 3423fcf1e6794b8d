"""`softlaunch gates`: what the gates would have said of requests that were recorded."""

from math import isfinite
from pathlib import Path
from typing import Any

import typer

from deployments.cli.exits import Exit
from deployments.cli.output import JSON_OPTION, console, print_json, print_table
from softlaunch.gates.replay import Conclusion, Judged, Replayed, replay
from softlaunch.policy.load import load_policy
from softlaunch.policy.model import Policy
from softlaunch.release import Stage
from softlaunch.replay.files import SampleFile
from softlaunch.replay.reading import observed_split, read_rows
from softlaunch.replay.rows import SamplesError
from softlaunch.replay.stages import StageNames
from softlaunch.replay.windows import Looks
from softlaunch.reports.wording import show_duration, show_harm, show_interval, show_value
from softlaunch.verdict import Role

_OBSERVED = "observed"
_SAMPLES = typer.Argument(metavar="SAMPLES", help="CSV (also .csv.gz) or Parquet, a row for each request.")
_POLICY = typer.Option(..., "--policy", metavar="FILE", help="The policy whose gates judge.")
_WEIGHT = typer.Option(
    None,
    "--weight-percent",
    metavar="PERCENT|observed",
    help="The candidate's share of units, for files without a column stage or weight_percent. Left out: the policy's "
    "only split, or the one of several that the file agrees with, else 'observed'. That takes what the file shows, and "
    "no split can then be found wrong.",
)
_SECONDS = typer.Option(
    None,
    "--look-seconds",
    min=0.001,
    help="Look every so many seconds of the rows' own time. Left out: 2, growing to 60 late in a long stage.",
)
_ROWS = typer.Option(
    None,
    "--look-rows",
    min=1,
    help="Look every so many rows, if that comes first. Left out: as many as bring 20 of the candidate's, at most "
    "500, growing to a fiftieth of the stage so far.",
)
_EXITS = {Conclusion.PASS: Exit.OK, Conclusion.ROLLBACK: Exit.ROLLED_BACK}


def register(app: typer.Typer) -> None:
    """Add `gates replay`."""
    group = typer.Typer(help="Replay recorded requests through the gates of a policy.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group even with a single command
    group.command("replay")(replay_samples)
    app.add_typer(group, name="gates")


def replay_samples(
    samples: Path = _SAMPLES,
    policy_file: Path = _POLICY,
    weight_percent: str | None = _WEIGHT,
    look_seconds: float | None = _SECONDS,
    look_rows: int | None = _ROWS,
    as_json: bool = JSON_OPTION,
) -> None:
    """Say when and why the gates would have decided on recorded requests.

    Columns: ts (epoch seconds or ISO 8601) and arm (stable or candidate); unit, and the metrics ok, unusable,
    latency_ms, cost_usd, quality, satisfaction (0 to 1) and hallucination, each of which may be missing or empty;
    stage (name or position in the plan) or weight_percent, where the file has several. Other columns are ignored. Rows
    are in order of time; up to 2 s late (--look-seconds) does no harm. Each unit counts once in a stage. Without a
    column unusable its gate is left out, unless the policy names it.

    Only the gates are replayed: minimum times and requests, approvals and deadlines are the release's own.

    Exit codes: 0 pass, 4 rollback, 5 inconclusive or error, 2 bad input.
    """
    policy = load_policy(policy_file)
    file = SampleFile.at(samples)
    stages = _stages(policy, file, weight_percent)
    done = replay(policy, read_rows(file, stages), Looks(look_seconds, look_rows), file.metrics)
    if as_json:
        print_json({**_document(done), "columns_ignored": list(file.ignored)})
    else:
        _show(done, file, presumed=weight_percent is None and not file.stage_columns)
    raise typer.Exit(_EXITS.get(done.conclusion, Exit.INCONCLUSIVE))


def _stages(policy: Policy, file: SampleFile, weight: str | None) -> StageNames | Stage:
    """How the stage of a row is found. Raises SamplesError where the file and the option both say it."""
    names = StageNames(policy)
    if file.stage_columns:
        if weight is not None:
            raise SamplesError(f"{file.path} has a column {file.stage_columns[0]}; leave out --weight-percent")
        return names
    if weight is None:
        split = observed_split(file)
        return names.by_split(split.candidate, split.stable)
    percent = _observed(file) if weight == _OBSERVED else _number(weight)
    stage = names.by_weight(percent) if 0 < percent <= 100 else None
    if stage is None:
        raise SamplesError(f"--weight-percent {weight}: expected a number above 0 and up to 100, or 'observed'")
    return stage


def _observed(file: SampleFile) -> float:
    percent = observed_split(file).percent
    if percent is None:
        raise SamplesError(f"{file.path}: no split can be observed, because one arm has no rows; name it instead")
    return percent


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if isfinite(number) else 0.0


def _document(done: Replayed) -> dict[str, Any]:
    return {
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
    }


def _gate(one: Judged) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "name": verdict.gate,
        "outcome": verdict.outcome.value,
        "evidence": one.evidence,
        "estimate": verdict.harm,
        "lower": None if verdict.interval is None else verdict.interval.lower,
        "upper": None if verdict.interval is None else verdict.interval.upper,
        "margin": verdict.margin,
        "role": verdict.role.value,
        "reason": verdict.reason,
    }


def _show(done: Replayed, file: SampleFile, *, presumed: bool) -> None:
    columns = ("gate", "verdict", "candidate", "stable", "harm", "between", "margin", "evidence")
    print_table("Gates", columns, [_cells(one) for one in done.gates])
    _say("")
    if presumed and done.stages:
        _say(f"The file names no stage; it was taken for {done.stages[0].stage.name}; --weight-percent says otherwise.")
    if done.unjudged:
        named = ", ".join(metric.value for metric in done.unjudged)
        _say(f"Gates that were left out: {named}. The samples have no column for it, and the policy doesn't name it.")
    if file.ignored:
        _say(f"Columns that were ignored: {', '.join(file.ignored)}.")
    for stage in done.stages:
        how = "not passed" if stage.passed is None else f"passed at row {stage.passed.row:,}"
        _say(f"{stage.stage.name}: {how}, last look at row {stage.latest.row:,}")
    if done.left_out:
        _say(f"{done.left_out:,} rows were left out: no candidate was in force, or their stage had just ended.")
    _say(f"{done.conclusion.value}{_when(done)}: {done.reason}.")
    _say(f"Users had met the candidate in {done.exposed:,} requests.")


def _when(done: Replayed) -> str:
    if done.at is None:
        return ""
    return f" at row {done.at.row:,}, {show_duration(done.at.elapsed)} after the first"


def _cells(one: Judged) -> tuple[object, ...]:
    verdict = one.verdict
    return (
        verdict.gate if verdict.role is Role.REQUIRED else f"{verdict.gate} ({verdict.role.value})",
        verdict.outcome.value,
        show_value(verdict.gate, verdict.candidate_value),
        show_value(verdict.gate, verdict.stable_value),
        show_harm(verdict.gate, verdict.harm),
        show_interval(verdict.gate, verdict.interval),
        show_harm(verdict.gate, verdict.margin),
        f"{one.evidence:+.1f}",
    )


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
