"""Bets: their expectation under the null, worked out exactly, and their growth under harm."""

import numpy as np
import pytest
from scipy.stats import binom

from softlaunch.gates.e_process import (
    FRACTIONS,
    RATIOS,
    Side,
    best_fraction,
    bet_growth,
    event_growth,
    fits_share,
    mixture,
    split_evidence,
)
from softlaunch.gates.observations import Floats

SHARES = [
    pytest.param(0.01, id="1 % on the candidate"),
    pytest.param(0.5, id="half"),
    pytest.param(0.9, id="most on the candidate"),
]
_LOW, _HIGH = 0.2, 0.8
_FRACTIONS = np.array([1e-4, *FRACTIONS, 1.0])
_NOTHING = Side(np.empty((1, 0)), np.empty(0))


def one(*values: float) -> Side:
    """Values of as many units, the same for every null."""
    return Side(np.array([values]), np.ones(len(values)))


def growth_of(candidate: Side, stable: Side, share: float, fractions: Floats = _FRACTIONS) -> Floats:
    """Growth for one null when centred values lie in [-0.2, 0.8]."""
    growth: Floats = bet_growth(candidate, stable, share, np.array([_LOW]), _HIGH, fractions)[0]
    return growth


def expected_e_value(share: float, candidate_rate: float, stable_rate: float, *, mirrored: bool = False) -> Floats:
    """Exact mean of the e-value after one observation that is 0.8 at an arm's rate and -0.2 otherwise.

    Mirrored, the bet is on less harm.
    """
    total = np.zeros(len(_FRACTIONS))
    low, high = (_HIGH, _LOW) if mirrored else (_LOW, _HIGH)
    for value, of_candidate, of_stable in (
        (_HIGH, candidate_rate, stable_rate),
        (-_LOW, 1 - candidate_rate, 1 - stable_rate),
    ):
        side = one(value).negative() if mirrored else one(value)
        on_candidate = bet_growth(side, _NOTHING, share, np.array([low]), high, _FRACTIONS)[0]
        on_stable = bet_growth(_NOTHING, side, share, np.array([low]), high, _FRACTIONS)[0]
        total += share * of_candidate * np.exp(on_candidate) + (1 - share) * of_stable * np.exp(on_stable)
    return total


@pytest.mark.parametrize("mirrored", [False, True], ids=["bets on harm", "bets on no harm"])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.7, 1.0])
def test_bets_gain_nothing_on_average_when_the_arms_are_alike(share: float, rate: float, mirrored: bool) -> None:  # noqa: FBT001
    """Whatever the common rate, also one far from the bets' centre, and fraction: the mean e-value is exactly one."""
    assert expected_e_value(share, rate, rate, mirrored=mirrored) == pytest.approx(np.ones(len(_FRACTIONS)))


@pytest.mark.parametrize("share", SHARES)
def test_bets_lose_on_average_where_they_are_wrong_and_win_where_they_are_right(share: float) -> None:
    """A bet on harm loses when the candidate is better; a bet on no harm loses when it is worse."""
    for candidate_rate, stable_rate in ((0.1, 0.2), (0.3, 0.2), (0.0, 1.0), (1.0, 0.0)):
        worse = candidate_rate > stable_rate
        on_harm = expected_e_value(share, candidate_rate, stable_rate)
        on_safety = expected_e_value(share, candidate_rate, stable_rate, mirrored=True)
        assert ((on_harm > 1) == worse).all()
        assert ((on_safety > 1) != worse).all()


@pytest.mark.parametrize("share", SHARES)
def test_no_observation_can_lose_everything(share: float) -> None:
    """An e-value stays above zero at both ends of what was promised, also with the largest bet."""
    for value in (-_LOW, _HIGH):
        for growth in (growth_of(one(value), _NOTHING, share), growth_of(_NOTHING, one(value), share)):
            assert (growth > np.log(0.0009)).all()


