"""Agreement of a judge with people: the figures of textbooks, and intervals that hold what they promise."""

from collections import Counter

import numpy as np
import pytest

from softlaunch.evals.judges.agreement import agreement_of, among_people, cohens_kappa, majority, position_bias, share


def test_kappa_of_a_table_by_hand() -> None:
    """70 % agreement where chance gives 50 % is 0.4."""
    table = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    kappa = cohens_kappa(table)
    assert kappa is not None
    assert kappa.value == pytest.approx(0.4)


def test_the_interval_of_kappa_is_that_of_fleiss_cohen_and_everitt() -> None:
    """Their own example of 1969: kappa 0.429, variance 0.002885 by the unweighted formula, 200 items."""
    cells = [[0.53, 0.05, 0.02], [0.11, 0.14, 0.05], [0.01, 0.06, 0.03]]
    table = {(str(row), str(column)): round(200 * cells[row][column]) for row in range(3) for column in range(3)}
    kappa = cohens_kappa(table)
    assert kappa is not None
    assert kappa.value == pytest.approx(0.429, abs=5e-4)
    error = (kappa.upper - kappa.lower) / 2 / 1.959964
    assert error**2 == pytest.approx(0.002885, abs=5e-5)


def test_kappa_of_one_category_is_unknown() -> None:
    """Where everything is alike, agreement says nothing about the judge."""
    assert cohens_kappa({("yes", "yes"): 50}) is None


@pytest.mark.parametrize("right", [0.6, 0.8, 0.95])
def test_the_interval_of_kappa_covers_what_it_should(right: float) -> None:
    """Over 600 seeded samples of 200 items the 95 % interval holds the true kappa in 92 to 98 of 100."""
    rng = np.random.default_rng(7)
    names = np.array(["first", "second", "tie"])
    shares = np.array([0.45, 0.4, 0.15])
    cells = np.outer(shares, shares) * (1 - right) + np.diag(shares) * right  # rights beyond chance: kappa is `right`
    covered = 0
    for _ in range(600):
        drawn = rng.multinomial(200, cells.ravel() / cells.sum()).reshape(3, 3)
        table = {(names[row], names[column]): int(drawn[row, column]) for row in range(3) for column in range(3)}
        kappa = cohens_kappa(table)
        covered += kappa is not None and kappa.lower <= right <= kappa.upper
    assert 0.92 <= covered / 600 <= 0.98


def test_what_can_not_be_read_is_a_disagreement() -> None:
    """It is counted, and lowers agreement and kappa."""
    read = agreement_of([("yes", "yes"), ("no", "no")] * 10)
    with_nonsense = agreement_of([("yes", "yes"), ("no", "no")] * 10 + [("yes", None)] * 5)
    assert (read.unreadable, with_nonsense.unreadable, with_nonsense.items) == (0, 5, 25)
    assert with_nonsense.agreement.value == pytest.approx(0.8)
    assert read.kappa is not None
    assert with_nonsense.kappa is not None
    assert with_nonsense.kappa.value < read.kappa.value == 1.0


@pytest.mark.parametrize(
    ("votes", "chosen"),
    [
        pytest.param(["a", "a", "b"], "a", id="two of three"),
        pytest.param(["a"], "a", id="one person"),
        pytest.param(["a", "b"], "tie", id="split"),
        pytest.param(["a", "b", "c"], "tie", id="three ways"),
        pytest.param([], None, id="nobody"),
    ],
)
def test_majority(votes: list[str], chosen: str | None) -> None:
    """More than anything else, or a tie where there is such a thing."""
    assert majority(votes, "tie") == chosen


def test_people_among_themselves() -> None:
    """The mean kappa over pairs of people; one person has nobody to agree with."""
    assert among_people([("a", "a"), ("b", "b")] * 5) == 1.0
    assert among_people([("a",), ("b",)]) is None


def test_a_judge_without_bias_has_none() -> None:
    """Its interval holds zero."""
    people = ["first", "second"] * 100
    bias = position_bias([(one, one) for one in people], "first", "second")
    assert bias is not None
    assert (bias.bias.value, bias.first, bias.second) == (0.0, 100, 100)


def test_position_bias_is_told_from_what_people_prefer() -> None:
    """A judge that picks the first answer of 30 % of the pairs, whatever it says, is 15 points off, give or take."""
    rng = np.random.default_rng(3)
    people = rng.choice(["first", "second"], 2000)
    judge = np.where(rng.random(2000) < 0.3, "first", people)
    bias = position_bias(list(zip(people, judge, strict=True)), "first", "second")
    assert bias is not None
    assert bias.bias.lower > 0.1
    assert bias.bias.lower < 0.15 < bias.bias.upper


def test_verdicts_in_both_orders_show_how_often_they_agree() -> None:
    """What can't be read in an order is left out."""
    orders = [("first", "first"), ("first", "second"), ("second", "second"), (None, "first")]
    bias = position_bias([("first", "first")], "first", "second", orders)
    assert bias is not None
    assert bias.consistent is not None
    assert bias.consistent.value == pytest.approx(2 / 3)


def test_the_interval_of_a_share_never_leaves_its_range() -> None:
    """Even where all or none agree, and is not a point."""
    assert share(0, 10).lower == 0.0
    assert 0 < share(0, 10).upper < 1
    assert share(10, 10).upper == pytest.approx(1.0)


def test_tables_count_people_first() -> None:
    """Rows are people's categories, columns the judge's."""
    assert agreement_of([("yes", "no")]).table == Counter({("yes", "no"): 1})
