"""A gate over time as inline SVG: what both arms' users met, and the interval of harm as it narrows to its margin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from markupsafe import Markup

from softlaunch.core.formatting import show_harm, show_interval, show_value
from softlaunch.ledger.looks import GateLook
from softlaunch.reports.axes import round_values

WIDTH, HEIGHT = 440.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 12.0, 12.0, 24.0
_TICKS = 4
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
    scale = _Scale.over(looks, min(0.0, *values), max(values))
    drawn = _grid(scale, lambda value: show_value(gate, value))
    for kind, points in (("stable", stable), ("candidate", candidate)):
        drawn += _line(scale, kind, points)
    last = looks[-1]
    of = "lately" if lately else "so far"
    newest = (show_value(gate, last.candidate_lately if lately else last.candidate), of)
    other = show_value(gate, last.stable_lately if lately else last.stable)
    title = f"{gate} over time: {newest[0]} on the candidate and {other} on stable {newest[1]}"
    return _SVG.format(width=WIDTH, height=HEIGHT, title=title, drawn=drawn)


def harm_plot(gate: str, looks: Sequence[GateLook]) -> Markup:
    """The confidence sequence: the interval that holds the harm at all looks together, against zero and the margin.

    The scale holds zero, the margin and the estimates; an interval wider than that is cut. Nothing without any
    interval.
    """
    known = [look for look in looks if look.interval is not None]
    if not known:
        return Markup("")
    low, high = _reach(known)
    scale = _Scale.over(known, low, high)
    margin = known[-1].margin
    drawn = Markup("")
    if margin is not None and margin < high:
        top, edge = scale.y(high), scale.y(margin)
        drawn += Markup('<rect class="beyond" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>').format(
            x=_LEFT, y=top, w=WIDTH - _LEFT - _RIGHT, h=max(edge - top, 0.0)
        )
    drawn += _grid(scale, lambda value: show_harm(gate, value))
    drawn += _PATH.format(kind="interval", steps=_outline(scale, known))
    drawn += _ACROSS.format(kind="zero", left=_LEFT, right=WIDTH - _RIGHT, y=scale.y(0.0))
    if margin is not None:
        drawn += _ACROSS.format(kind="margin", left=_LEFT, right=WIDTH - _RIGHT, y=scale.y(margin))
        drawn += _TEXT.format(x=WIDTH - _RIGHT, y=scale.y(margin) - 4, anchor="end", kind="", text="margin")
    drawn += _line(scale, "harm", [(look.looked_at, look.harm) for look in known])
    last = known[-1]
    title = (
        f"harm of {gate} over time: now {show_harm(gate, last.harm)}, between {show_interval(gate, last.interval)}, "
        f"margin {show_harm(gate, margin)}"
    )
    return _SVG.format(width=WIDTH, height=HEIGHT, title=title, drawn=drawn)


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


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    seconds: float
    low: float
    high: float
    is_moment: bool = False

    @classmethod
    def over(cls, looks: Sequence[GateLook], low: float, high: float) -> "_Scale":
        begin = looks[0].looked_at
        space = (high - low) * 0.08 or abs(high) * 0.1 or 0.01
        seconds = max((looks[-1].looked_at - begin).total_seconds(), 1.0)
        return cls(begin, seconds, low - (space if low < 0 else 0.0), high + space, len(looks) == 1)

    def x(self, at: datetime) -> float:
        width = WIDTH - _LEFT - _RIGHT
        if self.is_moment:
            return _LEFT + width / 2
        return _LEFT + width * (at - self.begin).total_seconds() / self.seconds

    def y(self, value: float) -> float:
        held = min(max(value, self.low), self.high)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (held - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values, at most so many that their texts don't touch."""
        return round_values(self.low, self.high, _TICKS)


def _reach(looks: Sequence[GateLook]) -> tuple[float, float]:
    """The ends of the vertical scale: what matters, and as much of the later intervals as leaves that readable."""
    matters = [0.0, *(look.harm for look in looks if look.harm is not None)]
    matters += [look.margin for look in looks if look.margin is not None]
    low, high = min(matters), max(matters)
    room = 1.5 * (high - low) or 0.01
    late = [look.interval for look in looks[len(looks) // 2 :] if look.interval is not None]
    lowest = min((one.lower for one in late if isfinite(one.lower)), default=low - room)
    highest = max((one.upper for one in late if isfinite(one.upper)), default=high + room)
    return min(low, max(lowest, low - room)), max(high, min(highest, high + room))


def _outline(scale: _Scale, looks: Sequence[GateLook]) -> str:
    """The band of the intervals; the only look there is has one a little wide."""
    ends = [(scale.x(look.looked_at), look.interval) for look in looks]
    if len(ends) == 1:
        ends = [(ends[0][0] - _ALONE, ends[0][1]), (ends[0][0] + _ALONE, ends[0][1])]
    above = [f"{x:.1f} {scale.y(one.upper):.1f}" for x, one in ends if one is not None]
    below = [f"{x:.1f} {scale.y(one.lower):.1f}" for x, one in reversed(ends) if one is not None]
    return f"M{' L'.join([*above, *below])}Z"


def _line(scale: _Scale, kind: str, points: Sequence[tuple[datetime, float | None]]) -> Markup:
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


def _grid(scale: _Scale, shown: Callable[[float], str]) -> Markup:
    drawn = Markup("")
    for value in scale.ticks():
        drawn += _ACROSS.format(kind="grid", left=_LEFT, right=WIDTH - _RIGHT, y=scale.y(value))
        text = shown(value + 0.0).replace(" points", " p")
        drawn += _TEXT.format(x=_LEFT - 6, y=scale.y(value) + 4, anchor="end", kind="", text=text)
    brief = scale.seconds < 600
    for share, anchor in ((0.5, "middle"),) if scale.is_moment else ((0.0, "start"), (1.0, "end")):
        at = scale.begin.timestamp() + (0.0 if scale.is_moment else share * scale.seconds)
        moment = datetime.fromtimestamp(at, scale.begin.tzinfo)
        text = f"{moment:%H:%M:%S}" if brief else f"{moment:%d %b %H:%M}"
        x = _LEFT + share * (WIDTH - _LEFT - _RIGHT)
        drawn += _TEXT.format(x=x, y=HEIGHT - 6, anchor=anchor, kind="", text=text)
    return drawn