def test_growth_adds_up_over_blocks() -> None:
    """A window larger than one block of work counts every observation once."""
    rng = np.random.default_rng(3)
    candidate, stable = rng.uniform(-0.2, 0.8, 9000), rng.uniform(-0.2, 0.8, 9000)
    parts = [
        growth_of(one(*candidate[start : start + 3000]), one(*stable[start : start + 3000]), 0.5)
        for start in (0, 3000, 6000)
    ]
    assert growth_of(one(*candidate), one(*stable), 0.5) == pytest.approx(np.sum(parts, axis=0))


def test_weights_count_like_repetitions() -> None:
    """A value with weight three is the value three times."""
    weighted = Side(np.array([[0.3, -0.1]]), np.array([3.0, 1.0]))
    assert growth_of(weighted, _NOTHING, 0.2) == pytest.approx(growth_of(one(0.3, 0.3, 0.3, -0.1), _NOTHING, 0.2))


@pytest.mark.parametrize("share", SHARES)
def test_the_best_fraction_grows_fastest_of_its_grid(share: float) -> None:
    """For each null its own; no other stake of 4, 8, ... 100 % of the largest would have grown faster."""
    rng = np.random.default_rng(4)
    low = np.array([0.2, 0.2, 0.2])
    shifts = np.array([[0.0], [0.05], [0.15]])
    candidate = Side(rng.uniform(-0.2, 0.6, 200) + shifts, np.full(200, share / 200))
    stable = Side(rng.uniform(-0.2, 0.6, (1, 200)), np.full(200, (1 - share) / 200))
    best, _ = best_fraction(candidate, stable, share, low, np.array(_HIGH))
    choices = np.round(np.linspace(0.04, 1.0, 25), 2)
    growth = bet_growth(candidate, stable, share, low, _HIGH, choices)
    chosen = bet_growth(candidate, stable, share, low, _HIGH, best[:, None])[:, 0]
    assert best.shape == (3,)
    assert set(best) <= set(choices)
    assert chosen == pytest.approx(growth.max(axis=1))
    assert (np.diff(best) >= 0).all()


def test_a_side_can_be_weighed_anew() -> None:
    """Its weights add up to what was asked for, in the same proportions."""
    side = Side(np.array([[0.1, 0.2]]), np.array([1.0, 3.0])).times(0.4)
    assert side.weights.tolist() == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize(("candidates", "stables"), [(1, 1), (10, 90), (50, 50), (700, 300), (0.5, 99.5)])
def test_event_bets_gain_nothing_on_average_when_rates_are_equal(candidates: float, stables: float) -> None:
    """The next event is the candidate's with the candidate's share of the units: the mean e-value is exactly one."""
    share = candidates / (candidates + stables)
    on_candidate = np.exp(event_growth(1, 0, candidates, stables))
    on_stable = np.exp(event_growth(0, 1, candidates, stables))
    assert share * on_candidate + (1 - share) * on_stable == pytest.approx(np.ones(len(RATIOS)))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_part_of_an_event_gains_nothing_either(part: float) -> None:
    """A unit of whose requests a part failed is part of an event; such a power is concave, so it loses a little."""
    on_candidate = np.exp(event_growth(part, 0, 10, 90))
    on_stable = np.exp(event_growth(0, part, 10, 90))
    assert (0.1 * on_candidate + 0.9 * on_stable <= 1).all()


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.9])
def test_events_of_whole_windows_gain_nothing_on_average(rate: float) -> None:
    """Over all outcomes of 12 and 30 units that fail alike, also often, the mean e-value is one at most."""
    on_candidate, on_stable = np.arange(13), np.arange(31)
    chance = binom.pmf(on_candidate, 12, rate)[:, None] * binom.pmf(on_stable, 30, rate)[None, :]
    e_values = np.array([[np.exp(event_growth(c, s, 12, 30)) for s in range(31)] for c in range(13)])
    assert (np.einsum("cs,csr->r", chance, e_values) <= 1 + 1e-9).all()


