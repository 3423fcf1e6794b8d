"""What a golden set can show, said before any call."""

import numpy as np
import pytest

from benchmarks.evals.simulation import World, run
from softlaunch.evals.foresight import Foresight, Variation
from softlaunch.evals.foresight_wording import costs_in_words, in_words
from softlaunch.policy.evals import EvalPolicy
from tests.evals.arms import cases

STATED = Variation(0.05, 0.05, "stated")


def foresight(count: int, variation: Variation = STATED, **fields: object) -> Foresight:
    """Of so many cases; fields are those of the policy."""
    return Foresight.of(cases(count), EvalPolicy.model_validate({"golden_set": "g", **fields}), variation)


def test_forty_cases_cannot_show_two_points() -> None:
    """It is said what they can show instead, and what it would take; that many cases then can."""
    few = foresight(40)
    needed = few.cases_needed(6)
    assert not few.suffices
    said = in_words(few)
    assert said.startswith("40 cases can't show 2 points: a candidate without any difference is shown to be within 10.")
    assert f"about {needed:,} cases would, or a tolerance of" in said
    assert foresight(needed).suffices
    assert not foresight(round(needed * 0.9)).suffices


def test_cases_that_never_differ_still_leave_room_for_rare_harm() -> None:
    """The rule of three: no variance, and yet 40 cases bound harm by a few points only."""
    assert foresight(40, Variation(0.0, 0.0, "stated")).within(3) == pytest.approx(1 - 0.0254 ** (1 / 40), abs=0.002)


def test_weighted_cases_count_as_fewer() -> None:
    """Ten heavy cases among a hundred are most of the evidence."""
    heavy = [case.model_copy(update={"weight": 20.0 if place < 10 else 1.0}) for place, case in enumerate(cases(100))]
    assert Foresight.of(heavy, EvalPolicy(golden_set="g")).effective < 25


def test_costs_are_foreseen_in_calls_and_usd() -> None:
    """At most, and as expected."""
    said = costs_in_words(foresight(1200, Variation(0.05, 0.05, "stated", 0.001), budget_calls=5000))
    assert "an eval makes at most 14,400 calls ($14.4" in said
    assert "which eval.budget_calls limits to 5,000" in said
    assert "where the candidate is equal" in said


def test_without_early_stop_more_calls_are_expected_of_a_bad_candidate() -> None:
    """And about as many claims are made."""
    early, whole = (foresight(1000, early_stop=stop).decided(0.1) for stop in (True, False))
    assert early[2] < 0.5 * whole[2]
    assert early[1] == pytest.approx(whole[1], abs=0.02)


@pytest.mark.long
@pytest.mark.parametrize("harm", [0.0, 0.04])
def test_what_is_foreseen_happens(harm: float) -> None:
    """As often as the product's own functions decide in simulated evals."""
    rng, world = np.random.default_rng(9), World(500, harm, 0.02, 0.1, 0.5)
    found = [run(world, rng) for _ in range(200)]
    variation = Variation(0.5 * 0.1, 0.5 * 0.1, "stated")
    passes, fails, calls = foresight(500, variation, maximum_repeats=3).decided(harm)
    assert np.mean([one.early == -1 for one in found]) == pytest.approx(passes, abs=0.12)
    assert np.mean([one.early == 1 for one in found]) == pytest.approx(fails, abs=0.12)
    assert np.mean([one.share for one in found]) * 3000 == pytest.approx(calls, rel=0.15)
