"""Small figures of the console's pages as inline SVG: lines of a day, and the height of a stage."""

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _EDGE = 120.0, 28.0, 3.0
_SVG = Markup(
    '<svg class="spark {kind}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{title}">{drawn}</svg>'
)
_LINE = Markup('<path class="line" d="{steps}"/>')
_DOT = Markup('<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>')
_STEP = Markup(
    '<svg class="step" viewBox="0 0 10 100" preserveAspectRatio="none" aria-hidden="true">'
    '<rect class="{kind}" x="0" y="{top:.1f}" width="10" height="{height:.1f}"/></svg>'
)


def day_line(values: Sequence[float | None], title: str, *, top: float | None = None, kind: str = "") -> Markup:
    """The hours of a day as a line from zero to the largest value (or to `top`); it breaks where nothing was measured.

    An hour whose neighbours had nothing is a dot. Nothing without any value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    highest = top or max(*known, 0.01)
    places = [_place(number, len(values), value, highest) for number, value in enumerate(values)]
    steps, pen, alone = [], "M", Markup("")
    for number, place in enumerate(places):
        if place is None:
            pen = "M"
            continue
        steps.append(f"{pen}{place[0]:.1f} {place[1]:.1f}")
        pen = "L"
        beside = places[max(number - 1, 0) : number] + places[number + 1 : number + 2]
        if not any(beside):
            alone += _DOT.format(x=place[0], y=place[1], r=1.6)
    last = next(place for place in reversed(places) if place is not None)
    drawn = _LINE.format(steps=" ".join(steps)) + alone + _DOT.format(x=last[0], y=last[1], r=2.6)
    return _SVG.format(kind=kind, width=_WIDTH, height=_HEIGHT, title=title, drawn=drawn)


def step_bar(weight_percent: float, *, met: bool) -> Markup:
    """A stage's share of users as the height of a bar; one that wasn't entered is only its outline."""
    height = max(weight_percent, 2.0)
    return _STEP.format(kind="met" if met else "unmet", top=100 - height, height=height)


def _place(number: int, count: int, value: float | None, highest: float) -> tuple[float, float] | None:
    if value is None:
        return None
    x = _EDGE + (_WIDTH - 2 * _EDGE) * number / max(count - 1, 1)
    return x, _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * min(max(value / highest, 0.0), 1.0)
