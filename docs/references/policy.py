"""The reference of policies, from their JSON schema."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from references.markdown import NOTE, anchor, code, one_line, table
from softlaunch.core.quantities import written_duration
from softlaunch.policy.schema import policy_schema

_INTRODUCTION = """
A policy is a YAML file. `softlaunch policy check FILE` validates it and prints every value in force; `softlaunch policy
schema` prints the JSON schema for your editor. Unknown keys are errors. Only `app` and `golden_set` are required.

A **duration** is a number with `ms`, `s`, `min`, `h` or `d`, such as `30 min`; a bare number means seconds. A
**margin** is written in points (`2 points`) or relative to stable (`10 %`). A **share** is in percent, from 0 to 100.
"""
_BOUNDS = {
    "exclusiveMinimum": "above {}",
    "minimum": "at least {}",
    "exclusiveMaximum": "below {}",
    "maximum": "at most {}",
    "minItems": "at least {} of them",
}
Schema = Mapping[str, Any]


def lines() -> Iterator[str]:
    """The page."""
    schema = policy_schema()
    parts: dict[str, str] = {}
    _name_parts(schema, schema["$defs"], "", parts)
    yield NOTE
    yield "# Policy"
    yield _INTRODUCTION
    yield from _part("Top level", schema, schema["$defs"], parts)
    for name, path in parts.items():
        yield from _part(path, schema["$defs"][name], schema["$defs"], parts)


def _name_parts(part: Schema, known: Schema, path: str, parts: dict[str, str]) -> None:
    """Name each part by the first path at which it is found, parents before their own parts."""
    for key, value in part.get("properties", {}).items():
        name = _part_name(value)
        if name and name not in parts and "properties" in known[name]:
            parts[name] = f"{path}.{key}".lstrip(".")
            _name_parts(known[name], known, parts[name], parts)


def _part_name(value: Schema) -> str:
    """The definition that a key's value refers to, alone, in a list, or beside nothing; empty where there is none."""
    if "$ref" in value:
        return str(value["$ref"]).rsplit("/", 1)[1]
    inside = [*value.get("anyOf", []), *(value[key] for key in ("items", "additionalProperties") if key in value)]
    return next((name for one in inside if isinstance(one, dict) and (name := _part_name(one))), "")


def _part(path: str, part: Schema, known: Schema, parts: Mapping[str, str]) -> Iterator[str]:
    yield f"## {path}"
    yield ""
    yield part["description"] + "\n"
    needed = part.get("required", [])
    rows = [
        (code(key), _means(value, known), _type(value, known, parts), _default(key, value, needed, known))
        for key, value in part["properties"].items()
        if not value.get("deprecated")
    ]
    yield from table(("key", "description", "type", "default"), rows)


def _means(value: Schema, known: Schema) -> str:
    name = _part_name(value)
    described = value.get("description") or (known[name].get("description", "") if name else "")
    return one_line(described) if "description" not in value else str(described)


def _type(value: Schema, known: Schema, parts: Mapping[str, str]) -> str:
    if "$ref" in value:
        name = str(value["$ref"]).rsplit("/", 1)[1]
        values = known[name].get("enum")
        return ", ".join(map(code, values)) if values else f"[{parts[name]}](#{anchor(parts[name])})"
    if "anyOf" in value:
        found = [
            _type(one, known, parts)
            for one in value["anyOf"]
            if one.get("type") != "null" and not one.get("deprecated")
        ]
        return "duration" if "duration" in found else " or ".join(dict.fromkeys(found))
    return _plain(value, known, parts)


def _plain(value: Schema, known: Schema, parts: Mapping[str, str]) -> str:
    kind = value.get("type", "")
    if kind == "array":
        return f"list of {_plural(_type(value['items'], known, parts))}" + _bounds(value)
    if kind == "object":
        inside = value.get("additionalProperties")
        return f"mapping to {_plural(_type(inside, known, parts))}" if isinstance(inside, dict) else "mapping"
    if "pattern" in value:
        return "duration" if "ms|s|min" in value["pattern"] else "margin" if "points" in value["pattern"] else "string"
    if "enum" in value or "const" in value:
        return ", ".join(map(code, value.get("enum", [value.get("const")])))
    named = {"boolean": "`true` or `false`"}.get(kind, kind or "anything")
    return named + _bounds(value)


def _plural(named: str) -> str:
    """The name of a type, for several values of it."""
    return re.sub(r"^(string|integer|number|duration)\b", r"\1s", named)


def _bounds(value: Schema) -> str:
    said = [
        words.format(f"{value[key]:,g}" if value[key] % 1 else f"{int(value[key]):,}")
        for key, words in _BOUNDS.items()
        if key in value
    ]
    return f", {', '.join(said)}" if said else ""


def _default(key: str, value: Schema, needed: list[str], known: Schema) -> str:
    if key in needed:
        return "required"
    name = _part_name(value)
    default = value.get("default")
    if default is None:
        return "see section" if name and "default" not in value and "$ref" in value else "none"
    if isinstance(default, dict | list):
        elsewhere = ("as described" if isinstance(default, list) else "see section") if default else "none"
        return elsewhere if name and "properties" in known[name] else ", ".join(map(code, default)) or "none"
    if isinstance(default, float) and _type(value, known, _Any()) == "duration":
        return code(written_duration(default))
    if isinstance(default, bool):
        return code(str(default).lower())
    return code(f"{default:g}" if isinstance(default, float) else default) or "empty"


class _Any(dict[str, str]):
    """Names for parts where only the kind of a value is asked for."""

    def __missing__(self, name: str) -> str:
        return name
