"""What an answer costs: the model version's own prices, else those published for its model id."""

from bisect import bisect_left
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from softlaunch.core.api import Api
from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion

if TYPE_CHECKING:  # the list of published prices takes half a second to import, and many models bring their own
    from genai_prices.types import ModelPrice

_MILLION = 1_000_000


class _Rates(NamedTuple):
    """USD per million tokens of each kind."""

    input: float
    output: float
    cached: float
    cache_write: float
    input_audio: float
    reasoning: float
    output_audio: float


def cost_usd(model: ModelVersion, usage: Usage) -> float | None:
    """USD for one answer, None when its tokens or its price are unknown.

    Tokens of a kind that has no price of its own cost what other tokens of their direction do. A model version that
    brings prices for input and output, and none for what a cache had or was given, or for audio and reasoning, pays for
    these in the proportion of the published prices of its model id, and the full price where there are none. Where
    nothing was put out, as with embeddings, the input's price is enough.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    rates = _rates(model, usage.input_tokens, has_parts=usage.has_parts, has_output=usage.output_tokens > 0)
    return None if rates is None else _spent(rates, usage, usage.input_tokens, usage.output_tokens)


def is_priced(model: ModelVersion) -> bool:
    """Whether the cost of this model's answers can be known."""
    puts_out = model.apis != (Api.EMBEDDINGS,)
    return _rates(model, 1, has_parts=False, has_output=puts_out) is not None


def _spent(rates: _Rates, usage: Usage, input_tokens: int, output_tokens: int) -> float:
    if not usage.has_parts:
        return (input_tokens * rates.input + output_tokens * rates.output) / _MILLION
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    heard, said = usage.input_audio_tokens or 0, usage.output_audio_tokens or 0
    reasoning = usage.reasoning_tokens or 0
    spent = (
        (input_tokens - cached - written - heard) * rates.input
        + cached * rates.cached
        + written * rates.cache_write
        + heard * rates.input_audio
        + (output_tokens - reasoning - said) * rates.output
        + reasoning * rates.reasoning
        + said * rates.output_audio
    )
    return spent / _MILLION


def _rates(model: ModelVersion, input_tokens: int, *, has_parts: bool = True, has_output: bool = True) -> _Rates | None:
    own_input, own_output = model.input_usd_per_million, model.output_usd_per_million
    if own_output is None and not has_output:
        own_output = 0.0
    if own_input is None or own_output is None:
        rates = _published_rates(model.provider, model.model, input_tokens)
    else:
        published = _published_rates(model.provider, model.model, input_tokens) if has_parts else None
        rates = _in_proportion(own_input, own_output, published)
    cached, cache_write = model.cached_input_usd_per_million, model.cache_write_usd_per_million
    if rates is None or (cached is None and cache_write is None):
        return rates
    own = {"cached": cached, "cache_write": cache_write}
    return rates._replace(**{kind: price for kind, price in own.items() if price is not None})


@lru_cache(maxsize=1024)
def _in_proportion(own_input: float, own_output: float, published: _Rates | None) -> _Rates:
    if published is None:
        return _Rates(own_input, own_output, own_input, own_input, own_input, own_output, own_output)
    in_scale = own_input / published.input if published.input else 0.0
    out_scale = own_output / published.output if published.output else 0.0
    return _Rates(
        own_input,
        own_output,
        *(rate * in_scale if in_scale else own_input for rate in published[2:5]),
        *(rate * out_scale if out_scale else own_output for rate in published[5:]),
    )


def _published_rates(provider: str, model: str, input_tokens: int) -> _Rates | None:
    """The published prices for a request with so many input tokens; some models are dearer when it is long."""
    thresholds = _thresholds(provider, model)
    tier = bisect_left(thresholds, input_tokens)
    return _rates_from(provider, model, thresholds[tier - 1] + 1 if tier else 1)


@lru_cache(maxsize=1024)
def _thresholds(provider: str, model: str) -> tuple[int, ...]:
    """The sizes of the input above which the prices are others."""
    price = _published(provider, model)
    if price is None:
        return ()
    tiers = (tier for rate in vars(price).values() for tier in getattr(rate, "tiers", ()))
    return tuple(sorted({tier.start for tier in tiers}))


@lru_cache(maxsize=1024)
def _rates_from(provider: str, model: str, input_tokens: int) -> _Rates | None:
    """The published prices at this size of the input; the list's own sum is too slow for every request."""
    price = _published(provider, model)
    if price is None:
        return None

    def rate(direction: str, **kinds: int) -> float:
        counts = {"input_tokens": input_tokens, "output_tokens": 0}
        without = _total(price, counts) if direction == "output" else Decimal(0)
        counts[f"{direction}_tokens"] = input_tokens
        return float((_total(price, counts | kinds) - without) / input_tokens * _MILLION)

    return _Rates(
        rate("input"),
        rate("output"),
        rate("input", cache_read_tokens=input_tokens),
        rate("input", cache_write_tokens=input_tokens),
        rate("input", input_audio_tokens=input_tokens),
        rate("output", output_reasoning_tokens=input_tokens),
        rate("output", output_audio_tokens=input_tokens),
    )


def _total(price: "ModelPrice", counts: dict[str, int]) -> Decimal:
    from genai_prices import Usage as Counts

    return price.calc_price(Counts(**counts))["total_price"]


@lru_cache(maxsize=1024)
def _published(provider: str, model: str) -> "ModelPrice | None":
    """The published price of a model id; a provider that the price list doesn't know is left out of the search."""
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    for provider_id in (provider, None):
        try:
            return calc_price(Counts(), model, provider_id=provider_id).model_price
        except LookupError:
            continue
    return None
