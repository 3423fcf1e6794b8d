"""AlpacaEval's judged pairs as outcomes of A/B tests: the same 805 instructions under two variants."""

from pathlib import Path

import numpy as np
import pytest

from softlaunch.ab.analysis import Analysis
from softlaunch.ab.conclusion import Choice, Conclusion, TooFewPairsError, conclude_pairs
from softlaunch.evals.recordings.files import read_rows
from softlaunch.policy.ab import AbPolicy


def concluded(folder: Path, a: str, b: str) -> tuple[Analysis, Conclusion]:
    """B against A by the judge's preference over the reference, paired by instruction."""
    sides = [
        {row["instruction"]: row["preference"] - 1 for row in read_rows(folder / "alpacaeval" / f"{name}.jsonl.gz")}
        for name in (a, b)
    ]
    both = sorted(sides[0].keys() & sides[1].keys())
    of_a, of_b = (np.array([side[one] for one in both]) for side in sides)
    return conclude_pairs(of_a, of_b, AbPolicy())


@pytest.mark.realdata
def test_a_provider_update_that_changes_nothing_measurable(realdata: Path) -> None:
    """0301 to 1106: -0.4 points, t = -0.5. Not told apart, and shown to be equal within two points."""
    analysis, conclusion = concluded(realdata, "gpt-3.5-turbo-0301", "gpt-3.5-turbo-1106")
    difference = analysis.metrics[0].difference
    assert difference.units == (805, 805)
    assert difference.value * 100 == pytest.approx(-0.4, abs=0.05)
    assert difference.value / difference.error == pytest.approx(-0.5, abs=0.05)
    assert conclusion.choice is Choice.EITHER


@pytest.mark.realdata
def test_a_prompt_change_that_makes_it_worse(realdata: Path) -> None:
    """1106 to its concise prompt: -1.8 points, t = -2.7. A stays."""
    analysis, conclusion = concluded(realdata, "gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106_concise")
    difference = analysis.metrics[0].difference
    assert difference.value * 100 == pytest.approx(-1.8, abs=0.05)
    assert difference.value / difference.error == pytest.approx(-2.7, abs=0.05)
    assert conclusion.choice is Choice.A
    assert conclusion.reason.startswith("A is better: quality -1.8 points")


def test_a_handful_of_pairs_is_refused() -> None:
    """Nothing follows from nineteen."""
    with pytest.raises(TooFewPairsError, match="19 questions"):
        conclude_pairs(np.zeros(19), np.ones(19), AbPolicy())
