"""What an answer costs: the model version's own prices, else those published for its model id."""

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from softlaunch.variant import ModelVersion

if TYPE_CHECKING:  # the list of published prices takes half a second to import, and many models bring their own
    from genai_prices.types import ModelPrice

_MILLION = 1_000_000


def cost_usd(model: ModelVersion, input_tokens: int | None, output_tokens: int | None) -> float | None:
    """USD for one answer, None when its tokens or its price are unknown."""
    if input_tokens is None or output_tokens is None:
        return None
    if model.input_usd_per_million is not None and model.output_usd_per_million is not None:
        spent = input_tokens * model.input_usd_per_million + output_tokens * model.output_usd_per_million
        return spent / _MILLION
    price = _published(model.provider, model.model)
    if price is None:
        return None
    rates = _flat_rates(model.provider, model.model)
    if rates is None:
        return float(_total(price, input_tokens, output_tokens))
    return (input_tokens * rates[0] + output_tokens * rates[1]) / _MILLION


@lru_cache(maxsize=1024)
def _flat_rates(provider: str, model: str) -> tuple[float, float] | None:
    """USD per million input and output tokens where the price is the same at any size; the list's own sum is slow."""
    price = _published(provider, model)
    if price is None:
        return None
    rates = _total(price, _MILLION, 0), _total(price, 0, _MILLION)
    is_flat = _total(price, 10, 10) * _MILLION == 10 * sum(rates)
    return (float(rates[0]), float(rates[1])) if is_flat else None


def _total(price: "ModelPrice", input_tokens: int, output_tokens: int) -> Decimal:
    from genai_prices import Usage

    return price.calc_price(Usage(input_tokens=input_tokens, output_tokens=output_tokens))["total_price"]


@lru_cache(maxsize=1024)
def _published(provider: str, model: str) -> "ModelPrice | None":
    """The published price of a model id; a provider that the price list doesn't know is left out of the search."""
    from genai_prices import Usage, calc_price

    for provider_id in (provider, None):
        try:
            return calc_price(Usage(), model, provider_id=provider_id).model_price
        except LookupError:
            continue
    return None


def is_priced(model: ModelVersion) -> bool:
    """Whether the cost of this model's answers can be known."""
    return cost_usd(model, 0, 0) is not None
