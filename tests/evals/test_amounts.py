"""Latency, cost and other amounts: relative harm, and as often wrong as it says."""

import numpy as np
import pytest

from softlaunch.evals.statistics.amounts import estimate_amounts
from softlaunch.evals.statistics.paired import Floats, PairedEstimate

LEVEL = 0.05
RUNS = 200


def judge(stable: Floats, candidate: Floats, margin: float = 0.1, **options: bool) -> PairedEstimate:
    """The estimate without weights."""
    found = estimate_amounts(stable, candidate, np.ones(len(stable)), margin=margin, level=LEVEL, **options)
    assert found is not None
    return found.estimate


def test_the_same_percentage_everywhere() -> None:
    """A tenth more on every case is ten percent, whatever the scale, and in either direction."""
    amounts = np.random.default_rng(1).lognormal(0, 1, 200)
    for scale in (1e-6, 1.0, 1e6):
        found = judge(scale * amounts, 1.1 * scale * amounts)
        assert (found.harm, found.lower, found.upper) == pytest.approx((0.1, 0.1, 0.1), abs=1e-3)
    assert judge(amounts, 1.1 * amounts, higher_is_better=True).harm == pytest.approx(-0.1)


def test_nothing_is_no_share_of_nothing() -> None:
    """Costs that are zero in the stable arm can't be compared as a ratio."""
    assert estimate_amounts(np.zeros(20), np.ones(20), np.ones(20), margin=0.1, level=LEVEL) is None


def test_nothing_is_as_much_as_nothing() -> None:
    """Models without a price cost the same, as other amounts that are equal do."""
    nothing, equal = judge(np.zeros(400), np.zeros(400)), judge(np.full(400, 3.0), np.full(400, 3.0))
    assert nothing == equal


def test_equal_amounts_of_a_few_cases_prove_little() -> None:
    """Ten equal prices leave room for what ten cases could have missed; four hundred leave less."""
    few, many = judge(np.full(10, 3.0), np.full(10, 3.0)), judge(np.full(400, 3.0), np.full(400, 3.0))
    assert few.p_within > LEVEL
    assert many.p_within <= LEVEL
    assert (few.harm, many.harm) == (0.0, 0.0)


@pytest.mark.long
@pytest.mark.parametrize("cases", [40, 200])
def test_bounds_are_as_often_wrong_as_they_say(cases: int) -> None:
    """Of 200 samples with skewed amounts and ten percent more on average, each bound misses about one in twenty."""
    rng = np.random.default_rng(cases)
    missed = np.zeros(4)
    for _ in range(RUNS):
        usual = rng.lognormal(0, 0.7, cases)
        stable, candidate = (usual * rng.gamma(4.0, 0.25 * factor, cases) for factor in (1.0, 1.1))
        found = judge(stable, candidate)
        shown = (found.upper < 0.1, found.lower > 0.1, found.p_within <= LEVEL, found.p_beyond <= LEVEL)
        missed += np.array(shown)
    assert (missed / RUNS <= 0.085).all()
    assert (missed / RUNS >= 0.015).all()


def test_a_clear_change_is_seen() -> None:
    """A quarter more is beyond ten percent, the same is within, on 300 noisy cases."""
    rng = np.random.default_rng(3)
    usual = rng.lognormal(0, 0.7, 300)
    stable, same, slower = (usual * rng.gamma(8.0, factor / 8, 300) for factor in (1.0, 1.0, 1.35))
    assert judge(stable, slower).p_beyond <= LEVEL
    assert judge(stable, same).p_within <= LEVEL
    assert judge(stable, slower).minimum_detectable < 0.15
