"""`softlaunch gates`: what the gates would have said of requests that were recorded."""

from math import isfinite
from pathlib import Path

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.gates_output import print_replayed, show_replayed
from softlaunch.cli.output import JSON_OPTION
from softlaunch.forecast.replay.conclusion import Conclusion
from softlaunch.forecast.replay.files import SampleFile
from softlaunch.forecast.replay.reading import observed_split, read_rows
from softlaunch.forecast.replay.replay import replay
from softlaunch.forecast.replay.rows import SamplesError
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.forecast.replay.windows import Looks
from softlaunch.policy.load import load_policy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage

_OBSERVED = "observed"
_SAMPLES = typer.Argument(metavar="SAMPLES", help="CSV (also .csv.gz) or Parquet, with one row per request.")
_POLICY = typer.Option(..., "--policy", metavar="FILE", help="The policy whose gates to use.")
_WEIGHT = typer.Option(
    None,
    "--weight-percent",
    metavar="PERCENT|observed",
    help="The candidate's share of units, for files without a column stage or weight_percent. Left out: the policy's "
    "only split, or whichever of several matches the file, else 'observed'. That takes the share in the file, so that "
    "no wrong split can be detected.",
)
_SECONDS = typer.Option(
    None,
    "--look-seconds",
    min=0.001,
    help="Evaluate the gates at this interval, in seconds of the rows' own time. Left out: 2, growing to 60 late in a "
    "long stage.",
)
_ROWS = typer.Option(
    None,
    "--look-rows",
    min=1,
    help="Evaluate the gates after this many rows, if that comes first. Left out: as many as contain 20 of the "
    "candidate's, at most 500, growing to a fiftieth of the stage so far.",
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
    """Show when and why the gates would have decided on recorded requests.

    Columns: ts (epoch seconds or ISO 8601) and arm (stable or candidate); unit, and the metrics ok, unusable,
    latency_ms, cost_usd, quality, satisfaction (0 to 1) and hallucination, each of which may be missing or empty;
    request_size (any measure known before the answer) and streamed, if a gate is adjusted for them; stage (name or
    position in the plan) or weight_percent, if the file has several. Other columns are ignored. Rows are in order of
    time; up to 2 s late (--look-seconds) does no harm. Without a column unusable its gate is skipped, unless the policy
    names it.

    Tables show the figures of all user requests, and of the last minutes. For the gates each unit is evidence once when
    it appears, once by its first visit, and once more in every round of a stage. It belongs to the arm on which it
    first appears; if more than 1 % of the units are on both, nothing passes. Nor does a gate whose metric is missing in
    one arm beyond chance, except scores and ratings, of which one arm may have more: both rates are shown. Blank values
    are counted, and a gate passes only if it would pass with the candidate's blanks as bad as possible. Gates per
    session or user combine a unit's rows; sessions and periods still open at the end aren't counted.

    Only the gates are replayed, not a release's minimum times and requests, approvals and deadlines.

    Exit codes: 0 pass, 4 rollback, 5 inconclusive or error, 2 bad input.
    """
    policy = load_policy(policy_file)
    adjusted = {name for gate in policy.gates for name in gate.adjust_for}
    file = SampleFile.at(samples, adjusted, [one.metric for one in policy.metrics])
    stages = _stages(policy, file, weight_percent)
    done = replay(policy, read_rows(file, stages), Looks(look_seconds, look_rows), file.metrics)
    if as_json:
        print_replayed(done, file)
    else:
        show_replayed(done, file, presumed=weight_percent is None and not file.stage_columns)
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
