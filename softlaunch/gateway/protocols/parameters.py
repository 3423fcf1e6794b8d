"""A variant's sampling parameters under the names that an API has for them."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import LENGTH_LIMITS, Variant


class UnsuitableVariantError(SoftlaunchError):
    """A variant sets what the API of a request doesn't have; it can't serve such requests."""


def parameters_of(variant: Variant, names: Mapping[str, str], api: str) -> dict[str, Any]:
    """What the variant sets, by the API's names. Raises UnsuitableVariantError for what has none there."""
    named: dict[str, Any] = {}
    for parameter, value in variant.sampling.parameters.items():
        name = names.get(parameter)
        if name is None:
            text = f"variant {variant.short} sets {parameter}, which {api} don't have; release one without it"
            raise UnsuitableVariantError(text)
        named[name] = value
    return named


def lengths(name: str) -> dict[str, str]:
    """Both spellings of the limit of an answer's length, under the one name that an API has."""
    return dict.fromkeys(LENGTH_LIMITS, name)
