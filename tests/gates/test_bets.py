"""Bets on arms: their factors have mean one, whatever the values are."""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softlaunch.gates.bets import RATIOS, SHIFTS, Bets, Known, Sums, linear, tilted
from softlaunch.gates.observations import Flags, Floats
from softlaunch.gates.reference import ENOUGH

Growth = Callable[[Flags], Floats]
"""The log e-value by the arms that units are on."""
SHARES = [0.01, 0.1, 0.5, 0.9]


def expected_wealth(units: int, share: float, growth: Growth) -> Floats:
    """The mean of the e-value over all ways in which so many units may be on the arms."""
    mean = np.zeros(1)
    for arms in itertools.product([False, True], repeat=units):
        on_candidate = np.array(arms)
        probability = share ** on_candidate.sum() * (1 - share) ** (~on_candidate).sum()
        mean = mean + probability * np.exp(growth(on_candidate))
    return mean


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("tail", [1.0, 8.0], ids=["light", "heavy"])
def test_tilted_bets_have_mean_one(share: float, tail: float) -> None:
    """Exactly, for odds of any size, centred on a window's own entries, and over two windows one after the other."""
    rng = np.random.default_rng(3)
    odds = tail * rng.normal(size=(10, 4))

    def growth(arms: Flags) -> Floats:
        early = tilted(odds[:6], np.ones(4), arms[:6], share)
        return early + tilted(odds[6:], np.full(4, 2.0), arms[6:], share)

    np.testing.assert_allclose(expected_wealth(10, share, growth), 1.0, rtol=1e-9)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("centre", [0.001, 0.2, 0.999])
def test_linear_bets_have_mean_one_when_arms_are_alike(share: float, centre: float) -> None:
    """A unit's harm is the same on either arm, whatever the centre."""
    harm = np.array([0.0, 0.0, 0.1, 1.0, 0.5, 1.0, 0.0, 0.9])
    mean = expected_wealth(8, share, lambda arms: linear(harm, centre, arms, share))
    np.testing.assert_allclose(mean, 1.0, rtol=1e-9)


@pytest.mark.parametrize("share", SHARES)
def test_linear_bets_gain_nothing_from_a_candidate_that_is_better(share: float) -> None:
    """Less harm on the candidate's side brings the mean below one; more brings it above."""
    rng = np.random.default_rng(4)
    harm = rng.random(8)

    def mean(change: float) -> Floats:
        return expected_wealth(
            8, share, lambda arms: linear(np.clip(harm + change * arms, 0, 1), harm.mean(), arms, share)
        )

    assert (mean(-0.1) < 1).all()
    assert (mean(0.1) > 1).all()


@pytest.mark.parametrize("share", SHARES)
def test_tilted_bets_gain_nothing_from_a_candidate_that_is_better(share: float) -> None:
    """The same for odds that rise with harm, up to what one of a few entries moves the centre."""
    rng = np.random.default_rng(4)
    harm = rng.normal(size=8)

    def mean(change: float) -> Floats:
        shifts = SHIFTS[:4]
        return expected_wealth(
            8,
            share,
            lambda arms: tilted((harm + change * arms)[:, None] * shifts, np.exp(shifts**2 / 2), arms, share),
        )

    assert (mean(-0.5) <= 1 + 1e-9).all()
    assert (mean(0.5) > 1).all()


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.sampled_from(SHARES),
    st.floats(0.001, 0.999),
    st.integers(0, 63),
)
@settings(deadline=None, max_examples=200)
def test_no_single_window_costs_everything(harm: list[float], share: float, centre: float, arms: int) -> None:
    """A linear bet keeps at least a fifth a unit, and wins at most what its stake is worth."""
    values = np.array(harm)
    on_candidate = np.array([bool(arms >> place & 1) for place in range(len(values))])
    growth = linear(values, centre, on_candidate, share)
    assert np.isfinite(growth).all()
    assert (growth >= len(values) * math.log(0.2)).all()


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=6), st.sampled_from(SHARES), st.integers(0, 63))
@settings(deadline=None, max_examples=200)
def test_a_unit_brings_no_more_than_its_arm_is_unlikely(sizes: list[float], share: float, arms: int) -> None:
    """At 1 % a unit of the candidate is at most a hundredfold, so that a few can't suffice."""
    on_candidate = np.array([bool(arms >> place & 1) for place in range(len(sizes))])
    growth = tilted(np.array(sizes)[:, None] * SHIFTS, np.exp(SHIFTS**2 / 2), on_candidate, share)
    most = on_candidate.sum() * -math.log(share) + (~on_candidate).sum() * -math.log(1 - share)
    assert (growth <= most + 1e-9).all()


