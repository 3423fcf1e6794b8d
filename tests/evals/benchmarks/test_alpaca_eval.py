"""AlpacaEval's win rates, plain and controlled for length."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from softlaunch.evals.benchmarks.alpaca_eval import AnnotationsError, length_controlled, win_rates
from softlaunch.evals.recordings.files import read_rows

MODELS = ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106_concise")


def drawn(seed: int, strength: float, taste: float, n: int = 805) -> tuple[np.ndarray, np.ndarray]:
    """Preferences of a judge who likes longer answers, for a model whose answers are shorter."""
    rng = np.random.default_rng(seed)
    lengths = rng.normal(-600.0, 500.0, n)
    chances = special.expit(strength + taste * np.tanh(lengths / lengths.std()))
    return (rng.random(n) < chances).astype(float), lengths


@pytest.mark.parametrize("strength", [-2.0, -0.5, 0.3])
def test_the_rate_without_length_is_found_again(strength: float) -> None:
    """A model whose short answers cost it wins gets back what they are worth, and the intervals hold it."""
    truth = float(special.expit(strength))
    found = [length_controlled(*drawn(seed, strength, 1.5)) for seed in range(200)]
    covered = sum(rate.lower <= truth <= rate.upper for rate, _ in found)
    assert np.mean([rate.value for rate, _ in found]) == pytest.approx(truth, abs=0.01)
    assert 0.90 <= covered / 200 <= 0.99
    assert np.mean([effect for _, effect in found]) == pytest.approx(1.5, abs=0.15)


def test_where_length_does_not_matter_both_rates_agree() -> None:
    """Nothing is corrected that isn't there."""
    preferences, lengths = drawn(5, -1.0, 0.0)
    rate, effect = length_controlled(preferences, lengths)
    assert rate.value == pytest.approx(preferences.mean(), abs=0.03)
    assert abs(effect) < 0.3


def test_a_model_that_always_wins_has_a_finite_rate() -> None:
    """The fit doesn't run away."""
    rate, _ = length_controlled(np.ones(50), np.linspace(-10, 10, 50))
    assert 0.95 < rate.value <= 1.0


def test_outputs_of_one_length_are_no_problem() -> None:
    """Then there is nothing to control for."""
    rate, effect = length_controlled(np.tile([0.0, 1.0], 50), np.full(100, -7.0))
    assert rate.value == pytest.approx(0.5)
    assert effect == 0.0


def test_annotations_that_can_not_be_read_are_counted() -> None:
    """They are no wins and no losses."""
    row = {"instruction": "?", "output": "long", "reference_output": "x", "preference": 1.5}
    found = win_rates([*[row] * 12, {**row, "preference": None}, {**row, "output": None}])
    assert (found.instructions, found.unreadable, found.draws, found.win_rate.value) == (12, 2, 12, 0.5)


def test_too_few_annotations_make_no_rate() -> None:
    """And neither do those of two models at once."""
    with pytest.raises(AnnotationsError, match="0 of 3 rows can be read"):
        win_rates([{"output": 1}] * 3)
    with pytest.raises(AnnotationsError, match="of 2 models, such as a and b"):
        win_rates([{"generator": "a"}, {"generator": "b"}])


@pytest.mark.realdata
def test_recorded_models_against_gpt_4(realdata: Path) -> None:
    """Win rates as published to a tenth of a point; what the concise prompt loses, it loses by its length."""
    found = {model: win_rates(read_rows(realdata / "alpacaeval" / f"{model}.jsonl.gz")) for model in MODELS}
    plain = {model: round(100 * one.win_rate.value, 1) for model, one in found.items()}
    assert plain == {"gpt-3.5-turbo-0301": 9.6, "gpt-3.5-turbo-1106": 9.2, "gpt-3.5-turbo-1106_concise": 7.4}
    assert all(one.unreadable == 0 and one.instructions == 805 for one in found.values())
    assert all(one.length_controlled.value > one.win_rate.value and one.is_shorter > 0.8 for one in found.values())
    concise, usual = found["gpt-3.5-turbo-1106_concise"], found["gpt-3.5-turbo-1106"]
    assert concise.win_rate.value < usual.win_rate.value
    assert concise.length_controlled.value > usual.length_controlled.value - 0.005
