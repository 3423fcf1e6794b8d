"""The page of what a golden set can show: how probably a true difference passes or fails, and after how many calls."""

from markupsafe import Markup

from softlaunch.evals.foresight import Foresight
from softlaunch.evals.foresight_wording import costs_in_words, in_words, table
from softlaunch.reports.html import page_environment

_WIDTH, _HEIGHT = 1060.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 190.0, 14.0, 48.0
_WORST, _BEST, _STEPS = 0.20, -0.05, 50

_SVG = Markup('<svg class="power" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="Power">{drawn}</svg>')
_TEXT = Markup('<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')
_PATH = Markup('<path class="{kind}" d="{path}"/>')
_CURVES = ("passes", "fails", "calls, of the most")


def render_power(foresight: Foresight, name: str) -> str:
    """The page, one file without anything loaded from elsewhere."""
    template = page_environment().get_template("suite_power.html.j2")
    said = (in_words(foresight), costs_in_words(foresight))
    return template.render(name=name, said=said, rows=table(foresight), plot=power_plot(foresight))


def power_plot(foresight: Foresight) -> Markup:
    """Three curves over the true difference: a pass, a fail, and the expected share of all calls."""
    drawn = _grid() + _tolerance(foresight.tolerance)
    losses = [_BEST + (_WORST - _BEST) * step / _STEPS for step in range(_STEPS + 1)]
    most = 2 * foresight.cases * foresight.policy.maximum_repeats
    found = [foresight.decided(loss) for loss in losses]
    for number, name in enumerate(_CURVES):
        scale = most if number == len(_CURVES) - 1 else 1
        points = (f"{_x(loss):.1f} {_y(one[number] / scale):.1f}" for loss, one in zip(losses, found, strict=True))
        kind = f"curve curve-{number}"
        drawn += _PATH.format(kind=kind, path="M" + "L".join(points))
        drawn += _PATH.format(kind=kind, path=f"M{_WIDTH - _RIGHT + 14} {_TOP + 12 + 22 * number}h26")
        drawn += _text("", _WIDTH - _RIGHT + 48, _TOP + 16 + 22 * number, name)
    return _SVG.format(width=_WIDTH, height=_HEIGHT, drawn=drawn)


def _grid() -> Markup:
    drawn = Markup("")
    for tenth in range(0, 11, 2):
        drawn += _PATH.format(kind="grid", path=f"M{_LEFT} {_y(tenth / 10):.1f}H{_WIDTH - _RIGHT}")
        drawn += _text("soft", _LEFT - 8, _y(tenth / 10) + 4, f"{tenth * 10} %", "end")
    for points in range(-20, 6, 5):
        drawn += _text("soft", _x(-points / 100), _HEIGHT - 26, f"{points:+d}" if points else "0", "middle")
    return drawn + _text("soft", _LEFT, _HEIGHT - 6, "true difference of the candidate, in points")


def _tolerance(tolerance: float) -> Markup:
    if not _BEST <= tolerance <= _WORST:
        return Markup("")
    at = _x(tolerance)
    line = _PATH.format(kind="limit", path=f"M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}")
    return line + _text("soft", at - 5, _TOP + 10, "tolerance", "end")


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return _TEXT.format(kind=kind, x=x, y=y, anchor=anchor, text=text)


def _x(loss: float) -> float:
    """Worse to the left."""
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (_WORST - loss) / (_WORST - _BEST)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share
