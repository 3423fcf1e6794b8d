"""Prediction-powered estimates, against the definitions of the paper and their reference implementation."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.gates.observations import Floats
from softlaunch.gates.prediction_powered import Pairs, Sample, Spread, difference

ROOT = Path(__file__).parents[2]
_REFERENCE = """
import json, sys
import numpy as np
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
found = []
for ratings, scores, others, slope in json.load(sys.stdin):
    of = (np.array(ratings), np.array(scores), np.array(others))
    low, high = ppi_mean_ci(*of, alpha=0.05, lam=slope)
    found.append([float(np.squeeze(one)) for one in (ppi_mean_pointestimate(*of, lam=slope), low, high)])
print(json.dumps(found))
"""


def drawn(seed: int, ratings: int, others: int, agreement: float) -> tuple[Floats, Floats, Floats]:
    """Ratings, the scores of their answers, and scores of other answers."""
    rng = np.random.default_rng(seed)
    truth = rng.random(ratings + others) < 0.8
    scores = np.where(rng.random(len(truth)) < agreement, truth, rng.random(len(truth)) < 0.8).astype(np.float64)
    return truth[:ratings].astype(np.float64), scores[:ratings], scores[ratings:]


def sample(ratings: Floats, scores: Floats, others: Floats, unscored: Floats | None = None) -> Sample:
    """What is known of an arm; `unscored` are ratings of answers that weren't scored."""
    made = Sample(Spread(), Pairs.none(), Spread())
    made.ratings.add(ratings if unscored is None else np.concatenate([ratings, unscored]))
    made.others.add(others)
    for score, rating in zip(scores.tolist(), ratings.tolist(), strict=True):
        made.pairs.add(score, rating)
    return made


@pytest.mark.parametrize("agreement", [0.0, 0.3, 0.7, 1.0])
def test_the_estimate_is_that_of_the_paper(agreement: float) -> None:
    """The mean is the scores' over other answers plus what they are off, and its variance the sum of both parts'."""
    ratings, scores, others = drawn(1, 200, 3000, agreement)
    one = sample(ratings, scores, others)
    slope = one.slope
    mean, variance = one.mean(slope)
    assert mean == pytest.approx(slope * others.mean() + (ratings - slope * scores).mean(), abs=1e-12)
    assert variance == pytest.approx((slope**2 * others.var()) / 3000 + (ratings - slope * scores).var() / 200)
    assert variance <= ratings.var() / 200 * (1 + 1e-9)


def test_no_other_slope_gives_a_smaller_variance() -> None:
    """The slope is the best for the sums that it is chosen by, but for the scores' variance over both kinds."""
    one = sample(*drawn(2, 400, 1600, 0.6))
    best = one.mean(one.slope)[1]
    assert all(best <= one.mean(one.slope + off)[1] * 1.001 for off in (-0.2, -0.05, 0.05, 0.2))


def test_ratings_without_a_score_enter_as_they_are() -> None:
    """The estimate is the mean of ratings of which those with a score were corrected by the regression."""
    ratings, scores, others = drawn(3, 150, 2000, 0.7)
    unscored = (np.random.default_rng(4).random(350) < 0.8).astype(np.float64)
    mean, _ = sample(ratings, scores, others, unscored).mean(0.5)
    corrected = ratings - 0.5 * (scores - others.mean())
    assert mean == pytest.approx(np.concatenate([corrected, unscored]).mean(), abs=1e-12)


def test_intervals_hold_at_their_level() -> None:
    """The interval of a difference covers the truth in about 95 % of samples, however the judge is biased by arm."""
    covered = 0
    for seed in range(400):
        ratings, scores, others = drawn(1000 + seed, 200, 2000, 0.6)
        liked = np.random.default_rng(seed).random(2200) < 0.3
        candidate = sample(ratings, np.maximum(scores, liked[:200]), np.maximum(others, liked[200:]))
        found = difference(ByArm(candidate, sample(*drawn(5000 + seed, 200, 2000, 0.6))), powered=True)
        assert found is not None
        covered += found.lower <= 0 <= found.upper
    assert 0.92 <= covered / 400 <= 0.98


def test_few_ratings_are_no_estimate() -> None:
    """With under twenty ratings in an arm nothing is said."""
    arms = ByArm(sample(*drawn(6, 19, 500, 0.7)), sample(*drawn(7, 300, 500, 0.7)))
    assert difference(arms, powered=True) is None
    assert difference(arms, powered=False) is None


def test_what_was_dumped_is_what_is_loaded() -> None:
    """Pairs survive JSON."""
    pairs = sample(*drawn(8, 50, 10, 0.5)).pairs
    again = Pairs.load(json.loads(json.dumps(pairs.dump())))
    assert again.dump() == pairs.dump()
    assert again.codeviations == pytest.approx(pairs.codeviations)


@pytest.mark.long
def test_the_reference_implementation_says_the_same() -> None:
    """Means, tuned slopes, intervals, and the difference of two arms, are those of ppi-python to nine digits."""
    python = ROOT / ".venv-ppi" / "bin" / "python"
    if not python.exists():
        pytest.skip("ppi-python isn't installed: make ppi")
    arms = [drawn(10, 120, 4000, 0.3), drawn(11, 300, 900, 0.7), drawn(12, 500, 500, 0.9)]
    asked = [[*(one.tolist() for one in arm), slope] for arm in arms for slope in (None, 0.0, 1.0)]
    said = subprocess.run(
        [python, "-c", _REFERENCE], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    reference = np.array(json.loads(said.stdout)).reshape(3, 3, 3)
    ours = [sample(*arm) for arm in arms]
    for one, of_reference in zip(ours, reference, strict=True):
        for slope, (mean, low, high) in zip((one.slope, 0.0, 1.0), of_reference, strict=True):
            value, variance = one.mean(slope)
            assert value == pytest.approx(mean, abs=1e-9)
            assert 1.959963984540054 * np.sqrt(variance) == pytest.approx((high - low) / 2, abs=1e-9)
    both = difference(ByArm(ours[0], ours[1]), powered=True)
    assert both is not None
    halves = [(high - low) / 2 for _, low, high in reference[:2, 0]]
    assert both.value == pytest.approx(reference[0, 0, 0] - reference[1, 0, 0], abs=1e-9)
    assert (both.upper - both.lower) / 2 == pytest.approx(np.hypot(*halves), abs=1e-9)
