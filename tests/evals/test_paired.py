"""Bounds of harm: right where they can be computed by hand, and as often wrong as they say."""

from collections.abc import Callable

import numpy as np
import pytest

from softlaunch.evals.statistics.multiplicity import holm, level_of_a_look
from softlaunch.evals.statistics.paired import Floats, PairedEstimate, estimate

LEVEL = 0.05
MARGIN = 0.02
RUNS = 500


def binary(lost: int, won: int, right: int, wrong: int) -> tuple[Floats, Floats]:
    """Right or wrong per case in both arms, from the four cells of the paired table."""
    stable = np.repeat([1.0, 0.0, 1.0, 0.0], [lost, won, right, wrong])
    candidate = np.repeat([0.0, 1.0, 1.0, 0.0], [lost, won, right, wrong])
    return stable, candidate


def judge(stable: Floats, candidate: Floats, weights: Floats | None = None, *, level: float = LEVEL) -> PairedEstimate:
    """The estimate with the margin of this module, unweighted unless weights are given."""
    return estimate(stable, candidate, np.ones(len(stable)) if weights is None else weights, margin=MARGIN, level=level)


@pytest.mark.parametrize(("lost", "won"), [(12, 2), (3, 0), (5, 5), (30, 12)])
def test_score_interval_ends_where_the_likelihood_says(lost: int, won: int) -> None:
    """At each end of the interval the score statistic, from a likelihood maximised by brute force, is the quantile."""
    cases = 100
    found = judge(*binary(lost, won, right=cases - lost - won, wrong=0), level=0.025)
    for bound in (found.lower, found.upper):
        share_won = np.linspace(max(0.0, -bound), (1 - bound) / 2, 400_001)[1:-1]
        likelihood = (
            lost * np.log(share_won + bound)
            + (won * np.log(share_won) if won else 0)
            + (cases - lost - won) * np.log(1 - 2 * share_won - bound)
        )
        best = share_won[np.argmax(likelihood)]
        statistic = (lost - won - cases * bound) / np.sqrt(cases * (2 * best + bound - bound**2))
        assert abs(statistic) == pytest.approx(1.95996, abs=2e-3)


@pytest.mark.parametrize(
    ("lost", "won", "right", "verdict"),
    [
        pytest.param(2, 0, 168, "neither", id="85 % to 84 %, only losses"),
        pytest.param(12, 10, 158, "neither", id="85 % to 84 %, answers that vary"),
        pytest.param(20, 0, 150, "beyond", id="85 % to 75 %, only losses"),
        pytest.param(25, 5, 145, "beyond", id="85 % to 75 %, some gains"),
        pytest.param(50, 30, 120, "beyond", id="85 % to 75 %, as different as they can be"),
        pytest.param(0, 0, 170, "within", id="85 % to 85 %, the same answers"),
    ],
)
def test_two_hundred_cases(lost: int, won: int, right: int, verdict: str) -> None:
    """One point on 200 cases may be noise; ten points are not, however the losses fall."""
    found = judge(*binary(lost, won, right, 200 - lost - won - right))
    shown = "beyond" if found.p_beyond <= LEVEL else "within" if found.p_within <= LEVEL else "neither"
    assert shown == verdict


@pytest.mark.parametrize("cases", [1, 5, 30, 149])
def test_equal_answers_on_few_cases_prove_little(cases: int) -> None:
    """Without any difference the upper bound is about 3/n, not zero: 149 cases are needed for two points."""
    found = judge(np.ones(cases), np.ones(cases))
    assert found.upper == pytest.approx(1 - LEVEL ** (1 / cases))
    assert (found.p_within <= LEVEL) == (cases >= 149)
    assert found.minimum_detectable > 0


def test_weights_move_the_estimate_and_widen_the_bound() -> None:
    """A case of weight 3 counts three times, and what could hide in heavy cases counts, too."""
    stable, candidate = binary(lost=1, won=0, right=199, wrong=0)
    heavy = np.r_[3.0, np.ones(199)]
    assert judge(stable, candidate, heavy).harm == pytest.approx(3 / 202)
    assert judge(stable, stable, heavy).upper == pytest.approx(3 * 200 / 202 * (1 - LEVEL ** (1 / 200)))


def test_turning_the_arms_round_turns_the_bounds_round() -> None:
    """The candidate's harm is stable's gain."""
    rng = np.random.default_rng(5)
    for repeats in (1, 3):
        stable, candidate = rng.binomial(repeats, 0.8, (2, 60)) / repeats
        there, back = judge(stable, candidate), judge(candidate, stable)
        assert there.upper == pytest.approx(-back.lower, abs=1e-6)


