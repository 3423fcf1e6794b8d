"""A gate over time as inline SVG: what both arms' users met, and the interval of harm as it narrows to its margin."""

from collections.abc import Callable, Sequence
from datetime import datetime

from markupsafe import Markup

from softlaunch.core.formatting import show_harm, show_interval, show_value
from softlaunch.ledger.looks import GateLook
from softlaunch.releases.gate_scale import Frame, Scale, band, reach

FRAME = Frame(width=440.0, height=170.0, left=62.0, right=12.0, top=12.0, bottom=24.0)
_ALONE = 7.0

_SVG = Markup(
    '<svg class="history" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{title}">{drawn}</svg>'
)
_TEXT = Markup('<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{text}</text>')
_ACROSS = Markup('<path class="{kind}" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
_PATH = Markup('<path class="{kind}" d="{steps}"/>')
_MARK = {
    "candidate": Markup('<circle class="mark candidate" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'),
    "stable": Markup('<path class="mark stable" d="M{x:.1f} {y:.1f}m-4 -4h8v8h-8z"/>'),
    "harm": Markup('<circle class="mark candidate" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'),
}


def arms_plot(gate: str, looks: Sequence[GateLook]) -> Markup:
    """What users of both arms met: the last five minutes at each look where that is known, all so far elsewhere.

    Nothing where nothing was measured. The candidate is a whole line with a circle, stable a dashed one with a
    square.
    """
    lately = any(look.candidate_lately is not None or look.stable_lately is not None for look in looks)
    candidate = [(look.looked_at, look.candidate_lately if lately else look.candidate) for look in looks]
    stable = [(look.looked_at, look.stable_lately if lately else look.stable) for look in looks]
    values = [value for _, value in (*candidate, *stable) if value is not None]
    if not values:
        return Markup("")
    scale = Scale.over(FRAME, looks, min(0.0, *values), max(values))
    drawn = _grid(scale, lambda value: show_value(gate, value))
    for kind, points in (("stable", stable), ("candidate", candidate)):
        drawn += _line(scale, kind, points)
    last = looks[-1]
    of = "lately" if lately else "so far"
    newest = (show_value(gate, last.candidate_lately if lately else last.candidate), of)
    other = show_value(gate, last.stable_lately if lately else last.stable)
    title = f"{gate} over time: {newest[0]} on the candidate and {other} on stable {newest[1]}"
    return _SVG.format(width=FRAME.width, height=FRAME.height, title=title, drawn=drawn)


def harm_plot(gate: str, looks: Sequence[GateLook]) -> Markup:
    """The confidence sequence: the interval that holds the harm at all looks together, against zero and the margin.

    The scale holds zero, the margin and the estimates; an interval wider than that is cut. Nothing without any
    interval.
    """
    known = [look for look in looks if look.interval is not None]
    if not known:
        return Markup("")
    low, high = reach(known)
    scale = Scale.over(FRAME, known, low, high)
    margin = known[-1].margin
    drawn = Markup("")
    if margin is not None and margin < high:
        top, edge = scale.y(high), scale.y(margin)
        drawn += Markup('<rect class="beyond" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>').format(
            x=FRAME.left, y=top, w=FRAME.end - FRAME.left, h=max(edge - top, 0.0)
        )
    drawn += _grid(scale, lambda value: show_harm(gate, value))
    drawn += _PATH.format(kind="interval", steps=_outline(scale, known))
    drawn += _ACROSS.format(kind="zero", left=FRAME.left, right=FRAME.end, y=scale.y(0.0))
    if margin is not None:
        drawn += _ACROSS.format(kind="margin", left=FRAME.left, right=FRAME.end, y=scale.y(margin))
        drawn += _TEXT.format(x=FRAME.end, y=scale.y(margin) - 4, anchor="end", kind="", text="margin")
    drawn += _line(scale, "harm", [(look.looked_at, look.harm) for look in known])
    last = known[-1]
    title = (
        f"harm of {gate} over time: now {show_harm(gate, last.harm)}, between {show_interval(gate, last.interval)}, "
        f"margin {show_harm(gate, margin)}"
    )
    return _SVG.format(width=FRAME.width, height=FRAME.height, title=title, drawn=drawn)


def thinned(looks: Sequence[GateLook], most: int = 80) -> Sequence[GateLook]:
    """At most so many looks, and about as many more: of each stretch those with the least and the largest value.

    So no spike is lost. The first and the last look stay.
    """
    if len(looks) <= most:
        return looks
    width = -(-2 * len(looks) // most)
    kept = {0, len(looks) - 1}
    for begin in range(0, len(looks), width):
        stretch = range(begin, min(begin + width, len(looks)))
        kept |= {min(stretch, key=lambda one: _height(looks[one])), max(stretch, key=lambda one: _height(looks[one]))}
    return [looks[one] for one in sorted(kept)]


def _height(look: GateLook) -> float:
    shown = (look.candidate_lately, look.candidate, look.harm)
    return next((value for value in shown if value is not None), 0.0)


def _outline(scale: Scale, looks: Sequence[GateLook]) -> str:
    return f"M{' L'.join(f'{x:.1f} {y:.1f}' for x, y in band(scale, looks, _ALONE))}Z"


def _line(scale: Scale, kind: str, points: Sequence[tuple[datetime, float | None]]) -> Markup:
    """A line that breaks where nothing was measured, with a mark at its end."""
    steps, pen = [], "M"
    for at, value in points:
        if value is None:
            pen = "M"
            continue
        steps.append(f"{pen}{scale.x(at):.1f} {scale.y(value):.1f}")
        pen = "L"
    last = next(((at, value) for at, value in reversed(points) if value is not None), None)
    if last is None:
        return Markup("")
    mark = _MARK[kind].format(x=scale.x(last[0]), y=scale.y(last[1]))
    return _PATH.format(kind=f"line {kind}", steps=" ".join(steps)) + mark


def _grid(scale: Scale, shown: Callable[[float], str]) -> Markup:
    drawn = Markup("")
    for value in scale.ticks():
        drawn += _ACROSS.format(kind="grid", left=FRAME.left, right=FRAME.end, y=scale.y(value))
        text = shown(value + 0.0).replace(" points", " p")
        drawn += _TEXT.format(x=FRAME.left - 6, y=scale.y(value) + 4, anchor="end", kind="", text=text)
    for share, text in scale.moments():
        anchor = "middle" if scale.is_moment else "start" if share == 0 else "end"
        x = FRAME.left + share * (FRAME.end - FRAME.left)
        drawn += _TEXT.format(x=x, y=FRAME.height - 6, anchor=anchor, kind="", text=text)
    return drawn
