"""A figure over time as inline SVG: a line with its band of uncertainty, against lines that matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from markupsafe import Markup

from softlaunch.core.axes import labels, round_values

WIDTH, HEIGHT = 1060.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 20.0, 14.0, 30.0
_TICKS = 4
_DAY = 86400.0

_SVG = Markup('<svg class="band" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{title}">{drawn}</svg>')
_TEXT = Markup('<text class="soft" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')
_ACROSS = Markup('<path class="{kind}" d="M{left:.1f} {y:.1f}H{right:.1f}"><title>{title}</title></path>')
_DOWN = Markup('<path class="{kind}" d="M{x:.1f} {top:.1f}V{bottom:.1f}"><title>{title}</title></path>')
_AREA = Markup('<path class="area" d="{path}"/>')
_LINE = Markup('<path class="line" d="{path}"/>')
_DOT = Markup('<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{title}</title></circle>')


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a moment (epoch seconds) between two bounds."""

    at: float
    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that matters: a limit's value, or an event's moment; `text` says what it is."""

    at: float
    text: str
    kind: str = "limit"


def band_plot(
    points: Sequence[Point], *, title: str, limits: Sequence[Mark] = (), events: Sequence[Mark] = ()
) -> Markup:
    """The points with their band, in percent or points; nothing without two of them.

    The scale holds every value and limit; a band wider than that is cut, not the values squeezed.
    """
    known = [point for point in points if isfinite(point.value)]
    if len(known) < 2:
        return Markup("")
    scale = _Scale.of(known, limits)
    drawn = _grid(scale)
    drawn += _AREA.format(path=_outline(scale, known))
    for mark in limits:
        drawn += _ACROSS.format(kind=mark.kind, left=_LEFT, right=WIDTH - _RIGHT, y=scale.y(mark.at), title=mark.text)
    for mark in events:
        drawn += _DOWN.format(kind="event", x=scale.x(mark.at), top=_TOP, bottom=HEIGHT - _BOTTOM, title=mark.text)
        late = scale.x(mark.at) > WIDTH / 2
        beside = scale.x(mark.at) + (-5 if late else 5)
        drawn += _TEXT.format(x=beside, y=_TOP + 10, anchor="end" if late else "start", text=mark.text)
    steps = " ".join(f"{'ML'[number > 0]}{scale.x(p.at):.1f} {scale.y(p.value):.1f}" for number, p in enumerate(known))
    drawn += _LINE.format(path=steps)
    if len(known) <= 60:
        drawn += Markup("").join(
            _DOT.format(x=scale.x(p.at), y=scale.y(p.value), title=f"{_day(p.at)}: {p.value * 100:.1f}") for p in known
        )
    return _SVG.format(width=WIDTH, height=HEIGHT, title=title, drawn=drawn)


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: float
    end: float
    low: float
    high: float

    @classmethod
    def of(cls, points: Sequence[Point], limits: Sequence[Mark]) -> "_Scale":
        values = [point.value for point in points]
        shown = [*values, *(mark.at for mark in limits)]
        reach = max(shown) - min(shown)
        late = points[len(points) // 2 :]  # bands are wide at first; the later half decides how much of them is shown
        low = min(*shown, max(min(point.low for point in late), min(values) - 3 * reach))
        high = max(*shown, min(max(point.high for point in late), max(values) + 3 * reach))
        space = (high - low) * 0.06 or 0.01
        return cls(points[0].at, max(points[-1].at, points[0].at + 1), low - space, high + space)

    def x(self, at: float) -> float:
        held = min(max(at, self.begin), self.end)
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (held - self.begin) / (self.end - self.begin)

    def y(self, value: float) -> float:
        held = min(max(value, self.low), self.high)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (held - self.low) / (self.high - self.low)


def _outline(scale: _Scale, points: Sequence[Point]) -> str:
    above = [f"{scale.x(point.at):.1f} {scale.y(point.high):.1f}" for point in points]
    below = [f"{scale.x(point.at):.1f} {scale.y(point.low):.1f}" for point in reversed(points)]
    return f"M{' L'.join([*above, *below])}Z"


def _grid(scale: _Scale) -> Markup:
    drawn = Markup("")
    values = round_values(scale.low * 100, scale.high * 100, _TICKS)
    for value, text in zip(values, labels(values), strict=True):
        y = scale.y(value / 100)
        drawn += _ACROSS.format(kind="grid", left=_LEFT, right=WIDTH - _RIGHT, y=y, title="")
        drawn += _TEXT.format(x=_LEFT - 8, y=y + 4, anchor="end", text=text)
    for number in range(_TICKS + 1):
        at = scale.begin + (scale.end - scale.begin) * number / _TICKS
        within = scale.end - scale.begin < 2 * _TICKS * _DAY  # by days some of them would be the same
        anchor = "end" if number == _TICKS else "start" if number == 0 else "middle"
        drawn += _TEXT.format(x=scale.x(at), y=HEIGHT - 8, anchor=anchor, text=_clock(at) if within else _day(at))
    return drawn


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %b %H:%M}"
