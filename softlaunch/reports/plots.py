"""Plots as inline SVG: they take their colours from the page's style, and show the same by shape as by colour."""

from math import asinh, isfinite, isnan

from markupsafe import Markup

from softlaunch.core.formatting import show_harm, show_interval
from softlaunch.core.verdict import Interval, Outcome, Verdict

WIDTH, HEIGHT = 220, 34
_MIDDLE, _INSET = 17.0, 12.0
_BEST, _WORST = -8.0, 100.0  # in margins: the ends of the scale
_LINEAR = 2.0  # the larger, the wider is what lies around zero and the margin

_AXIS = Markup(
    '<svg class="plot" viewBox="0 0 {width} 30" width="{width}" height="30" aria-hidden="true">'
    '<text x="{zero:.1f}" y="12" text-anchor="end" dx="-8">← better</text>'
    '<text x="{margin:.1f}" y="12" dx="8">worse →</text>'
    '<text x="{zero:.1f}" y="27" text-anchor="middle">0</text>'
    '<text x="{margin:.1f}" y="27" text-anchor="start" dx="-4">margin</text></svg>'
)
_PLOT = Markup(
    '<svg class="plot {outcome}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    "<title>{title}</title>"
    '<rect class="beyond" x="{margin:.1f}" y="0" width="{beyond:.1f}" height="{height}"/>'
    '<path class="zero" d="M{zero:.1f} 0V{height}"/><path class="margin" d="M{margin:.1f} 0V{height}"/>{drawn}</svg>'
)
_MARKS = {
    Outcome.PASS: Markup('<circle class="mark" cx="{x:.1f}" cy="{y}" r="5.5"/>'),
    Outcome.FAIL: Markup('<path class="mark" d="M{x:.1f} {y}m0 -7.5l7.5 7.5l-7.5 7.5l-7.5 -7.5z"/>'),
    Outcome.INCONCLUSIVE: Markup('<path class="mark hollow" d="M{x:.1f} {y}m-5 -5h10v10h-10z"/>'),
    Outcome.REVIEW: Markup('<path class="mark hollow" d="M{x:.1f} {y}m0 -7.5l7.5 7.5l-7.5 7.5l-7.5 -7.5z"/>'),
    Outcome.ERROR: Markup('<path class="mark" d="M{x:.1f} {y}m0 -7l7 12h-14z"/>'),
}


def interval_axis() -> Markup:
    """The heading above a column of interval plots: zero and the margin are at the same place in all of them."""
    return _AXIS.format(width=WIDTH, zero=_place(0.0), margin=_place(1.0))


def interval_plot(verdict: Verdict) -> Markup:
    """The interval of harm against zero and the margin; its mark has a shape of its own for each outcome.

    The scale is in margins, the same for every metric, and grows narrower away from zero (inverse hyperbolic sine).
    An end that is open, or beyond the scale, is an arrow. Without a margin, or without any figure, there is no plot.
    """
    margin = verdict.margin or 0.0
    if margin <= 0 or not isfinite(margin) or (verdict.interval is None and verdict.harm is None):
        return Markup("")
    drawn = Markup("")
    if verdict.interval is not None:
        drawn += _bar(Interval(verdict.interval.lower / margin, verdict.interval.upper / margin))
    if verdict.harm is not None and not isnan(verdict.harm):
        drawn += _MARKS[verdict.outcome].format(x=_place(verdict.harm / margin), y=_MIDDLE)
    return _PLOT.format(
        outcome=verdict.outcome.value,
        width=WIDTH,
        height=HEIGHT,
        title=_title(verdict),
        zero=_place(0.0),
        margin=_place(1.0),
        beyond=WIDTH - _place(1.0),
        drawn=drawn,
    )


def _bar(margins: Interval) -> Markup:
    left, right = _place(margins.lower, open_end=_BEST), _place(margins.upper, open_end=_WORST)
    line = Markup('<path class="bar" d="M{left:.1f} {y}H{right:.1f}"/>').format(left=left, right=right, y=_MIDDLE)
    return (
        line
        + _end(left, beyond=not margins.lower >= _BEST, way=-1)
        + _end(right, beyond=not margins.upper <= _WORST, way=1)
    )


def _end(x: float, *, beyond: bool, way: int) -> Markup:
    """A tick where the interval ends, an arrow where it goes on; `way` is -1 to the left, 1 to the right."""
    if beyond:
        arrow = Markup('<path class="arrow" d="M{x:.1f} {y}m{back} -6l{tip} 6l{back} 6"/>')
        return arrow.format(x=x, y=_MIDDLE, back=-way * 5, tip=way * 5)
    return Markup('<path class="bar" d="M{x:.1f} {top}v10"/>').format(x=x, top=_MIDDLE - 5)


def _place(margins: float, open_end: float = 0.0) -> float:
    """Where a harm, in margins, is on the horizontal axis; what is unknown is at the open end."""
    held = open_end if isnan(margins) else min(max(margins, _BEST), _WORST)
    left, right = asinh(_LINEAR * _BEST), asinh(_LINEAR * _WORST)
    return _INSET + (asinh(_LINEAR * held) - left) / (right - left) * (WIDTH - 2 * _INSET)


def _title(verdict: Verdict) -> str:
    gate = verdict.gate
    return (
        f"{verdict.name} {verdict.outcome}: harm {show_harm(gate, verdict.harm)}, "
        f"interval {show_interval(gate, verdict.interval)}, margin {show_harm(gate, verdict.margin)}"
    )
