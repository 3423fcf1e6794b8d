"""A single gate and the traffic that it judges."""

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Role
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.rules import GateRule
from tests.support.builders import arm

ALPHA = 0.1
MARGINS = {Metric.ERRORS: 0.04, Metric.LATENCY: 0.25, Metric.COST: 0.25, Metric.SATISFACTION: 0.1}


def make_rule(metric: Metric, material: float | None = None, alpha: float = ALPHA) -> GateRule:
    """A rule with the metric's margin, a false-alarm share of 10 % and a confidence of 95 %."""
    margin = MARGINS.get(metric, 0.1)
    return GateRule(metric, Role.REQUIRED, margin, margin if material is None else material, alpha, 0.95)


def begin(rule: GateRule, rng: np.random.Generator, history: int = 1000) -> Gate:
    """A gate that knows this many of stable's requests."""
    return Gate.begin(rule, Window(0.5, {}, arm(history, rng)) if history else None)


def window(rng: np.random.Generator, count: int, share: float, metric: Metric, harm: float) -> Window:
    """Concurrent requests; the candidate's are worse by `harm` in one metric."""
    of_candidate = int(rng.binomial(count, share))
    worse = {
        Metric.ERRORS: {"errors": 0.01 + harm},
        Metric.LATENCY: {"latency": 1 + harm},
        Metric.COST: {"cost": 1 + harm},
        Metric.SATISFACTION: {"satisfaction": 0.8 - harm},
    }[metric]
    return Window(share, arm(of_candidate, rng, **worse), arm(count - of_candidate, rng))


def failing(bad: int, count: int) -> dict[Metric, Observations]:
    """Units of one arm, of which the first so many fail."""
    return {Metric.ERRORS: Observations(np.arange(count), (np.arange(count) < bad).astype(np.float64))}
