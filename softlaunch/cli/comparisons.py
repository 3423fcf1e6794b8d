"""A comparison on the terminal: the verdict, a line a metric, and the exit code that belongs to it."""

from softlaunch.cli.exits import Exit
from softlaunch.cli.output import print_table, print_text
from softlaunch.core.verdict import Outcome
from softlaunch.evals.statistics.document import OUTCOMES
from softlaunch.evals.statistics.metric_verdicts import show_amount
from softlaunch.evals.statistics.report import EvalReport, MetricComparison

_EXITS = {Outcome.PASS: Exit.OK, Outcome.FAIL: Exit.REJECTED}
_MEANINGS = {
    Outcome.PASS: "the candidate is no worse than stable by more than the tolerance.",
    Outcome.FAIL: "the candidate is worse than stable by more than may be tolerated.",
    Outcome.INCONCLUSIVE: "shown is neither that the candidate is good enough nor that it isn't.",
    Outcome.ERROR: "the candidate could not be judged; nothing passes without evidence.",
    Outcome.REVIEW: "a person has to decide, for the reasons above.",
}
_COLUMNS = ("metric", "verdict", "stable", "candidate", "difference", "between", "tolerance", "cases", "unscored")


def exit_code(report: EvalReport) -> Exit:
    """The exit code: 0 for a pass, 5 where it is undecided or a person has to decide."""
    return _EXITS.get(report.outcome, Exit.INCONCLUSIVE)


def show_comparison(report: EvalReport) -> None:
    """Print a report for people."""
    print_table("Metrics", _COLUMNS, [_cells(one) for one in report.metrics])
    print_text("")
    for verdict in report.verdicts:
        print_text(f"{verdict.gate} {verdict.outcome}: {verdict.reason}.")
    repeats = f"up to {report.repeats} repeats a case" if report.repeats > 1 else "one output a case"
    print_text(
        f"{report.paired_cases:,} cases compared, {report.left_out_cases:,} left out because an arm has no score, "
        f"{report.flickering_cases:,} flickering in both arms, {repeats}."
    )
    print_text(f"{OUTCOMES[report.outcome]}: {_MEANINGS[report.outcome]}")


def _cells(one: MetricComparison) -> tuple[object, ...]:
    margin = f"{one.margin * 100:g} {'%' if one.relative else 'points'}"
    return (
        one.metric,
        one.outcome.value,
        _value(one, one.stable),
        _value(one, one.candidate),
        _change(one, one.difference),
        f"{_change(one, one.bounds.lower)} to {_change(one, one.bounds.upper)}",
        margin,
        f"{one.estimate.cases:,}",
        f"{one.unscored:,}",
    )


def _value(one: MetricComparison, value: float) -> str:
    return show_amount(value) if one.relative else f"{value * 100:.1f} %"


def _change(one: MetricComparison, value: float) -> str:
    """Points of a score, percent of stable's mean for an amount."""
    if one.relative:
        return f"{value / one.stable * 100 + 0.0:+.3g} %"
    return f"{value * 100 + 0.0:+.1f}"