def test_what_hits_both_arms_of_a_window_is_no_evidence() -> None:
    """Where there are enough entries beside the past, hardly anything grows, however unusual all of them are."""
    rng = np.random.default_rng(2)
    on_candidate = rng.random(5000) < 0.1
    growth = tilted(np.full((5000, 1), np.log(5.0)), np.ones(1), on_candidate, 0.1)
    assert abs(growth[0]) < 0.02 * 5000 * np.log(5.0) * 0.1
    unhappy = linear(np.ones(5000), 5000 / 5100, on_candidate, 0.1)
    assert (np.abs(unhappy) < 1.0).all()


def filled(column: Known, values: Floats) -> Known:
    """The column after it learnt values."""
    column.add(values)
    return column


def test_enough_has_to_be_known() -> None:
    """One entry fewer than enough is too little; entries in which nothing was measured don't count."""
    assert not filled(Known(), np.full(ENOUGH - 1, 0.5)).is_enough
    assert not filled(Known(), np.full(ENOUGH, np.nan)).is_enough
    assert filled(Known(), np.full(ENOUGH, 0.5)).is_enough


def test_a_mean_is_that_of_the_window_and_of_a_hundred_past_entries() -> None:
    """Kept off the ends, so that a first event can't be infinitely surprising."""
    known = filled(Known(), np.full(200, 0.2))
    assert known.mean(np.empty(0)) == pytest.approx(0.2)
    assert known.mean(np.full(300, 0.6)) == pytest.approx((100 * 0.2 + 300 * 0.6) / 400)
    assert filled(Known(), np.zeros(200)).mean(np.zeros(10)) == 0.001
    assert filled(Known(), np.ones(200)).mean(np.ones(10)) == 0.999


def test_the_past_fades() -> None:
    """After some thousands of other entries hardly anything is left of it."""
    known = filled(Known(), np.zeros(2500))
    for _ in range(100):
        known.add(np.ones(100))
    assert known.mean(np.empty(0)) > 0.97
    assert known.held.total == pytest.approx(2500)


def test_the_usual_odds_of_an_event_are_their_mean_over_the_past() -> None:
    """A fifth of the entries had one."""
    known = filled(Known(), np.array([0.0] * 80 + [0.2] * 15 + [1.0] * 5))
    np.testing.assert_allclose(known.usual_odds(np.log(RATIOS)), 0.8 + 0.2 * RATIOS)


def test_scores_are_normal_whatever_the_values_are() -> None:
    """Of the size, only the rank among the past counts; the largest of all is no more than three and a half."""
    rng = np.random.default_rng(6)
    values = 1e-5 * rng.lognormal(0, 2, 2000)
    known = filled(Known(is_magnitude=True), values)
    scores = known.scores(values)
    assert scores.mean() == pytest.approx(0.0, abs=0.02)
    assert scores.std() == pytest.approx(1.0, abs=0.02)
    assert known.scores(np.array([1e9, 0.0])).tolist() == pytest.approx([3.5, -3.5], abs=0.05)
    assert (np.diff(known.scores(np.sort(values))) >= 0).all()


def test_an_e_value_is_the_weighted_mean_over_all_bets() -> None:
    """A kind that was never bet on counts as one."""
    bets = Bets({"mean": np.array([0.1, 0.3]), "any": np.array([0.2, 0.3, 0.1])})
    assert bets.log_evidence == 0.0
    bets.grow("mean", np.log([2.0, 4.0]))
    bets.grow("mean", np.log([1.0, 2.0]))
    assert math.exp(bets.log_evidence) == pytest.approx(0.1 * 2 + 0.3 * 8 + 0.6)


def test_bets_that_are_stored_are_the_same_bets() -> None:
    """E-values and sums survive JSON."""
    rng = np.random.default_rng(9)
    bets = Bets({"mean": np.full(6, 0.4 / 6), "any": np.full(7, 0.6 / 7)})
    bets.grow("mean", rng.normal(size=6))
    bets.note("harm", rng.random(20), rng.random(20) < 0.5)
    again = Bets.load(bets.weights, json.loads(json.dumps(bets.dump(), allow_nan=False)))
    assert again.dump() == bets.dump()
    assert again.log_evidence == bets.log_evidence
    assert astuple(again.means("harm")) == astuple(bets.means("harm"))


def test_sums_say_what_numpy_says() -> None:
    """Mean and the variance of the mean; nothing is known of nothing."""
    values = np.random.default_rng(1).random(50)
    sums = Sums()
    assert math.isnan(sums.mean)
    sums.add(values[:20])
    sums.add(values[20:])
    assert sums.mean == pytest.approx(values.mean())
    assert sums.variance_of_mean == pytest.approx(values.var() / 50)
    assert Sums(1.0, 3.0, 9.0).variance_of_mean == math.inf
