"""What evals that stop early promise, by the simulation of the benchmark, in both directions."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evals.early_stop_tables import Cell, errors_table, measure, power_table
from benchmarks.evals.simulation import World, decide
from tests.evals.test_calibration import preferences

LEVEL = 0.05


def most(share: float, runs: int) -> float:
    """A share, and two standard errors of it."""
    return share + 2 * float(np.sqrt(share * (1 - share) / runs))


@pytest.mark.parametrize(
    ("cases", "runs"),
    [
        pytest.param(60, 30, id="60 cases"),
        *(pytest.param(cases, 200, id=f"{cases} cases", marks=pytest.mark.long) for cases in (100, 300)),
    ],
)
def test_at_the_margin_both_claims_are_made_as_seldom_as_stated(cases: int, runs: int) -> None:
    """Whatever the bets, looks and repeats: each is wrong there, in at most 5 %, up to chance."""
    found = measure(World(cases, 0.02, 0.02, 0.15, 0.6), runs, 1)
    assert found.worse / runs <= most(LEVEL, runs)
    assert found.good / runs <= most(LEVEL, runs)


def test_plain_harm_takes_a_part_of_the_calls() -> None:
    """Twenty points, 300 cases: decided rightly in every run, in at most a quarter of the calls."""
    found = measure(World(300, 0.2, 0.02, 0.25, 0.6), 8, 2)
    assert (found.worse, found.worse_in_full) == (8, 8)
    assert found.share <= 0.25


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("world", "share"),
    [
        pytest.param(World(1000, 0.2, 0.02, 0.25, 0.6), 0.10, id="20 points worse, 1,000 cases"),
        pytest.param(World(1000, 0.2, 0.02, 0.25, 0.6, repeats=1), 0.10, id="20 points worse, asked once"),
        pytest.param(World(1000, 0.0, 0.05, 0.25, 0.6), 0.60, id="equal at a margin of 5 points"),
    ],
)
def test_what_is_saved_of_a_thousand_cases(world: World, share: float) -> None:
    """The targets of evals that stop early."""
    found = measure(world, 30, 3)
    assert found.share <= share
    assert found.loss <= 0.03 + 2 / np.sqrt(30) * 0.2


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("harm", "margin"), [(0.06, 0.02), (0.0, 0.05)], ids=["worse", "equal"])
def test_little_power_is_lost(harm: float, margin: float) -> None:
    """Where the full design finds most of them and not all: at most three points less, up to chance."""
    runs = 150
    found = measure(World(300, harm, margin, 0.25, 0.6), runs, 4)
    assert found.loss <= most(0.03, runs)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("between", "cases"),
    [
        *(pytest.param(("0301", "1106"), cases, id=f"update-{cases}") for cases in (30, 100, 400)),
        *(pytest.param(("1106", "1106_concise"), cases, id=f"prompt-{cases}") for cases in (50, 200)),
    ],
)
def test_flipped_labels_of_real_pairs_decide_nothing(realdata: Path, between: tuple[str, str], cases: int) -> None:
    """Real judgements whose arms are drawn by a coin: worse or better is claimed in at most 6 % (nominal 5)."""
    runs = 300
    one, other = (preferences(realdata, name) for name in between)
    pairs = np.array([(one[key], other[key]) for key in sorted(one.keys() & other.keys())])
    rng, said = np.random.default_rng(cases), 0
    for _ in range(runs):
        drawn = pairs[rng.choice(len(pairs), cases, replace=False)]
        flipped = np.where(rng.random((cases, 1)) < 0.5, drawn[:, ::-1], drawn)
        said += decide(flipped[:, :1], flipped[:, 1:], 0.0, LEVEL / 2)[0] != 0
    assert said / runs <= most(0.06, runs)


def test_tables_say_what_was_measured() -> None:
    """Error rates with their exact bounds, and power beside the full design."""
    null = Cell(World(100, 0.02, 0.02, 0.15, 0.6), 200, 6, 8, 9, 9, 0.99)
    harm = Cell(World(300, 0.2, 0.02, 0.25, 0.6), 200, 198, 0, 200, 0, 0.1)
    rows = list(
        errors_table(
            [
                Cell(World(n, 0.02, 0.02, 0.15, 0.6, graded), 200, 6, 8, 9, 9, 0.99)
                for n in (100, 300, 1000)
                for graded in (False, True)
            ]
        )
    )
    assert rows[2] == "| 100 | right or wrong | 1 x 200 | 3.0% [1.1%, 6.4%] | 4.0% [1.7%, 7.7%] | 4.0% |"
    assert list(power_table([harm]))[-1] == "| -20, 2 | 300 | 3 | right or wrong | 25% | 99% | 100% | +1.0 | 10% |"
    assert null.loss == pytest.approx(0.005)
    assert harm.loss == pytest.approx(0.01)
