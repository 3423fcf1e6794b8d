"""A variant's parameters under the names that chat completions have for them."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.json_values import Json, merged
from softlaunch.core.parameters import Parameters, with_tools
from softlaunch.core.response_format import JSON_OBJECT
from softlaunch.core.tools import is_function

_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")


def put_in(body: Mapping[str, Any], parameters: Parameters) -> dict[str, Any]:
    """The body with the parameters; what they don't set is kept, and doing it again changes nothing."""
    found = with_tools(body, parameters, _OF_TOOLS, _tool, _name_of_clients)
    if parameters.tool_choice is not None:
        chosen = parameters.chosen_function
        by_name = {"type": "function", "function": {"name": chosen}}
        found["tool_choice"] = by_name if chosen else parameters.tool_choice
    if parameters.response_format is not None:
        found["response_format"] = _format(parameters.response_format)
    for name in ("reasoning_effort", "verbosity"):
        value = getattr(parameters, name)
        if value is not None:
            found[name] = value
    return merged(found, parameters.extra_body) if parameters.extra_body else found


def _tool(tool: Mapping[str, Json]) -> Mapping[str, Json]:
    return {"type": "function", "function": dict(tool)} if is_function(tool) else tool


def _name_of_clients(tool: Any) -> object:
    if not isinstance(tool, Mapping):
        return None
    function = tool.get("function") or tool.get("custom")
    return function.get("name") if isinstance(function, Mapping) else tool.get("type")


def _format(asked: str | Mapping[str, Json]) -> Mapping[str, Json]:
    return {"type": JSON_OBJECT} if isinstance(asked, str) else {"type": "json_schema", "json_schema": dict(asked)}
