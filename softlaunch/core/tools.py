"""Tools of a variant: functions in a neutral shape, which each API gets in its own, and tools in an API's dialect."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from softlaunch.core.documents import KeyedError
from softlaunch.core.json_values import Json, JsonObject, checked

_EXPECTED: Mapping[str, tuple[Any, str]] = {
    "name": (str, "expected a text: the function's name"),
    "description": (str | None, "expected a text"),
    "parameters": (Mapping | None, "expected a JSON schema"),
    "strict": (bool | None, "expected true or false"),
}
_OF_OTHER_SHAPE = {"function", "custom"}
NO_PARAMETERS: Mapping[str, Json] = {"type": "object", "properties": {}}
"""The schema of a function that takes nothing."""


def _check(tool: Mapping[str, Json]) -> Mapping[str, Json]:
    if "type" in tool:
        if tool["type"] in _OF_OTHER_SHAPE:
            said = "leave 'type' out and write name, description and parameters: every API gets it in its own shape"
            raise KeyedError(said, "type")
        if not isinstance(tool["type"], str):
            raise KeyedError("expected a text", "type")
        return tool
    unknown = sorted(tool.keys() - _EXPECTED.keys())
    if unknown:
        raise KeyedError(f"unknown key; known here: {', '.join(_EXPECTED)}", unknown[0])
    for key, (kind, expected) in _EXPECTED.items():
        if not isinstance(tool.get(key), kind):
            raise KeyedError(expected, key)
    return tool


Tool = Annotated[JsonObject, AfterValidator(_check)]
"""A function as `{name, description, parameters, strict}`, or, with a `type`, a tool as one API writes it."""


def _check_choice(choice: Any) -> Any:
    if not isinstance(choice, str | Mapping | None):
        raise ValueError("expected auto, required, none, the name of a tool, or an object as the API writes it")  # noqa: TRY004
    return checked(choice)


ToolChoice = Annotated[str | Mapping[str, Json] | None, BeforeValidator(_check_choice)]
"""`auto`, `required`, `none` or the name of a function; an object is sent as it is, in the API's dialect."""
CHOICES = ("auto", "required", "none")


def is_function(tool: Mapping[str, Json]) -> bool:
    """Whether a tool is written in the neutral shape."""
    return "type" not in tool


def name_of(tool: Mapping[str, Json]) -> str:
    """What tells a tool of a variant from its others."""
    return str(tool.get("name") or tool.get("type"))


def beside(
    tools: Iterable[tuple[str, Mapping[str, Json]]], client: object, named: Callable[[Any], object]
) -> list[Any]:
    """A variant's tools by name, as an API writes them, behind the client's; `named` reads the name of one of those.

    Of two tools of one name the variant's is sent.
    """
    own = dict(tools)
    kept = [tool for tool in client if named(tool) not in own] if isinstance(client, list) else []
    return [*kept, *own.values()]
