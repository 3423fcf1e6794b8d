"""Levels of planned looks: what they spend together, and when."""

import numpy as np
import pytest
from scipy import special

from softlaunch.evals.sequential.spending import LOOKS, Plan, nominal_levels, plan_looks, stopping
from softlaunch.evals.statistics.multiplicity import level_of_a_look
from softlaunch.evals.statistics.paired import Floats


def walks(plan: Plan, runs: int, drift: float = 0.0) -> Floats:
    """Statistics at each look, for which every part of the calls brings something new."""
    rng, times = np.random.default_rng(3), np.array(plan.times)
    steps = np.diff(times, prepend=0.0)
    moved = rng.standard_normal((runs, len(times))) * np.sqrt(steps) + drift * steps
    found: Floats = moved.cumsum(axis=1) / np.sqrt(times)
    return found


def bounds(plan: Plan, claim: str) -> Floats:
    """How many standard errors each look asks for."""
    found: Floats = -special.ndtri([getattr(levels, claim) for levels in plan.levels])
    return found


def test_five_looks_of_obrien_and_fleming_have_their_published_bounds() -> None:
    """One-sided 2.5 %, five equal looks : 4.88 to 2.03, as by sfLDOF of the R package gsDesign."""
    shares = np.arange(1, 6) / 5
    spent = 2 * special.ndtr(special.ndtri(0.0125) / np.sqrt(shares))
    found = -special.ndtri(nominal_levels(list(shares), list(spent)))
    assert found == pytest.approx([4.88, 3.36, 2.68, 2.29, 2.03], abs=0.02)


@pytest.mark.parametrize("first_share", [1.0, 0.5])
def test_all_looks_together_keep_the_level(first_share: float) -> None:
    """Passing spends 5 %, failing what bets leave of it; and neither wastes any."""
    plan = plan_looks(0.05, first_share)
    seen = walks(plan, 200_000)
    passed, failed = ((seen > bounds(plan, claim)).any(axis=1).mean() for claim in ("passing", "failing"))
    assert passed == pytest.approx(0.05, abs=0.0015)
    assert failed + plan.bet_level == pytest.approx(0.05, abs=0.0015)


def test_the_first_repeats_spend_what_the_first_of_two_looks_would() -> None:
    """A candidate that passes after three repeats of six does so as often as without looks before."""
    plan = plan_looks(0.05, 0.5)
    spent = (walks(plan, 200_000)[:, :LOOKS] > bounds(plan, "passing")[:LOOKS]).any(axis=1).mean()
    assert spent == pytest.approx(level_of_a_look(0.05, 0.5), abs=0.0015)


def test_looks_cost_little_power() -> None:
    """Where the full design finds 80 %, five looks find at least 78 % and take fewer calls."""
    plan = plan_looks(0.05, 1.0)
    found = stopping(plan, "passing", 1.645 + 0.842)
    assert found.sum() == pytest.approx(
        (walks(plan, 100_000, 2.487) > bounds(plan, "passing")).any(axis=1).mean(), abs=0.005
    )
    assert found.sum() > 0.78
    assert (found * plan.times).sum() + 1 - found.sum() < 0.85
