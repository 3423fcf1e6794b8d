"""A policy as one setting a line, defaults included, for people who want to know what will happen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic.fields import FieldInfo

from softlaunch.core.quantities import parse_duration, parse_redraw, written_duration
from softlaunch.policy.model import Policy
from softlaunch.policy.part import Part


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a policy with its value as people write it, and whether that is the default."""

    key: str
    value: str
    is_default: bool


def settings(policy: Policy) -> list[Setting]:
    """Every setting in force, in the order of the policy's definition."""
    return list(_flatten(policy, "", is_default=False))


def _flatten(part: Part, prefix: str, *, is_default: bool) -> Iterator[Setting]:
    for attribute, field in type(part).model_fields.items():
        name, value = field.alias or attribute, getattr(part, attribute)
        left_out = is_default or attribute not in part.model_fields_set
        if isinstance(value, Part):
            yield from _flatten(value, f"{prefix}{name}.", is_default=left_out)
        elif isinstance(value, tuple) and not all(isinstance(item, Part) for item in value):
            yield Setting(f"{prefix}{name}", ", ".join(str(item) for item in value), left_out)
        elif isinstance(value, tuple):
            for position, item in enumerate(value):
                yield from _flatten(item, f"{prefix}{name}[{position}].", is_default=left_out)
        else:
            yield Setting(f"{prefix}{name}", _written(value, field), left_out)


def _written(value: Any, field: FieldInfo) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, tuple | Mapping):
        return ", ".join(f"{item}: {value[item]}" if isinstance(value, Mapping) else str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    is_time = any(getattr(item, "func", None) in {parse_duration, parse_redraw} for item in field.metadata)
    if is_time and not isinstance(value, str):
        return written_duration(value)
    if isinstance(value, Enum):
        return str(value.value)
    return f"{value:g}" if isinstance(value, float) else str(value)
