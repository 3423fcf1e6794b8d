"""JSON that people or programs wrote, as a value without surprises."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

DEEPEST = 64
"""Levels of lists and objects at most."""
_WIDEST_INTEGER = 20  # digits and a sign; the ledger and most readers hold integers of 64 bits
_SHOWN_DIGITS = 12


def parse_json(text: str | bytes, *, lenient: bool = False) -> Any:
    """The value of a JSON document. Raises ValueError with what was found and what was expected.

    Refused are keys that are given twice, numbers that don't fit into 64 bits, NaN and infinity, half a surrogate
    pair, NUL characters, and more than 64 levels. `lenient` takes what programs record as they mean it: NaN,
    infinity and NUL characters pass.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise ValueError(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_lenient_float if lenient else _float,
            parse_constant=float if lenient else _no_constant,
        )
    except RecursionError as error:
        raise ValueError(f"nested more than {DEEPEST} deep") from error
    except json.JSONDecodeError as error:
        raise ValueError(_syntax(text, error)) from error
    if text.count("[") + text.count("{") > DEEPEST or "\\u" in text:
        _check(value, lenient=lenient)
    return value


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong, in the words of the reader that says more."""
    try:
        orjson.loads(text)
    except ValueError as said:
        return str(said)
    return str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:80]!r} is given twice; keep one")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _WIDEST_INTEGER or not -(1 << 63) <= int(digits) < 1 << 64:
        raise ValueError(f"found an integer of {len(digits)} digits ({digits[:_SHOWN_DIGITS]}...), {_EXPECTED_INTEGER}")
    return int(digits)


_EXPECTED_INTEGER = "expected one that fits into 64 bits; put it in quotes if it is a text"


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"found {digits[:_SHOWN_DIGITS]}, expected a finite number")
    return value


_lenient_float = float


def _no_constant(name: str) -> float:
    raise ValueError(f"found {name}, expected a finite number, or null where there is none")


def _check(value: object, *, lenient: bool) -> None:
    for level, text in _texts(value):
        if level > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
        if text is not None:
            objection = text_objection(text, lenient=lenient)
            if objection:
                raise ValueError(objection)


def _texts(value: object) -> Iterator[tuple[int, str | None]]:
    """Every text with its level, and the level of every list and object, without recursion."""
    waiting: list[tuple[int, object]] = [(0, value)]
    while waiting:
        level, one = waiting.pop()
        if isinstance(one, str):
            yield level, one
        elif isinstance(one, dict):
            yield level + 1, None
            waiting += [(level + 1, part) for pair in one.items() for part in pair]
        elif isinstance(one, list):
            yield level + 1, None
            waiting += [(level + 1, part) for part in one]


def text_objection(text: str, *, lenient: bool = False) -> str:
    """What no text may hold, as it could be neither stored nor sent; empty where there is nothing."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "found half of a surrogate pair (\\ud800 to \\udfff), expected whole characters"
    return "found a NUL character (\\u0000), expected text" if "\0" in text and not lenient else ""
