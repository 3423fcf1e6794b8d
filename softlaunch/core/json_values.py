"""JSON that people write and that goes on as it is: checked when it is read, and merged into request bodies."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator

from softlaunch.core.documents import KeyedError, Keys

Json: TypeAlias = Any
"""A value that JSON can carry."""
_DEEPEST = 32
_LARGEST = 1 << 63


def checked(value: Any) -> Any:
    """The value as it is. Raises KeyedError for the first part of it that JSON can't carry."""
    _object_to(value, ())
    return value


def _object_to(value: Any, keys: Keys) -> None:
    if len(keys) > _DEEPEST:
        raise KeyedError(f"nested deeper than {_DEEPEST} levels; write it flatter", *keys[:3])
    if isinstance(value, Mapping):
        unnamed = next((name for name in value if not isinstance(name, str)), None)
        if unnamed is not None:
            raise KeyedError(f"found the key {unnamed!r}, expected a text; put it in quotes", *keys)
    items = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list | tuple) else ())
    for key, part in items:
        _object_to(part, (*keys, key))
    said = _objection(value)
    if said:
        raise KeyedError(said, *keys)


def _objection(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"found {value}, expected a number that JSON has"
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return "found a number of more than 64 bits; put it in quotes"
    if not isinstance(value, Mapping | list | tuple | str | int | float | None):
        return f"found a {type(value).__name__}, which JSON doesn't have; put it in quotes"
    return ""


JsonObject = Annotated[Mapping[str, Json], BeforeValidator(checked)]
"""An object of JSON with at most 32 levels."""


def merged(target: object, patch: Mapping[str, Json]) -> dict[str, Any]:
    """A JSON Merge Patch (RFC 7386) applied: objects are merged key by key, null takes a key out.

    Neither of the two is changed.
    """
    found = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value) if isinstance(value, Mapping) else value
    return found
