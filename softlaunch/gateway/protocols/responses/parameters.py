"""A variant's parameters under the names that the Responses API has for them."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.json_values import Json, merged
from softlaunch.core.parameters import Parameters, with_tools
from softlaunch.core.response_format import JSON_OBJECT
from softlaunch.core.tools import NO_PARAMETERS, is_function

_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def put_in(body: Mapping[str, Any], parameters: Parameters) -> dict[str, Any]:
    """The body with the parameters; what they don't set is kept, and doing it again changes nothing."""
    found = with_tools(body, parameters, _OF_TOOLS, _tool, _name_of_clients)
    if parameters.tool_choice is not None:
        chosen = parameters.chosen_function
        found["tool_choice"] = {"type": "function", "name": chosen} if chosen else parameters.tool_choice
    if parameters.response_format is not None:
        found["text"] = {**merged(found.get("text"), {}), "format": _format(parameters.response_format)}
    if parameters.verbosity is not None:
        found = merged(found, {"text": {"verbosity": parameters.verbosity}})
    if parameters.reasoning_effort is not None:
        found = merged(found, {"reasoning": {"effort": parameters.reasoning_effort}})
    return merged(found, parameters.extra_body) if parameters.extra_body else found


def _tool(tool: Mapping[str, Json]) -> Mapping[str, Json]:
    """A function says whether it is strict, as this API takes silence for a yes and chat completions for a no."""
    if not is_function(tool):
        return tool
    return {
        "type": "function",
        **tool,
        "parameters": tool.get("parameters") or NO_PARAMETERS,
        "strict": bool(tool.get("strict")),
    }


def _name_of_clients(tool: Any) -> object:
    return tool.get("name") or tool.get("type") if isinstance(tool, Mapping) else None


def _format(asked: str | Mapping[str, Json]) -> Mapping[str, Json]:
    return {"type": JSON_OBJECT} if isinstance(asked, str) else {"type": "json_schema", **asked}
