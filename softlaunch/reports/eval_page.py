"""An eval as one self-contained HTML page: verdict, intervals, and every case with both answers side by side."""

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files

from markupsafe import Markup

from softlaunch.core.arms import ByArm
from softlaunch.core.axes import round_values
from softlaunch.core.formatting import show_share
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval, Outcome
from softlaunch.evals.statistics.metric_verdicts import show_amount
from softlaunch.evals.statistics.report import CaseRow, EvalReport, MetricComparison
from softlaunch.reports.html import mark_words, page_environment

_WIDTH = 960
_TICKS = 8
_ROWS = 500
_OPENED = 1
_CLEAR = 110
_SIGNS = {Outcome.PASS: "✔", Outcome.FAIL: "✘", Outcome.INCONCLUSIVE: "?", Outcome.REVIEW: "⚖", Outcome.ERROR: "!"}
_MEANINGS = {
    Outcome.PASS: "The candidate is no worse than stable by more than the tolerance.",
    Outcome.FAIL: "The candidate is worse than stable by more than may be tolerated.",
    Outcome.INCONCLUSIVE: "The evidence shows neither that the candidate is good enough nor that it isn't.",
    Outcome.REVIEW: "A person has to decide, for the reasons below.",
    Outcome.ERROR: "The eval could not judge the candidate. Nothing passes without evidence.",
}


_FILTERS = ("all", "worse", "better", "same", "unpaired", "flickering", "unscored", "labelled", "unlabelled")


@dataclass(frozen=True, slots=True)
class JudgeReason:
    """What judges said of an answer of a case: under which metric, of which arm, with which value, and why."""

    metric: str
    arm: str
    value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class VoteForm:
    """Where forms are sent, with the token that proves that the page is ours; and where a link leads back to."""

    action: str
    token: str
    back: str = ""
    back_text: str = ""


@dataclass(frozen=True, slots=True)
class PageExtras:
    """What a page shows besides the report: judges' reasons and a person's votes by case.

    With a form the page is served by somebody who takes votes; `run_id` is the run that can be reviewed.
    """

    reasons: Mapping[str, Sequence[JudgeReason]] = field(default_factory=dict)
    votes: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    form: VoteForm | None = None


@dataclass(frozen=True, slots=True)
class _Tick:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class _Plot:
    """One metric's harm with its interval, as shares, and where on the horizontal axis they are drawn."""

    metric: str
    relative: bool
    outcome: Outcome
    stable: str
    candidate: str
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
    def unit(self) -> str:
        """The gate whose unit harm is worded in: percent or points."""
        return Metric.LATENCY if self.relative else Metric.QUALITY

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
    vote: str
    reasons: Sequence[JudgeReason]

    @property
    def flags(self) -> str:
        """The filters that show it."""
        more = {"flickering": self.case.flickering, "unscored": self.unscored > 0}
        voted = "labelled" if self.vote else "unlabelled"
        return " ".join([self.direction, *(name for name, is_so in more.items() if is_so), voted])

    @property
    def answers(self) -> ByArm[Markup]:
        """Both answers with the words marked in which they differ."""
        stable, candidate = mark_words(self.case.stable.answer or "", self.case.candidate.answer or "")
        return ByArm(candidate=candidate, stable=stable)


def render_eval(
    report: EvalReport,
    title: str,
    labels: ByArm[str],
    *,
    notes: str = "",
    rows: int = _ROWS,
    extras: PageExtras | None = None,
) -> str:
    """The page, with one script of ours that it allows by its hash, and nothing loaded from elsewhere.

    Everything that comes from models or people is escaped. At most `rows` cases are listed, those that changed most.
    """
    extras = extras or PageExtras()
    ordered = sorted((_row(case, extras) for case in report.cases), key=_rank)
    script = files("softlaunch.reports").joinpath("templates", "eval.js").read_text(encoding="utf-8")
    outcomes = {verdict.gate: verdict.outcome for verdict in report.verdicts}
    template = page_environment().get_template("eval.html.j2")
    return template.render(
        report=report,
        title=title,
        labels=labels,
        notes=notes,
        signs=_SIGNS,
        meanings=_MEANINGS,
        plots=[_plot(metric, outcomes[metric.metric]) for metric in report.metrics],
        counts={"worse": 0, "better": 0, "same": 0, "unpaired": 0, **Counter(row.direction for row in ordered)},
        rows=ordered[:rows],
        hidden=max(0, len(ordered) - rows),
        filters=_FILTERS if extras.form else _FILTERS[:-2],
        form=extras.form,
        run_id=extras.run_id,
        script=Markup(script),  # noqa: S704  (a file of ours)
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        opened=_OPENED if ordered and ordered[0].direction in {"worse", "better"} else 0,
    )


def _row(case: CaseRow, extras: PageExtras) -> _Row:
    unscored = case.stable.unscored + case.candidate.unscored
    direction, text = "unpaired", "–"
    if case.change is not None:
        direction = "worse" if case.change < 0 else "better" if case.change > 0 else "same"
        text = f"{_sign(case.change)}{abs(case.change) * 100:.0f}"
    vote, reasons = extras.votes.get(case.case_id, ""), extras.reasons.get(case.case_id, ())
    return _Row(case, direction, text, unscored, vote, reasons)


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
        relative=metric.relative,
        outcome=outcome,
        stable=show_amount(metric.stable) if metric.relative else show_share(metric.stable),
        candidate=show_amount(metric.candidate) if metric.relative else show_share(metric.candidate),
        harm=found.harm,
        interval=Interval(found.lower, found.upper),
        margin=metric.margin,
        minimum_detectable=found.minimum_detectable,
        method=found.method,
        cases=found.cases,
        ticks=[_Tick(place(value), _number(value)) for value in round_values(start, end, _TICKS)],
        x_low=place(found.lower),
        x_high=place(found.upper),
        x_harm=place(found.harm),
        x_zero=place(0.0),
        x_margin=place(metric.margin),
    )


def _sign(value: float) -> str:
    return "−" if value < 0 else "+" if value > 0 else ""


def _number(share: float) -> str:
    points = round(abs(share) * 100, 2)
    return f"{_sign(share) if points else ''}{points:g}"
