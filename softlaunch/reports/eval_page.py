"""An eval as one self-contained HTML page: verdict, intervals, and every case with both answers side by side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from softlaunch.evals.report import CaseRow, EvalReport, MetricComparison
from softlaunch.reports.html import page_environment
from softlaunch.verdict import Interval, Outcome

_WIDTH = 960
_TICKS = 8
_ROWS = 500
_OPENED = 1
_CLEAR = 110
_SIGNS = {Outcome.PASS: "✔", Outcome.FAIL: "✘", Outcome.INCONCLUSIVE: "?", Outcome.ERROR: "!"}
_MEANINGS = {
    Outcome.PASS: "The candidate is no worse than stable by more than the tolerance.",
    Outcome.FAIL: "The candidate is worse than stable by more than may be tolerated.",
    Outcome.INCONCLUSIVE: "The evidence shows neither that the candidate is good enough nor that it isn't.",
    Outcome.ERROR: "The eval could not judge the candidate. Nothing passes without evidence.",
}


@dataclass(frozen=True, slots=True)
class _Tick:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class _Plot:
    """One metric's harm with its interval, as shares, and where on the horizontal axis they are drawn."""

    metric: str
    outcome: Outcome
    stable: float
    candidate: float
    harm: float
    interval: Interval
    margin: float
    minimum_detectable: float
    method: str
    cases: int
    ticks: Sequence[_Tick]
    x_low: float
    x_high: float
    x_harm: float
    x_zero: float
    x_margin: float
    width: int = _WIDTH

    @property
    def x_margin_label(self) -> float:
        """Above the tolerance's line, and clear of the words at both ends."""
        return min(max(self.x_margin, _CLEAR), self.width - _CLEAR)


@dataclass(frozen=True, slots=True)
class _Row:
    case: CaseRow
    direction: str
    change_text: str
    unscored: int


def render_eval(
    report: EvalReport, *, title: str, stable_label: str, candidate_label: str, notes: str = "", rows: int = _ROWS
) -> str:
    """The page, without script and without anything loaded from elsewhere.

    Everything that comes from models or people is escaped. At most `rows` cases are listed, those that changed most.
    """
    ordered = sorted((_row(case) for case in report.cases), key=_rank)
    outcomes = {verdict.gate: verdict.outcome for verdict in report.verdicts}
    template = page_environment().get_template("eval.html.j2")
    return template.render(
        report=report,
        title=title,
        stable_label=stable_label,
        candidate_label=candidate_label,
        notes=notes,
        signs=_SIGNS,
        meanings=_MEANINGS,
        plots=[_plot(metric, outcomes[metric.metric]) for metric in report.metrics],
        counts={"worse": 0, "better": 0, "same": 0, "unpaired": 0, **Counter(row.direction for row in ordered)},
        rows=ordered[:rows],
        hidden=max(0, len(ordered) - rows),
        opened=_OPENED if ordered and ordered[0].direction in {"worse", "better"} else 0,
    )


def _row(case: CaseRow) -> _Row:
    unscored = case.stable.unscored + case.candidate.unscored
    if case.change is None:
        return _Row(case, "unpaired", "–", unscored)
    direction = "worse" if case.change < 0 else "better" if case.change > 0 else "same"
    return _Row(case, direction, f"{_sign(case.change)}{abs(case.change) * 100:.0f}", unscored)


def _rank(row: _Row) -> tuple[bool, float, bool, float, str]:
    """Largest change first, losses before gains of the same size, cases that can't be compared before those at rest."""
    change = row.case.change
    size = 0.0 if change is None else abs(change) * row.case.weight
    return (size == 0, -size, row.direction != "worse", 0.0 if change is None else 1.0, row.case.case_id)


def _plot(metric: MetricComparison, outcome: Outcome) -> _Plot:
    found = metric.estimate
    start, end = min(found.lower, 0.0), max(found.upper, metric.margin)
    room = max((end - start) * 0.08, 0.005)
    start, end = start - room, end + room

    def place(value: float) -> float:
        return round((value - start) / (end - start) * _WIDTH, 1)

    return _Plot(
        metric=metric.metric,
        outcome=outcome,
        stable=metric.stable,
        candidate=metric.candidate,
        harm=found.harm,
        interval=Interval(found.lower, found.upper),
        margin=metric.margin,
        minimum_detectable=found.minimum_detectable,
        method=found.method,
        cases=found.cases,
        ticks=[_Tick(place(value), _number(value)) for value in _round_values(start, end)],
        x_low=place(found.lower),
        x_high=place(found.upper),
        x_harm=place(found.harm),
        x_zero=place(0.0),
        x_margin=place(metric.margin),
    )


def _round_values(start: float, end: float) -> list[float]:
    """At most nine round values within a range, for the axis."""
    rough = (end - start) / _TICKS
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [number * step for number in range(ceil(start / step), floor(end / step) + 1)]


def _sign(value: float) -> str:
    return "−" if value < 0 else "+" if value > 0 else ""


def _number(share: float) -> str:
    points = round(abs(share) * 100, 2)
    return f"{_sign(share) if points else ''}{points:g}"
