"""Bets that aim at a deadline: by chance they get there no more often than they may, and by right nearly always."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.aim import aimed_fractions, units_left
from softlaunch.gates.gate import Gate
from softlaunch.gates.observations import Floats, Observations, Window
from softlaunch.gates.rules import GateRule

GOAL, STEPS, RUNS = 20.0, 400, 4000


def grown(drift: float, deviation: float = 0.3, *, expected: int = STEPS, kelly: bool = False) -> Floats:
    """The highest wealth that each of many games of STEPS rounds reached, with rounds that win `drift` on average."""
    rng = np.random.default_rng(1)
    log_e_values, highest = np.zeros(RUNS), np.zeros(RUNS)
    for step in range(STEPS):
        left = max(expected - step, 1)
        stakes = aimed_fractions(log_e_values, GOAL, np.full(RUNS, deviation), float(left))
        bets = np.minimum(np.full(RUNS, drift / deviation**2) if kelly else stakes, 0.9)
        won = np.clip(rng.normal(drift, deviation, RUNS), -1.0, 1.0)
        log_e_values += np.log1p(bets * won)
        highest = np.maximum(highest, log_e_values)
    return np.exp(highest)


@pytest.mark.parametrize("expected", [STEPS // 4, STEPS, 4 * STEPS], ids=["sooner", "as expected", "later"])
@pytest.mark.parametrize("deviation", [0.15, 0.3], ids=["calmer than thought", "as thought"])
def test_by_chance_the_goal_is_reached_once_in_twenty(expected: int, deviation: float) -> None:
    """However wrong the deadline or the spread: with 4,000 games, four standard errors above it would be 6.4 %."""
    reached = float((grown(0.0, deviation, expected=expected) >= GOAL).mean())
    assert reached < 0.064


def test_nearly_as_many_get_there_as_by_a_test_that_was_planned_for_the_deadline() -> None:
    """And many more than by the stake that would grow fastest."""
    drift, deviation = 0.04, 0.3
    planned = float(norm.sf(norm.isf(1 / GOAL) - drift / deviation * math.sqrt(STEPS)))
    aimed = float((grown(drift) >= 0.9 * GOAL).mean())
    fastest = float((grown(drift, kelly=True) >= GOAL).mean())
    assert aimed == pytest.approx(planned, abs=0.06)
    assert aimed > fastest + 0.1


@pytest.mark.parametrize(
    ("units", "progress", "left"),
    [
        (500.0, None, None),
        (500.0, 0.001, None),
        (3.0, 0.5, None),
        (500.0, 0.25, 1500.0),
        (500.0, 1.0, 1.5),
        (500.0, 7.0, 1.5),
    ],
    ids=["no deadline", "just begun", "hardly anybody", "a quarter", "over", "long over"],
)
def test_units_left_go_by_those_that_came(units: float, progress: float | None, left: float | None) -> None:
    """Some are always left, so that stakes stay finite."""
    found = units_left(units, progress)
    assert found is None if left is None else found == pytest.approx(left)


RULE = GateRule(Metric.QUALITY, Role.REQUIRED, margin=0.02, material=0.02, alpha=0.001, confidence=0.95)


def quality(rng: np.random.Generator, mean: float, count: int) -> Observations:
    """Graded answers of one user each."""
    return Observations(rng.integers(0, 2**60, count), rng.beta(4 * mean, 4 * (1 - mean), count))


def passed(seed: int, harm: float, *, knows_deadline: bool) -> bool:
    """Whether a gate passes at some look until 850 units of each arm were seen."""
    rng = np.random.default_rng(seed)
    gate = Gate.begin(RULE, Window(0.5, {}, {Metric.QUALITY: quality(rng, 0.85, 2000)}))
    looks = 34
    for look in range(looks):
        seen = [{Metric.QUALITY: quality(rng, mean, 25)} for mean in (0.85 - harm, 0.85)]
        gate.update(Window(0.5, seen[0], seen[1]), look / looks if knows_deadline else None)
        if gate.judge().outcome is Outcome.PASS:
            return True
    return False


@pytest.mark.long
def test_a_gate_that_knows_its_deadline_passes_more_fine_candidates_until_then() -> None:
    """As many units would do for a test of fixed size in three of four; the harm of its margin passes no more often."""
    with_deadline, without = (
        sum(passed(seed, 0.0, knows_deadline=known) for seed in range(40)) for known in (True, False)
    )
    assert with_deadline >= without + 4
    assert sum(passed(seed, RULE.margin, knows_deadline=True) for seed in range(60)) <= 5


def test_a_gate_that_was_stored_goes_on_aiming() -> None:
    """What was bet, by which spread, and how many came; a gate stored by an earlier version begins to aim now."""
    rng = np.random.default_rng(3)
    gate = Gate.begin(RULE, Window(0.5, {}, {Metric.QUALITY: quality(rng, 0.85, 2000)}))
    candidate, stable = ({Metric.QUALITY: quality(rng, 0.85, 50)} for _ in range(2))
    window = Window(0.5, candidate, stable)
    for look in range(10):
        gate.update(window, look / 20)
    again = Gate.load(RULE, gate.dump())
    earlier = Gate.load(RULE, {name: held for name, held in gate.dump().items() if name not in {"aimed", "spread"}})
    for one in (gate, again, earlier):
        one.update(window, 0.5)
    assert again.dump() == gate.dump()
    assert gate.aimed.any()
    assert np.isfinite(earlier.aimed).all()
    assert Gate.begin(replace(RULE, margin=0.05)).judge().outcome is Outcome.INCONCLUSIVE
