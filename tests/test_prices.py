"""Costs of answers."""

import pytest

from softlaunch.prices import cost_usd
from softlaunch.variant import ModelVersion


def model(model_id: str, provider: str = "openai", **prices: float) -> ModelVersion:
    """A model with these prices of its own."""
    return ModelVersion(name="m", provider=provider, model=model_id, endpoint="http://127.0.0.1:1/v1", **prices)


@pytest.mark.parametrize(
    ("version", "tokens", "cost"),
    [
        pytest.param(
            model("gpt-4-0613", input_usd_per_million=1, output_usd_per_million=2), (1000, 100), 0.0012, id="own price"
        ),
        pytest.param(model("gpt-4-0613"), (1000, 100), 0.036, id="published price"),
        pytest.param(model("gpt-4-0613", "our-proxy"), (1000, 100), 0.036, id="published, provider unknown"),
        pytest.param(model("gemini-2.5-pro", "google"), (300_000, 0), 0.75, id="published, dear when long"),
        pytest.param(model("gemini-2.5-pro", "google"), (100_000, 0), 0.125, id="published, cheap when short"),
        pytest.param(model("tiny-random"), (1000, 100), None, id="nobody knows the price"),
        pytest.param(model("gpt-4-0613"), (None, 100), None, id="the provider told no tokens"),
        pytest.param(model("free", input_usd_per_million=0, output_usd_per_million=0), (1000, 100), 0.0, id="free"),
    ],
)
def test_cost_usd(version: ModelVersion, tokens: tuple[int | None, int | None], cost: float | None) -> None:
    """A cost that nobody knows stays unknown: it is never zero."""
    assert cost_usd(version, *tokens) == (None if cost is None else pytest.approx(cost))
