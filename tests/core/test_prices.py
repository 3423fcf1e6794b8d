"""Costs of answers."""

from typing import Any

import pytest

from softlaunch.core.prices import cost_usd, is_priced
from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion


def model(model_id: str, provider: str = "openai", **prices: Any) -> ModelVersion:
    """A model with these prices of its own."""
    return ModelVersion(name="m", provider=provider, model=model_id, endpoint="http://127.0.0.1:1/v1", **prices)


OWN: dict[str, Any] = {"input_usd_per_million": 10, "output_usd_per_million": 20}


@pytest.mark.parametrize(
    ("version", "usage", "cost"),
    [
        pytest.param(
            model("gpt-4-0613", input_usd_per_million=1, output_usd_per_million=2),
            Usage(1000, 100),
            0.0012,
            id="own price",
        ),
        pytest.param(model("gpt-4-0613"), Usage(1000, 100), 0.036, id="published price"),
        pytest.param(model("gpt-4-0613", "our-proxy"), Usage(1000, 100), 0.036, id="published, provider unknown"),
        pytest.param(model("gemini-2.5-pro", "google"), Usage(300_000, 0), 0.75, id="published, dear when long"),
        pytest.param(model("gemini-2.5-pro", "google"), Usage(100_000, 0), 0.125, id="published, cheap when short"),
        pytest.param(model("gemini-2.5-pro", "google"), Usage(200_000, 0), 0.25, id="published, at the threshold"),
        pytest.param(model("tiny-random"), Usage(1000, 100), None, id="nobody knows the price"),
        pytest.param(model("gpt-4-0613"), Usage(None, 100), None, id="the provider told no tokens"),
        pytest.param(model("gpt-4-0613"), Usage(), None, id="the provider told nothing"),
        pytest.param(
            model("free", input_usd_per_million=0, output_usd_per_million=0), Usage(1000, 100), 0.0, id="free"
        ),
        pytest.param(
            model("gpt-4o-2024-08-06"), Usage(10_000, 10, cached_tokens=9_000), 0.01385, id="cached at half the price"
        ),
        pytest.param(
            model("gemini-2.5-pro", "google"),
            Usage(300_000, 0, cached_tokens=200_000),
            0.3,
            id="cached, dear when long",
        ),
        pytest.param(
            model("claude-sonnet-4-5", "anthropic"),
            Usage(10_000, 100, cached_tokens=5_000, cache_write_tokens=4_000),
            (1_000 * 3 + 5_000 * 0.3 + 4_000 * 3.75 + 100 * 15) / 1e6,
            id="written to the cache, dearer than read without",
        ),
        pytest.param(
            model("gpt-4-0613"), Usage(1000, 100, cached_tokens=900), 0.036, id="no published price for cached: full"
        ),
        pytest.param(
            model("o3"), Usage(1000, 100, reasoning_tokens=80), (2 * 1000 + 8 * 100) / 1e6, id="reasoning is output"
        ),
        pytest.param(
            model("ours", "vllm", **OWN),
            Usage(1000, 100, cached_tokens=900),
            0.012,
            id="own price, cached unknown: full",
        ),
        pytest.param(
            model("ours", "vllm", **OWN, cached_input_usd_per_million=1),
            Usage(1000, 100, cached_tokens=900),
            (100 * 10 + 900 * 1 + 100 * 20) / 1e6,
            id="own price for cached",
        ),
        pytest.param(
            model("ours", "vllm", **OWN, cached_input_usd_per_million=0),
            Usage(1000, 100, cached_tokens=900),
            (100 * 10 + 100 * 20) / 1e6,
            id="cached is free",
        ),
        pytest.param(
            model("ours", "vllm", **OWN, cache_write_usd_per_million=12.5),
            Usage(1000, 100, cache_write_tokens=800),
            (200 * 10 + 800 * 12.5 + 100 * 20) / 1e6,
            id="own price for what is written",
        ),
        pytest.param(
            model("gpt-4o-2024-08-06", **OWN),
            Usage(1000, 100, cached_tokens=900),
            (100 * 10 + 900 * 5 + 100 * 20) / 1e6,
            id="own price of a known model: cached in proportion",
        ),
        pytest.param(
            model("gpt-4o-2024-08-06", cached_input_usd_per_million=1),
            Usage(1000, 0, cached_tokens=1000),
            0.001,
            id="published price, own for cached",
        ),
    ],
)
def test_cost_usd(version: ModelVersion, usage: Usage, cost: float | None) -> None:
    """A cost that nobody knows stays unknown: it is never zero."""
    assert cost_usd(version, usage) == (None if cost is None else pytest.approx(cost))


def test_audio_has_its_own_price() -> None:
    """Where the list has one for audio, it is taken for audio alone."""
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    listed = calc_price(
        Counts(input_tokens=1000, output_tokens=100, input_audio_tokens=600, output_audio_tokens=80),
        "gpt-4o-mini-realtime-preview",
        provider_id="openai",
    ).total_price
    usage = Usage(1000, 100, input_audio_tokens=600, output_audio_tokens=80)
    priced = model("gpt-4o-mini-realtime-preview")
    assert cost_usd(priced, usage) == pytest.approx(float(listed))
    assert cost_usd(priced, usage) != pytest.approx(cost_usd(priced, Usage(1000, 100)))


@pytest.mark.parametrize(
    ("version", "known"),
    [
        pytest.param(model("gpt-4-0613"), True, id="published"),
        pytest.param(model("ours", "vllm", **OWN), True, id="own"),
        pytest.param(model("tiny-random"), False, id="nobody's"),
        pytest.param(model("tiny-random", cached_input_usd_per_million=1), False, id="of cached tokens alone"),
    ],
)
def test_is_priced(version: ModelVersion, *, known: bool) -> None:
    """It is known beforehand whether costs will be known."""
    assert is_priced(version) is known
