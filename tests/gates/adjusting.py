"""Gates that are adjusted for what is known before an answer, in a stage at 10 %."""

import numpy as np

from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Observations, Window
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan

_HISTORY = 3000


def begin_panel(policy: Policy, past: Events) -> GateSet:
    """Gates that know stable's last requests before the stage, and of all its past whatever they adjust for."""
    history = past.only(np.arange(len(past) - _HISTORY, len(past)))
    stable = {metric: Observations.of(history.units, values) for metric, values in history.values.items()}
    known = Window(0.5, {}, stable, requests=history, until=0.0)
    return GateSet.begin(
        policy, plan(policy)[1], known, past if any(gate.adjust_for for gate in policy.gates) else None
    )
