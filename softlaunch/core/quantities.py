"""Durations and margins as people write them, parsed once."""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_WRITTEN = ((86400, "d"), (3600, "h"), (60, "min"))
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)")
_MARGIN = re.compile(r"(\d+(?:\.\d+)?)\s*(points?|%)")


def parse_duration(value: object) -> float:
    """Seconds from `90`, `"90 s"`, `"15 min"`, `"2 h"` or `"7 d"`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"expected a duration such as '90 s', '15 min', '2 h' or '7 d', not {value!r}")
    return float(found[1]) * _SECONDS[found[2]]


def written_duration(seconds: float) -> str:
    """Seconds in the largest unit that fits without a remainder: `10 min`, `90 s`, `1 d`."""
    for length, unit in _WRITTEN:
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0, allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|min|m|h|d)$"},
                {"type": "number", "minimum": 0},
            ],
            "description": "seconds, or a text such as '90 s', '15 min', '2 h', '7 d'",
        }
    ),
]


CONVERSATION = "conversation"
_SHORTEST_EPOCH = 60.0


def parse_redraw(value: object) -> float | str | None:
    """How often arms are drawn afresh: a duration of at least a minute, `conversation`, or never."""
    if value is None or value == CONVERSATION:
        return value
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ValueError(str(error).replace(", not", f", or '{CONVERSATION}', not")) from error
    if not _SHORTEST_EPOCH <= seconds < math.inf:
        raise ValueError(f"expected at least '1 min', so that a user's requests can be on one side, not {value!r}")
    return seconds


Redraw = Annotated[
    float | str | None,
    BeforeValidator(parse_redraw),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": CONVERSATION},
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|min|m|h|d)$"},
                {"type": "number", "minimum": _SHORTEST_EPOCH},
                {"type": "null"},
            ],
            "description": "'conversation', or seconds, or a text such as '30 min', '2 h', '7 d'; at least a minute",
        }
    ),
]


class MarginKind(StrEnum):
    """Whether a margin is a difference of shares, or relative to stable's value."""

    POINTS = "points"
    RELATIVE = "relative"


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse is still acceptable: `2 points` of a share or score, or `10 %` of stable's value.

    `value` is a fraction: 0.02 for 2 points, 0.10 for 10 %.
    """

    kind: MarginKind
    value: float

    @classmethod
    def parse(cls, text: object) -> Self:
        """A margin from its written form; raises ValueError with what was expected."""
        if isinstance(text, cls):
            return text
        found = _MARGIN.fullmatch(text.strip()) if isinstance(text, str) else None
        if not found or float(found[1]) == 0:
            raise ValueError(f"expected a margin above zero such as '2 points' or '10 %', not {text!r}")
        kind = MarginKind.RELATIVE if found[2] == "%" else MarginKind.POINTS
        if kind is MarginKind.POINTS and float(found[1]) > 100:
            raise ValueError(f"expected at most '100 points', not {text!r}: a rate or score can't lose more")
        return cls(kind, float(found[1]) / 100)

    def __str__(self) -> str:
        """The written form, which parses back to the same margin."""
        number = f"{self.value * 100:.6g}"
        if self.kind is MarginKind.RELATIVE:
            return f"{number} %"
        return f"{number} point" if number == "1" else f"{number} points"

    def times(self, factor: float) -> "Margin":
        """The margin widened by a factor."""
        return Margin(self.kind, self.value * factor)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(points?|%)$", "examples": ["2 points", "10 %"]}
