"""Alpha over the looks at one test."""

import numpy as np
import pytest
from scipy.stats import norm

from softlaunch.ab.looks import boundaries, extension, planned_ends, repeated_p, spending
from softlaunch.policy.ab import AbPolicy

DAY = 86400.0


@pytest.mark.parametrize(
    ("minimum", "maximum", "days"),
    [
        pytest.param("7 d", "30 d", [7, 14, 30], id="a last stretch that is too short for a look is joined"),
        pytest.param("7 d", "28 d", [7, 14, 28], id="doubles"),
        pytest.param("30 d", "30 d", [30], id="no extension"),
        pytest.param("20 d", "30 d", [20, 30], id="cut at the limit"),
    ],
)
def test_planned_ends(minimum: str, maximum: str, days: list[int]) -> None:
    """Each end comes twice as late as the one before, the last is the limit."""
    policy = AbPolicy(minimum_time=minimum, maximum_time=maximum)
    assert [end / DAY for end in planned_ends(policy)] == days


def test_the_time_until_the_end_after_an_end() -> None:
    """By how much a driver moves the deadline."""
    policy = AbPolicy()
    assert [extension(policy, end).days for end in (1, 2)] == [7, 16]


def test_a_single_look_is_the_ordinary_test() -> None:
    """Without extensions nothing is spent on them."""
    assert boundaries(0.05, [3.0], spending(1)) == pytest.approx((norm.isf(0.025),))
    assert repeated_p([2.2], [3.0], spending(1)) == pytest.approx(2 * norm.sf(2.2))


def test_boundaries_of_equally_spaced_looks_are_those_of_the_literature() -> None:
    """Pocock's constant for two looks at 5 % is 2.178 (Jennison & Turnbull 2000, table 2.1)."""
    first = 2 * norm.sf(2.178)
    found = boundaries(0.05, [1.0, 2.0], [first / 0.05, 1 - first / 0.05])
    assert found == pytest.approx((2.178, 2.178), abs=0.002)


@pytest.mark.parametrize("information", [[1, 2, 4.3], [1, 1.2, 5], [1, 3, 3.01]], ids=str)
def test_all_looks_together_keep_alpha(information: list[float]) -> None:
    """Seeded: of 200,000 tests of equals 5 % cross a boundary at some look, however the information grows."""
    rng = np.random.default_rng(11)
    grown = np.diff([0.0, *information])
    scores = (rng.normal(size=(200_000, 3)) * np.sqrt(grown)).cumsum(axis=1) / np.sqrt(information)
    limits = np.array(boundaries(0.05, information, spending(3)))
    assert (np.abs(scores) >= limits).any(axis=1).mean() == pytest.approx(0.05, abs=0.002)


def test_a_repeated_p_value_is_at_most_alpha_exactly_where_a_boundary_is_reached() -> None:
    """Both say the same, at any look."""
    information, shares = [1.0, 2.0, 4.0], spending(3)
    limit = boundaries(0.05, information, shares)[-1]
    assert repeated_p([0.3, 1.0, limit + 0.01], information, shares) < 0.05
    assert repeated_p([0.3, 1.0, limit - 0.01], information, shares) > 0.05
    assert repeated_p([2.2, 1.0, 0.0], information, shares) < 0.05
