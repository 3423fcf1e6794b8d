"""What would help a stage that stays undecided, in words."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from softlaunch.gates.observations import Floats
from softlaunch.gates.planner import GateOutlook
from softlaunch.planning.traffic import option_for
from softlaunch.policy.model import Metric
from softlaunch.reports.wording import show_duration, show_harm
from softlaunch.verdict import Role

if TYPE_CHECKING:
    from softlaunch.planning.outlook import GatePlan, StagePlan

_LIKELY = 0.5
_WIDER = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_WIDEST = 0.5
Clock = Callable[[Metric, Floats], Floats]


def advise(stage: "StagePlan", gates: Sequence[GateOutlook], seconds: Clock) -> str:
    """What to change where a stage more likely stays undecided than passes; empty where it passes."""
    if stage.undecided <= _LIKELY:
        return ""
    unknown = [gate for gate in stage.gates if gate.role is Role.REQUIRED and not gate.is_known]
    if unknown:
        options = ", ".join(option_for(gate.metric) for gate in unknown)
        names = " and ".join(gate.metric.value for gate in unknown)
        return f"too little is known of {names} yet; state it ({options}), or make it 'guard'"
    slow = [gate for gate in stage.gates if gate.role is Role.REQUIRED and gate.seconds_median > stage.deadline]
    if not slow:
        return f"{stage.bottleneck} takes longer than its deadline; give it about {_longer(stage.seconds_80)}"
    return "; ".join(_for_gate(stage, gate, gates, seconds) for gate in slow)


def _for_gate(stage: "StagePlan", gate: "GatePlan", gates: Sequence[GateOutlook], seconds: Clock) -> str:
    outlook = next(one for one in gates if one.rule.metric is gate.metric)
    ways = []
    if np.isfinite(gate.seconds_80):
        ways.append(f"a deadline of {_longer(gate.seconds_80)}")
    for factor in _WIDER:
        if gate.margin * factor > _WIDEST:
            break
        wider = replace(outlook, rule=replace(outlook.rule, margin=gate.margin * factor))
        if np.median(seconds(gate.metric, wider.course().passes)) < stage.deadline:
            ways.append(f"a margin of {show_harm(gate.metric, wider.rule.margin).lstrip('+')} in this stage")
            break
    ways.append("the role 'guard'")
    return (
        f"{gate.metric} can't pass within {show_duration(stage.deadline)} at this traffic; what helps: "
        + " or ".join([", ".join(ways[:-1]), ways[-1]] if ways[:-1] else ways)
    )


def _longer(seconds: float) -> str:
    return show_duration(1.2 * seconds) if np.isfinite(seconds) else "more time"
