"""Many requests of one user are not independent: what it would cost to forget that."""

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.rules import GateRule

RULE = GateRule(Metric.ERRORS, Role.REQUIRED, margin=0.04, material=1e-9, alpha=0.1, confidence=0.95)
"""Any harm is material, so that nothing but the evidence keeps the gate from failing."""


def chatty(rng: np.random.Generator, count: int, start: int, *, hidden: bool) -> dict[Metric, Observations]:
    """Five requests each of units whose own error rates differ so much that their intra-class correlation is 0.6.

    The mean rate is 10 %. Hidden, each request claims to be a unit of its own.
    """
    rates = rng.beta(0.1 * 2 / 3, 0.9 * 2 / 3, count)  # a beta-binomial's correlation is 1 / (1 + a + b)
    values = (rng.random((count, 5)) < rates[:, None]).astype(np.float64).ravel()
    units = np.arange(5 * count) + 5 * start if hidden else np.repeat(np.arange(count), 5) + start
    return {Metric.ERRORS: Observations(units, values)}


def fails_with_chatty_units(seed: int, *, hidden: bool) -> bool:
    """Whether any of 15 looks at 60 such units fails a candidate that is like stable."""
    rng = np.random.default_rng(seed)
    history = Window(0.5, {}, chatty(rng, 300, 10**6, hidden=hidden))
    gate = Gate.begin(RULE, history)
    for look in range(15):
        count = int(rng.binomial(60, 0.5))
        on_candidate = chatty(rng, count, 100 * look, hidden=hidden)
        gate.update(Window(0.5, on_candidate, chatty(rng, 60 - count, 100 * look + count, hidden=hidden)))
        if gate.judge().outcome is Outcome.FAIL:
            return True
    return False


def test_requests_of_one_unit_that_resemble_each_other_are_no_false_alarm() -> None:
    """At an alpha of 10 %, at most 1 of 60 equal releases fails; with the units unknown at least 9 do, 15 %."""
    assert sum(fails_with_chatty_units(seed, hidden=False) for seed in range(60)) <= 1
    assert sum(fails_with_chatty_units(seed, hidden=True) for seed in range(60)) >= 9
