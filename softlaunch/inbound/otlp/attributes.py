"""Attributes of spans, events and resources: only those that are read here, and no text of a prompt or an answer."""

from collections.abc import Iterable, Mapping
from typing import Any

Value = str | int | float | bool | tuple[str, ...]
Attributes = Mapping[str, Value]
LONGEST = 512
"""Characters of a text that is read; a longer one is taken for missing, and none is stored."""
_MOST = 1024
_MOST_ITEMS = 16


def read_attributes(pairs: Iterable[Any], wanted: frozenset[str]) -> dict[str, Value]:
    """Those of the wanted names among the first so many; of a name that is there twice the last."""
    found: dict[str, Value] = {}
    for number, pair in enumerate(pairs):
        if number >= _MOST:
            break
        if pair.key in wanted:
            value = _read(pair.value)
            if value is not None:
                found[pair.key] = value
    return found


def _read(value: Any) -> Value | None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return _text(value.string_value)
    if kind in {"int_value", "double_value", "bool_value"}:
        plain: Value = getattr(value, kind)
        return plain
    if kind == "array_value":
        texts = [_text(one.string_value) for one in value.array_value.values[:_MOST_ITEMS]]
        return tuple(text for text in texts if text)
    return None


def _text(text: str) -> str | None:
    return text.replace("\x00", "") if len(text) <= LONGEST else None


def text_of(attributes: Attributes, *names: str) -> str:
    """The first of these that holds a text, without blanks around it; of a list its first. Empty where none does."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, tuple):
            value = value[0] if value else None
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def number_of(attributes: Attributes, *names: str) -> float | None:
    """The first of these that holds a number, or a text that is one, as baggage has them."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, bool) or value is None or isinstance(value, tuple):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if number == number and abs(number) != float("inf"):  # noqa: PLR0124  (NaN)
            return number
    return None
