"""Outages of both arms: what is seen during one tells little, and a gate that knows so still passes."""

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Floats, Observations, Window
from softlaunch.gates.rules import GateRule
from softlaunch.gates.scales import ShareScale, learn

RULE = GateRule(Metric.ERRORS, Role.REQUIRED, margin=0.02, material=0.02, alpha=0.001, confidence=0.95)
USUAL, OUTAGE = 0.005, 0.4


def observed(rng: np.random.Generator, rate: float | Floats, count: int) -> Observations:
    """Requests of one user each, of which so many fail."""
    return Observations(rng.integers(0, 2**60, count), (rng.random(count) < rate).astype(np.float64))


def is_outage(look: int) -> bool:
    """Five of every twenty minutes."""
    return look % 20 >= 15


def alike(rng: np.random.Generator, rate: float) -> Window:
    """Twenty units of each arm, which fail at one rate."""
    candidate, stable = ({Metric.ERRORS: observed(rng, rate, 20)} for _ in range(2))
    return Window(0.5, candidate, stable)


def begin(rng: np.random.Generator, *, outages: bool = True) -> Gate:
    """A gate that knows three hours of stable."""
    looks = np.repeat([OUTAGE if outages and is_outage(look) else USUAL for look in range(180)], 16)
    return Gate.begin(RULE, Window(0.5, {}, {Metric.ERRORS: observed(rng, looks, len(looks))}))


def passes(seed: int, harm: float, looks: int = 200) -> bool:
    """Whether a gate passes in so many minutes of ten users of each arm, who meet outages."""
    rng = np.random.default_rng(seed)
    gate = begin(rng)
    for look in range(looks):
        rate = OUTAGE if is_outage(look) else USUAL
        seen = [{Metric.ERRORS: observed(rng, one, 10)} for one in (rate + harm, rate)]
        gate.update(Window(0.5, seen[0], seen[1]))
        if gate.judge().outcome is Outcome.PASS:
            return True
    return False


@pytest.mark.long
def test_fine_candidates_pass_in_spite_of_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    """And fewer do where every unit counts alike; one that is as bad as the margin hardly ever does."""
    adaptive = sum(passes(seed, 0.0) for seed in range(24))
    at_margin = sum(passes(seed, RULE.margin) for seed in range(30))
    monkeypatch.setattr(ShareScale, "calm", property(lambda _: 1.0))
    assert adaptive >= sum(passes(seed, 0.0) for seed in range(24)) + 4
    assert at_margin <= 3


@pytest.mark.parametrize("outages", [False, True])
def test_calm_is_told_apart_only_where_there_is_unrest(*, outages: bool) -> None:
    """By chance alone rates vary too, and that is no reason to bet otherwise."""
    rng = np.random.default_rng(5)
    gate, calm = begin(rng, outages=outages), []
    for look in range(80):
        rate = OUTAGE if outages and is_outage(look) else USUAL
        gate.update(alike(rng, rate))
        calm.append((is_outage(look), gate.scale.calm))
    late = calm[40:]
    quiet, disturbed = (np.median([value for was, value in late if was is outage]) for outage in (False, True))
    if outages:
        assert quiet > 3
        assert disturbed < 0.7
    else:
        assert {value for _, value in calm} == {1.0}


def test_what_is_known_of_unrest_is_stored() -> None:
    """A restart bets on as before."""
    rng = np.random.default_rng(5)
    gate = begin(rng)
    for look in range(40):
        rate = OUTAGE if is_outage(look) else USUAL
        gate.update(alike(rng, rate))
    again = Gate.load(RULE, gate.dump())
    assert again.scale.calm == gate.scale.calm != 1.0
    assert again.dump() == gate.dump()


def test_nothing_is_known_of_unrest_at_first() -> None:
    """Stable's past by itself doesn't tell when it was disturbed."""
    scale = ShareScale()
    learn(scale, scale.tally(observed(np.random.default_rng(1), 0.1, 500)))
    assert scale.calm == 1.0
