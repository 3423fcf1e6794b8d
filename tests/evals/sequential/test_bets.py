"""Bets on harm: wrong as seldom as they say whenever one looks, and quick where harm is large."""

import numpy as np
import pytest

from softlaunch.evals.sequential.bets import Bets
from softlaunch.evals.statistics.multiplicity import Levels

LEVEL = 0.05


def bets(rng: np.random.Generator, cases: int, lost: float, won: float, margin: float = 0.02) -> Bets:
    """Right or wrong answers, of which so many are lost and won."""
    drawn = rng.random(cases)
    stable, candidate = (drawn < lost).astype(float), ((drawn >= lost) & (drawn < lost + won)).astype(float)
    return Bets(stable, candidate, np.ones(cases), 1.0, margin)


@pytest.mark.parametrize(("lost", "won"), [(0.02, 0.0), (0.07, 0.05), (0.26, 0.24)])
def test_harm_at_the_margin_is_called_more_in_at_most_the_level(lost: float, won: float) -> None:
    """However often one looks: here after each of 400 cases."""
    rng, runs = np.random.default_rng(1), 400
    found = sum(bets(rng, 400, lost, won).crossing(LEVEL) is not None for _ in range(runs))
    assert found / runs <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / runs)


def test_a_loss_of_twenty_points_is_plain_after_a_fifth_of_300_cases() -> None:
    """On average, at a tolerance of two points and a level of 1 %."""
    rng = np.random.default_rng(2)
    needed = [bets(rng, 300, 0.225, 0.025).crossing(0.01) or 300 for _ in range(100)]
    assert np.mean(needed) <= 75


def test_the_interval_and_the_decision_are_one_procedure() -> None:
    """Whoever crosses has a lower bound beyond the margin, at the same level, and stays so with more cases."""
    rng = np.random.default_rng(3)
    for _ in range(8):
        one = bets(rng, 200, 0.15, 0.03)
        estimated = one.estimate(Levels(LEVEL, LEVEL)).estimate
        assert (one.crossing(LEVEL) is not None) == (estimated.lower >= one.margin - 1e-6)
        assert (estimated.p_beyond <= LEVEL) == (one.crossing(LEVEL) is not None)
        assert estimated.lower <= estimated.harm <= estimated.upper
        assert estimated.p_within == 1.0


@pytest.mark.long
def test_bounds_hold_at_the_moment_that_bets_chose() -> None:
    """An estimate is largest when one stops because of it; its bounds allow for that."""
    rng, runs, missed = np.random.default_rng(4), 300, 0
    for _ in range(runs):
        one = bets(rng, 300, 0.10, 0.05)
        at = one.crossing(LEVEL) or 300
        stopped = Bets(one.stable[:at], one.candidate[:at], one.shares[:at], 1.0, one.margin)
        found = stopped.estimate(Levels(LEVEL, LEVEL)).estimate
        missed += not found.lower <= 0.05 <= found.upper
    assert missed / runs <= 2 * LEVEL


def test_weights_count() -> None:
    """Harm in cases of little weight is little harm."""
    light = np.tile([0.1, 1.9], 100)
    stable = np.tile([1.0, 1.0], 100)
    assert Bets(stable, np.tile([0.0, 1.0], 100), light, 1.9, 0.06).crossing(LEVEL) is None
    assert Bets(stable, np.tile([1.0, 0.0], 100), light, 1.9, 0.06).crossing(LEVEL) is not None
