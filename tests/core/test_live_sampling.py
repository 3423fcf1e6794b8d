"""Which units' answers are judged."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.live_sampling import is_judged
from softlaunch.core.split import takes_candidate, unit_hash

pseudonyms = st.integers(-(2**63), 2**63 - 1)
shares = st.floats(0.01, 100)


@given(pseudonyms, shares, shares)
def test_a_larger_sample_holds_the_smaller_one(pseudonym: int, one: float, other: float) -> None:
    """Whose answers are judged at one share have them judged at every larger one."""
    lower, higher = sorted((one, other))
    if is_judged("bot", pseudonym, lower):
        assert is_judged("bot", pseudonym, higher)
    assert is_judged("bot", pseudonym, 100)


def test_the_sample_is_as_large_on_either_arm_and_as_asked_for() -> None:
    """A unit's place in the sample has nothing to do with its arm: 20 % of both, within four standard deviations."""
    units = [unit_hash(f"user-{number}", "salt") for number in range(20_000)]
    sampled = np.array([is_judged("bot", unit, 20) for unit in units])
    candidate = np.array([takes_candidate(unit, "bot-1", 50) for unit in units])
    for arm in (candidate, ~candidate):
        count = int(arm.sum())
        assert abs(sampled[arm].mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / count)


def test_apps_draw_for_themselves() -> None:
    """Who is sampled in one app isn't therefore sampled in another."""
    units = [unit_hash(f"user-{number}", "salt") for number in range(2000)]
    both = sum(is_judged("bot", unit, 20) and is_judged("other", unit, 20) for unit in units)
    assert both / len(units) < 0.08
