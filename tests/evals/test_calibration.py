"""Statistical promises of comparisons, measured in both directions."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from softlaunch.evals.statistics import amounts
from softlaunch.evals.statistics.amounts import estimate_amounts
from softlaunch.evals.statistics.paired import Floats, effective_differences, estimate

LEVEL = 0.05
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


def found(stable: Floats, candidate: Floats, level: float = LEVEL) -> tuple[bool, bool]:
    """Whether the candidate is said to be worse, and better, each at half of the level."""
    one = estimate(stable, candidate, np.ones(len(stable)), margin=0.02, level=level)
    return one.p_worse <= level / 2, one.p_better <= level / 2


def test_three_differences_among_thirty_are_three() -> None:
    """Three large ones of one sign come by chance once in four times, however many tiny ones stand beside them."""
    tiny = np.random.default_rng(1).choice([-1e-6, 1e-6], 30)
    change = np.concatenate([[-0.36, -0.40, -0.44], tiny[3:]])
    assert effective_differences(change) < 3.1
    assert found(np.full(30, 0.5), 0.5 + change) == (False, False)


@pytest.mark.parametrize("cases", [10, 100])
def test_the_same_difference_everywhere_is_no_certainty(cases: int) -> None:
    """What so few cases didn't show could lose everything: the bounds are those of the rule of three."""
    one = estimate(np.full(cases, 0.5), np.full(cases, 0.4), np.ones(cases), margin=0.02, level=LEVEL)
    assert one.upper == pytest.approx(0.1 + 0.9 * (1 - LEVEL ** (1 / cases)))
    assert one.lower == pytest.approx(0.1 - 1.1 * (1 - LEVEL ** (1 / cases)))
    assert (one.p_worse <= LEVEL) == (cases == 100)


