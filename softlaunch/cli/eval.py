"""`softlaunch eval`: compare a candidate with stable, on outputs that exist already or on calls made now."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from softlaunch.cli.comparisons import exit_code, show_comparison
from softlaunch.cli.eval_run import run_eval
from softlaunch.cli.output import JSON_OPTION, print_json, print_text
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.evals.recordings.columns import ROLES, Columns
from softlaunch.evals.recordings.comparing import arms_of, compare_recorded
from softlaunch.evals.recordings.files import RecordingError, read_files
from softlaunch.evals.recordings.metrics import Margins, RecordedMetric, plan_metrics
from softlaunch.evals.statistics.document import to_document
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.metrics import metric_names
from softlaunch.policy.evals import EvalPolicy

_METRIC = (
    "What to compare; repeatable. A score: NAME or NAME:KEY=VALUE,... of "
    f"{', '.join(metric_names())}; the name of a column that already has scores from 0 to 1; "
    "recorded:column=C,right=TEXT for a column that holds a text. An amount, compared as a ratio: latency, cost, "
    "less:COLUMN, more:COLUMN. Left out: agreement with the reference, or the column preference."
)
_Recorded = Annotated[
    list[Path],
    typer.Option(
        "--recorded",
        help="CSV, JSON Lines or a JSON list, also .gz. Several files count as one; if no column names the model, "
        "the file's name does.",
    ),
]
_Mapped = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="ROLE=COLUMN", help=f"Which column is which: {', '.join(ROLES)}."),
]
_Segments = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Also judge the cases of each value of a column; tags are always judged."),
]
_Critical = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="A tag, or COLUMN=VALUE; the result is a fail if it gets worse.")
]
_OwnMargins = Annotated[list[str] | None, typer.Option(metavar="METRIC=MARGIN", help="The tolerance of one metric.")]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A comparison of recorded outputs: the names of both models, the files, and the report."""

    stable: str
    candidate: str
    files: str
    report: EvalReport


def register(app: typer.Typer) -> None:
    """Add the group `eval`."""
    group = typer.Typer(help="Compare a candidate with stable on the same cases.", no_args_is_help=True)
    group.command("run")(run_eval)
    group.command("compare")(compare_outputs)
    app.add_typer(group, name="eval")


def compare_outputs(
    recorded: _Recorded,
    stable: Annotated[str, typer.Option(help="Stable's name in the model column, or what follows its last /.")],
    candidate: Annotated[str, typer.Option(help="The candidate's name.")],
    mapped: _Mapped = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="SPEC", help=_METRIC)] = None,
    tolerance: Annotated[str, typer.Option(help="How many points a score may lose.")] = "2 points",
    relative_tolerance: Annotated[str, typer.Option(help="How much worse an amount may get.")] = "10 %",
    margin: _OwnMargins = None,
    segment: _Segments = None,
    critical: _Critical = None,
    confidence: Annotated[float, typer.Option(help="Confidence of the verdict, over all metrics together.")] = 0.95,
    page: Annotated[Path | None, typer.Option(help="Write a page with the outputs side by side.")] = None,
    as_json: bool = JSON_OPTION,
) -> None:
    """Judge recorded outputs of two models, paired by case.

    Several outputs of a case are repeats. Outputs that are missing, or have something in the error column, are
    unscored: neither right nor wrong. A latency is in seconds unless its column's name ends in _ms. In AlpacaEval's
    form, a judge's preference between output and reference, stable may be the reference.

    Differences are candidate minus stable; each of the two bounds holds with the stated confidence. Pass: no score
    falls, and no amount gets worse, by more than its tolerance. Fail: one is shown to. Review: a person decides,
    because one score is shown to fall and another to rise, a segment gets worse, or something about the rows looks
    wrong. Cases that only one model has are counted, and never pass by themselves.

    Exit codes: 0 pass, 3 fail, 5 inconclusive or review, 2 bad input.
    """
    margins = _margins(tolerance, relative_tolerance, margin or [])
    policy = _policy(recorded[0], margins, confidence, critical or [])
    rows = read_files(recorded)
    columns = Columns.of(rows, mapped or [])
    arms = arms_of(rows, columns, stable, candidate)
    metrics = plan_metrics(metric or [], columns, [*arms.stable, *arms.candidate], margins)
    report = compare_recorded(arms, columns, metrics, policy, segment or [])
    compared = _Compared(stable, candidate, ", ".join(path.name for path in recorded), report)
    if page is not None:
        _write_page(page, compared)
    _show(compared, metrics, as_json=as_json)
    raise typer.Exit(exit_code(report))


def _policy(recorded: Path, margins: Margins, confidence: float, critical: Sequence[str]) -> EvalPolicy:
    if not 0.5 < confidence < 1:
        raise RecordingError(f"--confidence {confidence:g}: expected a number between 0.5 and 1, such as 0.95")
    return EvalPolicy(
        golden_set=str(recorded), tolerance=margins.points, confidence=confidence, segments=tuple(critical)
    )


def _write_page(page: Path, compared: _Compared) -> None:
    from softlaunch.core.arms import ByArm
    from softlaunch.reports.eval_page import render_eval
    from softlaunch.reports.pages import write_whole

    labels = ByArm(candidate=compared.candidate, stable=compared.stable)
    write_whole(page, render_eval(compared.report, f"recorded outputs in {compared.files}", labels))


def _show(compared: _Compared, metrics: Sequence[RecordedMetric], *, as_json: bool) -> None:
    meaning = {one.plan.metric: one.meaning for one in metrics}
    if as_json:
        print_json({**to_document(compared.report), "meaning": meaning})
        return
    print_text(f"{compared.candidate} against {compared.stable}, from {compared.files}")
    for name, what in meaning.items():
        print_text(f"{name}: {what}")
    show_comparison(compared.report)


def _margins(tolerance: str, relative_tolerance: str, own: list[str]) -> Margins:
    points, relative = _margin("--tolerance", tolerance), _margin("--relative-tolerance", relative_tolerance)
    if points.kind is not MarginKind.POINTS or relative.kind is not MarginKind.RELATIVE:
        raise RecordingError("--tolerance is written like '2 points', --relative-tolerance like '10 %'")
    return Margins(points, relative, _own_margins(own))


def _own_margins(given: list[str]) -> dict[str, Margin]:
    own = {}
    for text in given:
        name, separator, margin = text.rpartition("=")
        if not separator:
            raise RecordingError(f"--margin {text}: expected METRIC=MARGIN, such as 'latency=20 %'")
        own[name] = _margin("--margin", margin)
    return own


def _margin(option: str, text: str) -> Margin:
    try:
        return Margin.parse(text)
    except ValueError as error:
        raise SoftlaunchError(f"{option} {text}: {error}") from error
