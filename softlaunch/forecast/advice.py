"""What would help a stage that stays undecided, in words."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from softlaunch.core.formatting import show_duration, show_harm
from softlaunch.core.verdict import Role
from softlaunch.forecast.plans import GatePlan, StagePlan
from softlaunch.forecast.stage_clock import StageClock
from softlaunch.forecast.unit_gates import Outlook, UnitOutlook

_LIKELY = 0.5
_WIDER = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_WIDEST = 0.5
_LARGER = (2.0, 5.0, 10.0, 20.0, 30.0, 50.0)


def advise(stage: StagePlan, gates: Sequence[Outlook], clock: StageClock) -> str:
    """What to change where a stage more likely stays undecided than passes, or holds too few people to show anything.

    Empty where neither is so.
    """
    if stage.undecided <= _LIKELY:
        return _blind(stage, gates, clock)
    unknown = [gate for gate in stage.gates if gate.role is Role.REQUIRED and not gate.is_known]
    if unknown:
        options = ", ".join(gate.metric.plan_option for gate in unknown)
        names = " and ".join(gate.metric.value for gate in unknown)
        return f"too little is known of {names} yet; state it ({options}), or give its gate the role 'guard'"
    slow = [gate for gate in stage.gates if gate.role is Role.REQUIRED and gate.seconds_median > stage.deadline]
    if not slow:
        longer = f"{_longer(stage.seconds_80)} ({_key(stage, 'deadline')})"
        return f"{stage.bottleneck} takes longer than its deadline; give it about {longer}"
    few = [gate for gate in slow if not np.isfinite(gate.seconds_median)]
    advice = [_too_few(stage, few, gates, clock)] if few and stage.people is not None else []
    return "; ".join([*advice, *(_for_gate(stage, gate, gates, clock) for gate in slow)])


def _blind(stage: StagePlan, gates: Sequence[Outlook], clock: StageClock) -> str:
    """What to say of a stage that would pass but can't show any harm; empty where it can."""
    if stage.people is None or stage.people_needed is None or stage.people >= stage.people_needed:
        return ""
    return _too_few(stage, [], gates, clock)


def _too_few(stage: StagePlan, few: Sequence[GatePlan], gates: Sequence[Outlook], clock: StageClock) -> str:
    """That a share of the regular users is too few people, and the share that is enough."""
    users = clock.traffic.habits.regular_users or 0.0
    said = f"{stage.weight_percent:g} % of {users:,.0f} regular users are {stage.people:,.0f}"
    if stage.people_needed is not None and (stage.people or 0.0) < stage.people_needed:
        said += f", and it takes about {stage.people_needed:.0f} to show even the largest harm"
    wanted = {gate.metric for gate in few}
    watched = [gate for gate in gates if isinstance(gate, UnitOutlook) and gate.is_known]
    for percent in _LARGER:
        people = users * percent / 100
        larger = [replace(gate, share=percent / 100) for gate in watched]
        passing = all(
            np.median(gate.stopping_times().passes) <= people for gate in larger if gate.rule.metric in wanted
        )
        if percent > stage.weight_percent and passing and any(_shows(gate, people) for gate in larger):
            return f"{said}: begin at {percent:g} %"
    names = " for " + " and ".join(gate.metric.value for gate in few) if few else ""
    if stage.weight_percent >= _LARGER[-1]:
        return f"{said}: too few{names} unless arms are drawn afresh (unit.redraw)"
    return f"{said}, and even half of all are too few{names} unless arms are drawn afresh (unit.redraw)"


def _shows(gate: UnitOutlook, people: float) -> bool:
    return bool(np.quantile(gate.stopping_times(gate.largest_harm).soonest, 0.8, method="higher") <= people)


def _for_gate(stage: StagePlan, gate: GatePlan, gates: Sequence[Outlook], clock: StageClock) -> str:
    outlook = next(one for one in gates if one.rule.metric is gate.metric)
    ways = []
    if np.isfinite(gate.seconds_80):
        ways.append(f"a deadline of {_longer(gate.seconds_80)} ({_key(stage, 'deadline')})")
    for factor in _WIDER:
        if gate.margin * factor > _WIDEST:
            break
        wider = replace(outlook, rule=replace(outlook.rule, margin=gate.margin * factor))
        if np.median(clock.passes(gate.metric, wider.stopping_times())) < stage.deadline:
            margin = show_harm(gate.metric, wider.rule.margin).lstrip("+")
            times = f"{wider.rule.margin / wider.rule.material:g}"
            ways.append(f"a margin of {margin} in this stage ({_key(stage, 'margin_factor')}: {times})")
            break
    ways.append(f"the role 'guard' (of the gate on {gate.metric.value})")
    return f"{gate.name} can't pass within {show_duration(stage.deadline)} at this traffic; what helps: " + " or ".join(
        [", ".join(ways[:-1]), ways[-1]] if ways[:-1] else ways
    )


def _key(stage: StagePlan, key: str) -> str:
    """The policy's key of a stage: `shadow.deadline`, or `deadline of the stage of 5 %`."""
    return f"{key} of the stage of {stage.weight_percent:g} %" if stage.weight_percent else f"shadow.{key}"


def _longer(seconds: float) -> str:
    return show_duration(1.2 * seconds) if np.isfinite(seconds) else "more time"