def preferences(folder: Path, name: str) -> dict[str, float]:
    """Each instruction's chance to win; 0 is how AlpacaEval writes a draw."""
    with gzip.open(folder / "alpacaeval" / f"gpt-3.5-turbo-{name}.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    return {row["instruction"]: row["preference"] - 1 if row["preference"] else 0.5 for row in rows}


@pytest.mark.realdata
@pytest.mark.parametrize("cases", [200, *(pytest.param(n, marks=pytest.mark.long) for n in (30, 50, 100, 400))])
@pytest.mark.parametrize("between", [("0301", "1106"), ("1106", "1106_concise")], ids=["update", "prompt"])
def test_flipped_labels_of_real_pairs_find_nothing(realdata: Path, between: tuple[str, str], cases: int) -> None:
    """Real judgements whose arms are drawn by a coin: either finding in at most 6 % (nominal 5), up to chance."""
    one, other = (preferences(realdata, name) for name in between)
    pairs = np.array([(one[key], other[key]) for key in one.keys() & other.keys()])
    pairs = pairs[np.lexsort(pairs.T)]
    rng, runs, said = np.random.default_rng(cases), 600, 0
    for _ in range(runs):
        drawn = pairs[rng.choice(len(pairs), cases, replace=False)]
        flipped = np.where(rng.random((cases, 1)) < 0.5, drawn[:, ::-1], drawn)
        said += any(found(flipped[:, 0], flipped[:, 1]))
    assert said / runs <= 0.06 + 2 * np.sqrt(0.06 * 0.94 / runs)


@pytest.mark.realdata
def test_a_worse_prompt_is_found(realdata: Path) -> None:
    """1106 to 1106_concise lost 1.8 points on 805 instructions; 0301 to 1106 changed nothing that shows."""
    scores = {name: preferences(realdata, name) for name in ("0301", "1106", "1106_concise")}
    keys = sorted(scores["1106"].keys() & scores["1106_concise"].keys() & scores["0301"].keys())
    old, now, concise = (np.array([scores[name][key] for key in keys]) for name in scores)
    assert found(now, concise) == (True, False)
    assert found(old, now) == (False, False)


def sparse(share: float) -> Draw:
    """Most cases agree; a few lose a little, some or nearly all."""

    def draw(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        stable = np.full(cases, 0.8)
        lost = rng.choice([0.1, 0.3, 0.8], cases, p=[0.5, 0.3, 0.2])
        return stable, np.where(rng.random(cases) < share, stable - lost, stable)

    return draw


def skewed(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """Every case loses, most a little."""
    return np.ones(cases), 1 - np.minimum(rng.exponential(0.06, cases), 1)


def heavy(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """Losses with a heavy tail."""
    return np.full(cases, 0.9), 0.9 - np.minimum(rng.pareto(1.6, cases) * 0.02, 0.9)


def repeated(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """Three repeats of right or wrong, cases of different difficulty."""
    chance = rng.beta(2.5, 0.5, cases)
    return rng.binomial(3, chance) / 3, rng.binomial(3, chance * 0.95) / 3


def constant(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """Every case loses the same."""
    return np.full(cases, 0.5), np.full(cases, 0.4)


@pytest.mark.long
@pytest.mark.parametrize("cases", [30, 100, 300, 1000])
@pytest.mark.parametrize("draw", [sparse(0.03), sparse(0.3), skewed, heavy, repeated, constant])
def test_each_bound_of_a_score_holds_as_often_as_it_says(draw: Draw, cases: int) -> None:
    """Nominal 95 %: at least 93 %, up to chance; at most 98 % from 300 cases on, where a t test is used throughout."""
    rng, runs = np.random.default_rng(cases), 600
    truth = float(np.mean(np.subtract(*draw(rng, 1_000_000))))
    held = np.zeros(2)
    dense = True
    for _ in range(runs):
        one = estimate(*draw(rng, cases), np.ones(cases), margin=0.02, level=LEVEL)
        held += (one.lower <= truth + 1e-9, one.upper >= truth - 1e-9)
        dense = dense and one.method.startswith("paired t")
    assert (held / runs >= 0.93 - 2 * np.sqrt(0.07 * 0.93 / runs)).all()
    if dense and cases >= 300:
        assert (held / runs <= 0.98 + 2 * np.sqrt(0.02 * 0.98 / runs)).all()


def lognormal(stable_noise: float, candidate_noise: float) -> Draw:
    """Amounts of cases of different size, ten percent more at the median, each arm with its noise."""

    def draw(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        usual = rng.lognormal(0, 0.7, cases)
        return (
            usual * rng.lognormal(0, stable_noise, cases),
            1.1 * usual * rng.lognormal(0, candidate_noise, cases),
        )

    return draw


def pareto(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """Amounts whose mean is made by a few of them."""
    usual = 1 + rng.pareto(1.3, cases)
    return usual * rng.lognormal(0, 0.3, cases), 1.1 * usual * rng.lognormal(0, 0.3, cases)


@pytest.mark.parametrize("cases", [40, *(pytest.param(n, marks=pytest.mark.long) for n in (300, 1000))])
@pytest.mark.parametrize(
    "draw", [lognormal(0.3, 0.3), lognormal(0.8, 0.1), pareto], ids=["alike", "other noise", "heavy"]
)
def test_each_bound_of_an_amount_holds_as_often_as_it_says(draw: Draw, cases: int) -> None:
    """The median change of a case is 10 %: each one-sided 95 % bound holds in 93 to 97 % of samples, up to chance."""
    rng, runs = np.random.default_rng(cases), 400
    held = np.zeros(2)
    for _ in range(runs):
        one = estimate_amounts(*draw(rng, cases), np.ones(cases), margin=0.05, level=LEVEL)
        assert one is not None
        if one.what.startswith("median"):
            held += (one.estimate.lower <= 0.1, one.estimate.upper >= 0.1)
        else:
            held += 1  # harm is at the tail: another claim
    assert (held / runs >= 0.93 - 2 * np.sqrt(0.07 * 0.93 / runs)).all()
    assert (held / runs <= 0.97 + 2.5 * np.sqrt(0.05 * 0.95 / runs)).all()


def test_nine_in_ten_slower_is_slower_whatever_the_mean_says() -> None:
    """Stable's few stalls of half a minute hide it from the mean."""
    rng = np.random.default_rng(3)
    base = rng.lognormal(-1, 0.3, 1500)
    stable = np.where(rng.random(1500) < 0.03, 30.0, base)
    candidate = base * np.where(rng.random(1500) < 0.91, 2.0, 0.9)
    one = estimate_amounts(stable, candidate, np.ones(1500), margin=0.1, level=LEVEL)
    assert one is not None
    assert candidate.mean() < stable.mean()
    assert one.estimate.p_beyond <= LEVEL
    assert one.estimate.lower <= one.estimate.harm <= one.estimate.upper
    assert one.beside[0].name == "mean"
    assert one.beside[0].stable == pytest.approx(stable.mean())


def test_a_few_runaways_are_no_pass() -> None:
    """The median is the same and the mean is not: a person has to decide."""
    candidate = np.full(200, 0.01)
    candidate[:5] = 0.5
    one = estimate_amounts(np.full(200, 0.01), candidate, np.ones(200), margin=0.1, level=LEVEL)
    assert one is not None
    assert one.doubts == ("the mean is 123 % worse",)


def of_stalls(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """One call in ten takes five times as long, the candidate's six times."""
    usual, now = rng.lognormal(0, 0.4, (2, cases)) * np.where(rng.random((2, cases)) < 0.1, [[5.0], [6.0]], 1.0)
    return usual, now


def of_pareto(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """A tail so heavy that there is no variance, and the candidate a fifth slower."""
    return rng.pareto(1.5, cases) + 1, 1.2 * (rng.pareto(1.5, cases) + 1)


def of_alike_cases(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """What is slow in one arm is slow in the other."""
    long = rng.lognormal(0, 1, cases)
    return long * rng.lognormal(0, 0.3, cases), 1.2 * long * rng.lognormal(0, 0.3, cases)


def of_another_spread(rng: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
    """The same median, and the candidate's amounts twice as far apart."""
    return rng.lognormal(0, 0.4, cases), rng.lognormal(0, 0.8, cases)


@pytest.mark.long
@pytest.mark.parametrize("cases", [100, 300, 1000])
@pytest.mark.parametrize("draw", [of_stalls, of_pareto, of_alike_cases, of_another_spread])
def test_bounds_of_the_95th_percentile_hold(draw: Draw, cases: int) -> None:
    """Each one-sided 95 % bound holds in at least 95 % of samples, up to chance, whether or not the tail decides."""
    rng = np.random.default_rng(cases)
    stable, candidate = draw(rng, 4_000_000)
    truth = np.quantile(candidate, 0.95) / np.quantile(stable, 0.95) - 1
    runs, held = 600, np.zeros(2)
    for _ in range(runs):
        given = amounts._Amounts(*draw(rng, cases), np.ones(cases), 0.1, LEVEL, 1.0)
        one = amounts._of_tail(given)
        assert one is not None
        held += one.lower <= truth, truth <= one.upper
    assert (held / runs >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / runs)).all()


@pytest.mark.parametrize("cases", [30, pytest.param(45, id="45")])
def test_a_tail_of_few_cases_is_not_bounded(cases: int) -> None:
    """One or two of them are beyond the 95th percentile, and could be anything."""
    stable, candidate = of_pareto(np.random.default_rng(1), cases)
    one = amounts._of_tail(amounts._Amounts(stable, candidate, np.ones(cases), 0.1, LEVEL, 1.0))
    assert one is not None
    assert one.upper > 3


def test_a_tail_that_gets_slower_is_seen() -> None:
    """One case in ten takes five times as long: the median is steady, the 95th percentile decides."""
    rng = np.random.default_rng(8)
    stable = rng.lognormal(0, 0.2, 1000)
    candidate = stable * rng.lognormal(0, 0.02, 1000) * np.where(rng.random(1000) < 0.1, 5.0, 1.0)
    one = estimate_amounts(stable, candidate, np.ones(1000), margin=0.1, level=LEVEL)
    assert one is not None
    assert one.what == "95th percentile"
    assert one.estimate.p_beyond <= LEVEL
    assert one.candidate > 2 * one.stable


def test_milliseconds_beside_seconds_are_said() -> None:
    """An arm that is a thousand times the other is in another unit."""
    rng = np.random.default_rng(8)
    seconds = rng.lognormal(0, 0.2, 100)
    for stable, candidate in ((seconds, 1000 * seconds), (1000 * seconds, seconds)):
        one = estimate_amounts(stable, candidate, np.ones(100), margin=0.1, level=LEVEL)
        assert one is not None
        assert one.other_unit