def sparse(loss: float, repeats: int, noise: float) -> Callable[[np.random.Generator, int], tuple[Floats, Floats]]:
    """A few cases lost for good; all others right up to a little noise."""

    def draw(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        stable, candidate = 1 - rng.binomial(repeats, noise, (2, cases)) / repeats
        return stable, np.where(rng.random(cases) < loss / (1 - noise), 0.0, candidate)

    return draw


def varied(loss: float, repeats: int) -> Callable[[np.random.Generator, int], tuple[Floats, Floats]]:
    """Cases of different difficulty; the candidate's chance is lower by the same factor everywhere."""

    def draw(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        chance = rng.beta(2.55, 0.45, cases)
        stable = rng.binomial(repeats, chance) / repeats
        return stable, rng.binomial(repeats, chance * (1 - loss / 0.85)) / repeats

    return draw


@pytest.mark.parametrize(
    ("draw", "cases"),
    [
        pytest.param(varied(MARGIN, 1), 200, id="one repeat, 200 cases"),
        pytest.param(varied(MARGIN, 1), 50, id="one repeat, 50 cases"),
        pytest.param(varied(MARGIN, 3), 200, id="three repeats, 200 cases"),
        pytest.param(varied(MARGIN, 3), 50, id="three repeats, 50 cases"),
        pytest.param(sparse(MARGIN, 1, 0.0), 200, id="answers that never vary"),
        pytest.param(sparse(MARGIN, 3, 0.02), 200, id="rare total losses under a little noise"),
        pytest.param(sparse(MARGIN, 3, 0.003), 200, id="rare total losses, hardly any noise", marks=pytest.mark.long),
    ],
)
def test_at_the_margin_both_claims_are_rare(
    draw: Callable[[np.random.Generator, int], tuple[Floats, Floats]], cases: int
) -> None:
    """Harm of exactly the tolerance passes in at most 5 % of 500 runs, and fails in at most 5 % (up to chance)."""
    rng = np.random.default_rng(2026)
    found = [judge(*draw(rng, cases)) for _ in range(RUNS)]
    within = sum(one.p_within <= LEVEL for one in found)
    beyond = sum(one.p_beyond <= LEVEL for one in found)
    limit = RUNS * LEVEL + 3 * np.sqrt(RUNS * LEVEL * (1 - LEVEL))
    assert within <= limit
    assert beyond <= limit


def test_no_harm_fails_almost_never_and_much_harm_nearly_always() -> None:
    """200 cases, three repeats: no change is rejected in under 2 % of runs; ten points in over 90 %, passed in none."""
    rng = np.random.default_rng(7)
    same = [judge(*varied(0.0, 3)(rng, 200)) for _ in range(RUNS)]
    worse = [judge(*varied(0.10, 3)(rng, 200)) for _ in range(RUNS)]
    assert np.mean([one.p_beyond <= LEVEL for one in same]) < 0.02
    assert np.mean([one.p_beyond <= LEVEL for one in worse]) > 0.9
    assert not any(one.p_within <= LEVEL for one in worse)


@pytest.mark.long
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("cases", [3, 20, 150])
def test_bounds_and_p_values_agree(cases: int, repeats: int) -> None:
    """A p-value is below the level exactly where its bound is on the right side of the margin."""
    rng = np.random.default_rng(cases * repeats)
    for _ in range(50):
        chance = rng.random()
        stable, candidate = rng.binomial(repeats, chance, (2, cases)) / repeats
        found = judge(stable, candidate, rng.choice([1.0, 2.0], cases))
        assert -1 <= found.lower <= found.harm <= found.upper <= 1
        if abs(found.upper - MARGIN) > 1e-6:
            assert (found.p_within <= LEVEL) == (found.upper <= MARGIN)
        if abs(found.lower - MARGIN) > 1e-6:
            assert (found.p_beyond <= LEVEL) == (found.lower >= MARGIN)


def test_holm_adjusts_step_by_step() -> None:
    """The smallest p-value is multiplied by the number of claims, the next by one less, and the order is kept."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"only": 0.04}) == {"only": 0.04}


def test_two_looks_together_keep_the_level() -> None:
    """With half of the data at the first look each is judged at 3.04 %, as in Pocock's table for 5 % one-sided."""
    assert level_of_a_look(0.05, 0.5) == pytest.approx(0.0304, abs=2e-4)
    assert level_of_a_look(0.05, 1.0) == 0.05
