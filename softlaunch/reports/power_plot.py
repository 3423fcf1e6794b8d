"""A plan's power curves as inline SVG: how surely a difference is found, by its size, one for each planned end."""

from markupsafe import Markup

from softlaunch.ab.power import DAY, TrialPlan
from softlaunch.core.axes import labels, round_values

WIDTH, HEIGHT = 1060.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 150.0, 14.0, 44.0

_SVG = Markup('<svg class="power" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="Power">{drawn}</svg>')
_TEXT = Markup('<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')
_PATH = Markup('<path class="{kind}" d="{path}"/>')
_STYLES = ("first", "second", "third")


def power_plot(plan: TrialPlan) -> Markup:
    """Nothing where too little is known to draw."""
    if not plan.curves:
        return Markup("")
    furthest = plan.curves[0][1][-1][0] or 1.0

    def x(effect: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * effect / furthest

    def y(power: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * power

    drawn = Markup("")
    for tenth in range(0, 11, 2):
        drawn += _PATH.format(kind="grid", path=f"M{_LEFT} {y(tenth / 10):.1f}H{WIDTH - _RIGHT}")
        drawn += _TEXT.format(kind="soft", x=_LEFT - 8, y=y(tenth / 10) + 4, anchor="end", text=f"{tenth * 10} %")
    effects = round_values(0.0, furthest * 100, 6)
    for effect, text in zip(effects, labels(effects), strict=True):
        drawn += _TEXT.format(kind="soft", x=x(effect / 100), y=HEIGHT - 24, anchor="middle", text=f"{text} points")
    drawn += _TEXT.format(kind="soft", x=_LEFT, y=HEIGHT - 4, anchor="start", text="true difference between A and B")
    wanted = plan.policy
    drawn += _PATH.format(kind="limit", path=f"M{_LEFT} {y(wanted.power):.1f}H{WIDTH - _RIGHT}")
    at = x(min(wanted.minimum_effect.value, furthest))
    drawn += _PATH.format(kind="limit", path=f"M{at:.1f} {_TOP}V{HEIGHT - _BOTTOM}")
    for number, (end, curve) in enumerate(plan.curves):
        path = " ".join(
            f"{'ML'[place > 0]}{x(effect):.1f} {y(power):.1f}" for place, (effect, power) in enumerate(curve)
        )
        drawn += _PATH.format(kind=f"curve {_STYLES[min(number, 2)]}", path=path)
        legend = _TOP + 16 + 22 * number
        left = WIDTH - _RIGHT + 14
        drawn += _PATH.format(kind=f"curve {_STYLES[min(number, 2)]}", path=f"M{left} {legend - 4}h26")
        drawn += _TEXT.format(kind="", x=left + 34, y=legend, anchor="start", text=f"after {end / DAY:g} d")
    return _SVG.format(width=WIDTH, height=HEIGHT, drawn=drawn)
