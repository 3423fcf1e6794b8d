"""Model profiles: their distributions, their file, and the built-in ones."""

import random
import statistics
from pathlib import Path

import pytest

from softlaunch.core.errors import SoftlaunchError
from softlaunch.simulator.profiles import Latency, Load, OutputTokens, builtin_profiles, read_profiles

PUBLISHED = {
    "gpt-3.5-turbo-0301": (0.517, 6.0, 14.1, 0.00052),
    "gpt-3.5-turbo-0613": (0.681, 8.8, 35.3, 0.00066),
    "gpt-4-0314": (0.840, 6.7, 21.5, 0.01383),
    "gpt-4-0613": (0.502, 1.5, 12.4, 0.00107),
}
PRIME_QUESTION_TOKENS = 31


def test_latencies_have_the_percentiles_they_were_given() -> None:
    """Half of the draws exceed p50, and a twentieth p95."""
    rng = random.Random(1)
    draws = [Latency(p50_s=1.5, p95_s=12.4).draw(rng) for _ in range(20_000)]
    assert statistics.median(draws) == pytest.approx(1.5, rel=0.05)
    assert statistics.quantiles(draws, n=20)[-1] == pytest.approx(12.4, rel=0.08)


def test_output_tokens_have_the_mean_they_were_given() -> None:
    """The mean decides the cost, so it is the mean that is set."""
    rng = random.Random(1)
    draws = [OutputTokens(mean=215, spread=0.6).draw(rng) for _ in range(20_000)]
    assert statistics.mean(draws) == pytest.approx(215, rel=0.03)
    assert min(draws) >= 1


@pytest.mark.parametrize(
    ("arrival_rps", "factor"),
    [
        pytest.param(0.0, 1.0, id="idle"),
        pytest.param(10.0, 1.0, id="at capacity"),
        pytest.param(15.0, 3.0, id="halfway to saturation"),
        pytest.param(20.0, 5.0, id="saturated"),
        pytest.param(500.0, 5.0, id="far beyond"),
    ],
)
def test_a_loaded_model_slows_down(arrival_rps: float, factor: float) -> None:
    """Latency grows evenly from capacity to saturation and no further."""
    assert Load(capacity_rps=10, saturated_rps=20, slowdown=5).factor(arrival_rps) == pytest.approx(factor)


@pytest.mark.parametrize("name", PUBLISHED)
def test_snapshots_carry_their_published_figures(name: str) -> None:
    """Accuracy, latency and mean cost on primes are those of Chen, Zaharia and Zou (2023)."""
    profile = next(profile for profile in builtin_profiles() if profile.name == name)
    accuracy, p50_s, p95_s, cost_usd = PUBLISHED[name]
    assert profile.input_usd_per_million is not None
    assert profile.output_usd_per_million is not None
    assert (profile.accuracy, profile.latency.p50_s, profile.latency.p95_s) == (accuracy, p50_s, p95_s)
    micro_usd = (
        PRIME_QUESTION_TOKENS * profile.input_usd_per_million
        + profile.output_tokens.mean * profile.output_usd_per_million
    )
    assert micro_usd / 1e6 == pytest.approx(cost_usd, rel=0.05)
    assert "Chen, Zaharia, Zou" in profile.source


def test_profiles_without_a_source_are_labelled_made_up() -> None:
    """Nobody mistakes a demonstration for a measurement."""
    assert {profile.source for profile in builtin_profiles() if profile.name not in PUBLISHED} == {"made up"}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param("- name: a\n  acuracy: 1\n", "line 2: .*acuracy", id="a typo in a key"),
        pytest.param("- {name: a, accuracy: 2, latency: {p50_s: 1, p95_s: 2}}", "accuracy", id="a share above one"),
        pytest.param("- {name: a, accuracy: 1, latency: {p50_s: 3, p95_s: 2}}", "below p50_s", id="p95 below p50"),
        pytest.param(
            "- {name: a, accuracy: 1, latency: {p50_s: 1, p95_s: 2}, load: {capacity_rps: 9, saturated_rps: 8}}",
            "isn't above capacity_rps",
            id="saturated before capacity",
        ),
        pytest.param(
            "- {name: a, accuracy: 1, latency: {p50_s: 1, p95_s: 2}, faults: [{kind: hang, factor: 2}]}",
            "belongs to the kind spike",
            id="a parameter of another fault",
        ),
        pytest.param("- {name: a", "not valid YAML", id="no YAML"),
        pytest.param(
            "- &a {name: a, accuracy: 1, latency: {p50_s: 1, p95_s: 2}, output_tokens: {mean: 5}}\n- *a\n",
            "name of its own",
            id="a name twice",
        ),
    ],
)
def test_a_broken_profile_names_file_and_key(tmp_path: Path, written: str, said: str) -> None:
    """Unknown keys and impossible figures are errors, never defaults."""
    path = tmp_path / "mine.yaml"
    path.write_text(written)
    with pytest.raises(SoftlaunchError, match=said) as failed:
        read_profiles(path)
    assert "mine.yaml" in str(failed.value)
