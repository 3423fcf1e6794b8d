"""A variant's parameters under the names that the Messages API has for them."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.json_values import Json, merged
from softlaunch.core.parameters import Parameters, with_tools
from softlaunch.core.tools import NO_PARAMETERS, is_function
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError

_OF_TOOLS = ("tools", "tool_choice")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def put_in(body: Mapping[str, Any], parameters: Parameters) -> dict[str, Any]:
    """The body with the parameters; what they don't set is kept, and doing it again changes nothing.

    Raises UnsuitableVariantError for what the API doesn't have.
    """
    _check(parameters)
    found = with_tools(body, parameters, _OF_TOOLS, _tool, _name_of_clients)
    if parameters.tool_choice is not None:
        found["tool_choice"] = _choice(parameters)
    if isinstance(parameters.response_format, Mapping):
        found.pop("output_format", None)
        wanted = {"type": "json_schema", "schema": parameters.response_format["schema"]}
        found["output_config"] = {**merged(found.get("output_config"), {}), "format": wanted}
    if parameters.reasoning_effort is not None:
        found = merged(found, {"output_config": {"effort": parameters.reasoning_effort}})
    return merged(found, parameters.extra_body) if parameters.extra_body else found


def _check(parameters: Parameters) -> None:
    lacking = "verbosity" if parameters.verbosity is not None else ""
    if isinstance(parameters.response_format, str):
        lacking = f"response_format {parameters.response_format}"
    if lacking:
        text = f"parameters {parameters.label} set {lacking}, which Messages don't have; release a variant without it"
        raise UnsuitableVariantError(text)


def _tool(tool: Mapping[str, Json]) -> Mapping[str, Json]:
    if not is_function(tool):
        return tool
    said = {key: tool[key] for key in ("name", "description", "strict") if tool.get(key) is not None}
    return {**said, "input_schema": tool.get("parameters") or NO_PARAMETERS}


def _choice(parameters: Parameters) -> Json:
    if parameters.chosen_function is not None:
        return {"type": "tool", "name": parameters.chosen_function}
    choice = parameters.tool_choice
    return {"type": _CHOICES[choice]} if isinstance(choice, str) else choice


def _name_of_clients(tool: Any) -> object:
    return tool.get("name") if isinstance(tool, Mapping) else None
