"""The page of a plan: a drawing of how long each gate of each stage takes, beside the smallest harm that it catches."""

from dataclasses import dataclass
from math import isfinite, log

from markupsafe import Markup

from softlaunch.core.formatting import show_duration
from softlaunch.core.verdict import Role
from softlaunch.forecast.plans import GatePlan, ReleasePlan, StagePlan
from softlaunch.forecast.wording import (
    in_a_sentence,
    show_count,
    show_let_through,
    show_smallest,
    show_users,
    show_wait,
)
from softlaunch.reports.html import page_environment

WIDTH = 1060
_LABELS, _DRAWN = 190.0, 510.0  # where the time axis begins, and how wide it is
_ROW, _HEAD = 26.0, 34.0
_NICE = (1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)

_SVG = Markup('<svg class="plan" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{title}">{drawn}</svg>')
_TEXT = Markup('<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')
_BAR = Markup(
    '<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="12" rx="2"><title>{title}</title></rect>'
)
_LINE = Markup('<path class="{kind}" d="M{x:.1f} {top:.1f}V{bottom:.1f}"><title>{title}</title></path>')
_ARROW = Markup('<path class="open" d="M{x:.1f} {y:.1f}l8 6l-8 6z"><title>{title}</title></path>')


def render_plan(plan: ReleasePlan) -> str:
    """The page, one file without anything loaded from elsewhere."""
    template = page_environment().get_template("plan.html.j2")
    through = [(gate.name, show_let_through(gate)) for gate in plan.let_through]
    return template.render(
        plan=plan, said=in_a_sentence(plan), users=show_users(plan.users), through=through, plot=plan_plot(plan)
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time on a logarithmic scale, in seconds."""

    shortest: float
    longest: float

    def place(self, seconds: float) -> float:
        held = min(max(seconds, self.shortest), self.longest)
        return _LABELS + _DRAWN * log(held / self.shortest) / log(self.longest / self.shortest)


def plan_plot(plan: ReleasePlan) -> Markup:
    """For each gate a bar to the median time until it passes and a paler one to the time that four in five take.

    A line marks what the stage takes at least, a dashed one its deadline; an arrow goes on beyond the axis.
    """
    axis = _axis(plan)
    drawn, top = Markup(""), 46.0
    for text, x in (("passes a fine candidate after", _LABELS), ("catches in 4 of 5 cases", _LABELS + _DRAWN + 24)):
        drawn += _text("soft", x, 14, text)
    drawn += _text("soft", WIDTH - 6, 14, "users who see that", "end")
    for stage in plan.stages:
        drawn += _stage(axis, stage, top)
        top += _HEAD + _ROW * len(stage.gates) + 10
    ticks = [seconds for seconds in _NICE if axis.shortest <= seconds <= axis.longest]
    grid = Markup("").join(
        _LINE.format(kind="grid", x=axis.place(seconds), top=38, bottom=top, title="")
        + _text("soft", axis.place(seconds), 32, show_duration(seconds), "middle")
        for seconds in ticks
    )
    return _SVG.format(width=WIDTH, height=top, title="Time per stage and gate", drawn=grid + drawn)


def _axis(plan: ReleasePlan) -> _Axis:
    times = [
        seconds
        for stage in plan.stages
        for seconds in (stage.floor, stage.deadline, *(gate.seconds_80 for gate in stage.gates))
        if isfinite(seconds) and seconds > 0
    ]
    starts = [gate.seconds_median for stage in plan.stages for gate in stage.gates if isfinite(gate.seconds_median)]
    longest = max((step for step in _NICE if step <= max(times, default=60.0) * 10), default=60)
    shortest = min([*starts, *(stage.floor for stage in plan.stages if stage.floor), 60.0]) / 2
    return _Axis(max(shortest, 0.1), float(max(longest, 60)))


def _stage(axis: _Axis, stage: StagePlan, top: float) -> Markup:
    bottom = top + _HEAD + _ROW * len(stage.gates)
    drawn = _text("stage", 6, top + 20, stage.name)
    drawn += _text("soft", _LABELS, top + 20, f"{show_wait(stage.seconds_median)}; bottleneck: {stage.bottleneck}")
    lines = [("floor", stage.floor, "takes at least"), ("deadline", stage.deadline, "deadline after")]
    for kind, seconds, words in lines:
        if isfinite(seconds):
            title = f"{words} {show_duration(seconds)}"
            drawn += _LINE.format(kind=kind, x=axis.place(seconds), top=top + 26, bottom=bottom, title=title)
    for number, gate in enumerate(stage.gates):
        drawn += _gate(axis, stage, gate, top + _HEAD + _ROW * number)
    return drawn


def _gate(axis: _Axis, stage: StagePlan, gate: GatePlan, top: float) -> Markup:
    required = gate.role is Role.REQUIRED
    slowest = "slowest" if stage.bottleneck == gate.metric else ""
    name = gate.name + ("" if required else f" ({gate.role})")
    drawn = _text(f"gate {slowest}", 20, top + 12, name)
    if not gate.is_known:
        return drawn + _text("soft", _LABELS, top + 12, "not known: no values of stable yet")
    title = f"{name}: {show_wait(gate.seconds_median)}, four in five within {show_wait(gate.seconds_80)}"
    start, middle, end = (axis.place(seconds) for seconds in (0.0, gate.seconds_median, gate.seconds_80))
    kind = f"{slowest} {'' if required else 'guard'}"
    drawn += _BAR.format(kind=f"rest {kind}", x=start, y=top + 2, width=end - start, title=title)
    drawn += _BAR.format(kind=f"median {kind}", x=start, y=top + 2, width=middle - start, title=title)
    if gate.seconds_80 > axis.longest:
        drawn += _ARROW.format(x=end + 2, y=top + 2, title=title)
    if gate.role is Role.MUTED:
        return drawn + _text("soft", _LABELS + _DRAWN + 24, top + 12, "muted")
    drawn += _text("caught", _LABELS + _DRAWN + 24, top + 12, show_smallest(gate.metric, gate.catches_80))
    users = None if gate.catches_80 is None else gate.catches_80.users
    return drawn + _text("caught", WIDTH - 6, top + 12, show_count(users), "end")


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return _TEXT.format(kind=kind, x=x, y=y, text=text, anchor=anchor)