def test_events_need_both_arms() -> None:
    """Where an arm is empty, an event tells nothing."""
    assert event_growth(5, 0, 100, 0).tolist() == [0.0] * len(RATIOS)
    assert event_growth(0, 5, 0, 100).tolist() == [0.0] * len(RATIOS)


def test_a_mixture_is_the_log_of_the_mean_and_does_not_overflow() -> None:
    """E-values of 1 and 3 are 2 on average; one beyond any float is fine."""
    assert mixture(np.log(np.array([1.0, 3.0]))) == pytest.approx(np.log(2))
    assert mixture(np.array([5000.0, -5000.0])) == pytest.approx(5000 - np.log(2))


def test_a_mixture_may_be_uneven() -> None:
    """E-values of 1 and 3, weighed three to one, are 1.5; each row is mixed by itself."""
    e_values = np.log(np.array([[1.0, 3.0], [2.0, 2.0]]))
    assert mixture(e_values, np.array([0.75, 0.25])) == pytest.approx(np.log([1.5, 2.0]))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("units", [1, 7, 60, 400])
def test_evidence_of_another_split_gains_nothing_on_average_when_it_is_the_intended(share: float, units: int) -> None:
    """Over all outcomes of so many units the mean e-value is exactly one."""
    outcomes = np.arange(units + 1)
    evidence = np.array([split_evidence(int(k), int(units - k), share) for k in outcomes])
    assert np.exp(binom.logpmf(outcomes, units, share) + evidence).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("candidate", "share", "within"),
    [
        pytest.param(0.04, 0.05, 16_000, id="4 % instead of 5 %"),
        pytest.param(0.0, 0.05, 300, id="none instead of 5 %"),
        pytest.param(0.5, 0.05, 20, id="half instead of 5 %"),
        pytest.param(0.45, 0.5, 3000, id="45 % instead of half"),
    ],
)
def test_a_split_that_is_off_is_found(candidate: float, share: float, within: int) -> None:
    """With so many units it is beyond doubt, at one in a thousand; with a tenth of them a small deviation isn't."""
    of_candidate = round(candidate * within)
    assert split_evidence(of_candidate, within - of_candidate, share) >= np.log(1000)
    tenth = within // 10
    assert split_evidence(round(candidate * tenth), tenth - round(candidate * tenth), share) < np.log(1000)


def test_at_an_even_split_both_arms_are_treated_alike() -> None:
    """Too many candidates are as suspicious as too few; none at all are no evidence."""
    assert split_evidence(520, 430, 0.5) == pytest.approx(split_evidence(430, 520, 0.5))
    assert split_evidence(0, 0, 0.3) == pytest.approx(0.0)
    assert split_evidence(5_000_000, 5_000_000, 0.5) < 0


@pytest.mark.parametrize(
    ("candidates", "stables", "share", "fits"),
    [
        pytest.param(0, 0, 0.5, True, id="nobody came"),
        pytest.param(0, 10, 0.5, True, id="ten in a row may all be stable's"),
        pytest.param(0, 40, 0.5, False, id="forty in a row may not"),
        pytest.param(0, 300, 0.01, True, id="at 1 % three hundred may"),
        pytest.param(0, 3000, 0.01, False, id="at 1 % three thousand may not"),
        pytest.param(520, 480, 0.5, True, id="chance"),
        pytest.param(700, 300, 0.5, False, id="twice as many of one arm"),
        pytest.param(100, 0, 0.1, False, id="only the candidate at 10 %"),
    ],
)
def test_a_split_that_was_not_in_force_shows(candidates: int, stables: int, share: float, fits: bool) -> None:  # noqa: FBT001
    """Only what chance alone would hardly ever do is taken for another split."""
    assert fits_share(candidates, stables, share) is fits
