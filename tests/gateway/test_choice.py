"""Choosing the arm: units, weights and samples."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.split import is_sampled
from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.gateway.choice import choose
from softlaunch.policy.route import Arm, Route, Serving


def variant(model: str) -> Variant:
    """A variant of this model."""
    return Variant(
        prompt=PromptVersion(name="p", version="1.0.0", messages=()),
        model=ModelVersion(name=model, provider="x", model=model, endpoint="http://127.0.0.1:1/v1"),
    )


ROUTE = Route(
    app="bot",
    revision=1,
    stable=variant("stable"),
    serving=Serving(salt="pepper"),
    candidate=variant("candidate"),
    weight_percent=5.0,
    release_id="bot-1",
)
FULL = replace(ROUTE, weight_percent=100.0, shadow_percent=100.0)


def arms(route: Route, units: int) -> list[Arm]:
    """The arms of so many units."""
    return [choose(route, f"user-{i}", f"bot-{i}", candidate_allowed=True).arm for i in range(units)]


def test_a_weight_is_met_within_binomial_bounds() -> None:
    """Of 20,000 units 5 % meet the candidate, give or take four standard deviations (123)."""
    assert abs(arms(ROUTE, 20_000).count(Arm.CANDIDATE) - 1000) < 124


@given(unit=st.text(min_size=1), low=st.floats(0, 100), high=st.floats(0, 100))
def test_growing_the_weight_moves_nobody_back(unit: str, low: float, high: float) -> None:
    """Whoever has the candidate at a weight has it at every larger one."""
    low, high = sorted((low, high))
    at_low = choose(replace(ROUTE, weight_percent=low), unit, "bot-1", candidate_allowed=True).arm
    at_high = choose(replace(ROUTE, weight_percent=high), unit, "bot-1", candidate_allowed=True).arm
    assert at_low is Arm.STABLE or at_high is Arm.CANDIDATE


@pytest.mark.parametrize(
    ("route", "allowed"),
    [
        pytest.param(FULL, False, id="lease out or breaker tripped"),
        pytest.param(replace(FULL, candidate=None), True, id="no candidate"),
        pytest.param(replace(ROUTE, weight_percent=0.0), True, id="weight zero"),
    ],
)
def test_stable_serves_alone(*, route: Route, allowed: bool) -> None:
    """Without an allowed candidate everybody gets stable, and nothing is copied."""
    choices = [choose(route, f"user-{i}", f"bot-{i}", candidate_allowed=allowed) for i in range(200)]
    assert {(choice.arm, choice.copies) for choice in choices} == {(Arm.STABLE, ())}


def test_copies_go_the_other_way() -> None:
    """What stable answers is copied to shadow, what the candidate answers to control."""
    route = replace(ROUTE, weight_percent=50.0, shadow_percent=100.0, control_percent=1e-9)
    choices = [choose(route, f"user-{i}", f"bot-{i}", candidate_allowed=True) for i in range(200)]
    assert {(choice.arm, choice.copies) for choice in choices} == {(Arm.STABLE, (Arm.SHADOW,)), (Arm.CANDIDATE, ())}
    everything = replace(ROUTE, weight_percent=100.0, control_percent=100.0)
    assert choose(everything, "ann", "bot-1", candidate_allowed=True).copies == (Arm.CONTROL,)


def test_stable_is_asked_again_about_a_part_of_what_is_copied() -> None:
    """Two copies of some requests, one of others, and never one to stable alone."""
    route = replace(ROUTE, weight_percent=0.0, shadow_percent=40.0, control_percent=10.0)
    copies = [choose(route, f"user-{i}", f"bot-{i}", candidate_allowed=True).copies for i in range(5000)]
    assert set(copies) == {(), (Arm.SHADOW,), (Arm.SHADOW, Arm.CONTROL)}
    assert abs(copies.count((Arm.SHADOW, Arm.CONTROL)) - 500) < 86


def test_a_sample_has_its_share_and_is_repeatable() -> None:
    """10 % of 20,000 ids, give or take four standard deviations (170), and the same ones again."""
    sampled = [is_sampled(f"bot-{i}", 10.0) for i in range(20_000)]
    assert abs(sum(sampled) - 2000) < 170
    assert sampled == [is_sampled(f"bot-{i}", 10.0) for i in range(20_000)]


def test_on_an_occasion_the_arm_is_of_that_occasion() -> None:
    """One unit meets both arms, each as often as its weight says; what it is called is known beside it."""
    occasions = [choose(ROUTE, "anna", "bot-1", candidate_allowed=True, occasion=str(i)) for i in range(20_000)]
    assert abs([one.arm for one in occasions].count(Arm.CANDIDATE) - 1000) < 124
    assert len({one.unit for one in occasions}) == 20_000
    assert {one.named_unit for one in occasions} == {choose(ROUTE, "anna", "bot-1", candidate_allowed=True).unit}
    assert choose(ROUTE, "anna", "bot-1", candidate_allowed=True).named_unit is None


def test_a_unit_is_the_same_whether_or_not_the_candidate_is_allowed() -> None:
    """What stable answered meanwhile belongs to the same unit."""
    allowed, refused = (choose(ROUTE, "anna", "bot-1", candidate_allowed=may, occasion="3") for may in (True, False))
    assert (allowed.unit, allowed.named_unit) == (refused.unit, refused.named_unit)
