"""Parameters: what a variant sends with its requests besides prompt, model and sampling, and the app's own settings.

They are written once, in a neutral shape, and every API gets them under its own names. What an API alone has is written
in that API's dialect: tools with a `type`, a `tool_choice` that is an object, and `extra_body`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from softlaunch.core.content import Content, Name, SemanticVersion, is_unset
from softlaunch.core.documents import KeyedError
from softlaunch.core.json_values import Json, JsonObject
from softlaunch.core.model_headers import check_headers, is_secret
from softlaunch.core.response_format import ResponseFormat
from softlaunch.core.tools import CHOICES, Tool, ToolChoice, beside, is_function, name_of

LONGEST_SETTINGS = 4096
"""Bytes of settings as compact JSON: they travel in one header, and proxies take no longer ones."""
_LONGEST = 262_144
_OURS = frozenset(
    {
        *("model", "messages", "input", "instructions", "system", "prompt", "variables", "n"),
        *("stream", "stream_options", "previous_response_id", "conversation", "store", "background"),
    }
)
_HAVE_KEYS = frozenset({"tools", "tool_choice", "response_format", "reasoning_effort", "verbosity"})
_ARE_SAMPLING = frozenset(
    {
        *("temperature", "top_p", "max_tokens", "max_completion_tokens"),
        *("seed", "stop", "frequency_penalty", "presence_penalty"),
    }
)
_SECRETS = "a secret belongs to one model: write it under 'headers' of the model in models.yaml"


class ClientTools(StrEnum):
    """What becomes of the tools that a client brings."""

    KEEP = "keep"
    """They stay beside the variant's; of two with one name the variant's is sent."""
    DROP = "drop"
    """The variant's are all that there are."""


def _check_extra_body(body: Mapping[str, Json]) -> Mapping[str, Json]:
    for name in body:
        if name in _OURS:
            raise KeyedError("the prompt, the model, the client or the gateway decides it; leave it out", name)
        if name in _HAVE_KEYS:
            raise KeyedError(f"write it beside extra_body, as {name}, so that every API gets it in its own shape", name)
        if name in _ARE_SAMPLING:
            raise KeyedError("it is a sampling parameter; set it under 'sampling' of the variant", name)
    return body


def _check_extra_headers(headers: Any) -> Any:
    """They go to fallback models of other providers too, so that no secret may be among them."""
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if not isinstance(value, str):
            raise KeyedError(f"expected a text in quotes; {_SECRETS}", str(name))
        if is_secret(str(name), value):
            raise KeyedError(_SECRETS, str(name))
    return check_headers(headers)


def _check_settings(settings: Mapping[str, Json]) -> Mapping[str, Json]:
    size = len(_compact(settings))
    if size > LONGEST_SETTINGS:
        raise ValueError(
            f"expected at most {LONGEST_SETTINGS} bytes as compact ASCII JSON, because they travel in a header; "
            f"these have {size}: keep what is long with the app, and its name here"
        )
    return settings


def _compact(settings: Mapping[str, Json]) -> str:
    return json.dumps(settings, ensure_ascii=True, separators=(",", ":"), sort_keys=True)


Word = Annotated[str, Field(pattern=r"^[a-z]{1,16}$")]


class Parameters(Content):
    """An immutable version of named parameters; what is left out is left to the endpoint, or to the client's request.

    `extra_body` is merged into the body as a JSON Merge Patch (RFC 7386): objects key by key, null takes a key out.
    `settings` are never sent to a model: clients get them in the header `x-softlaunch-settings`.
    """

    name: Name
    version: SemanticVersion
    tools: tuple[Tool, ...] = Field(default=(), exclude_if=is_unset)
    client_tools: ClientTools = Field(default=ClientTools.KEEP, exclude_if=lambda rule: rule is ClientTools.KEEP)
    tool_choice: ToolChoice = Field(default=None, exclude_if=is_unset)
    response_format: ResponseFormat | None = Field(default=None, exclude_if=is_unset)
    reasoning_effort: Word | None = Field(default=None, exclude_if=is_unset)
    verbosity: Word | None = Field(default=None, exclude_if=is_unset)
    extra_body: Annotated[JsonObject, AfterValidator(_check_extra_body)] = Field(
        default_factory=dict, exclude_if=is_unset
    )
    extra_headers: Annotated[Mapping[str, str], BeforeValidator(_check_extra_headers)] = Field(
        default_factory=dict, exclude_if=is_unset
    )
    settings: Annotated[JsonObject, AfterValidator(_check_settings)] = Field(default_factory=dict, exclude_if=is_unset)
    author: str = Field(default="", exclude_if=is_unset)
    created: date | None = Field(default=None, exclude_if=is_unset)
    purpose: str = Field(default="", exclude_if=is_unset)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        names = [name_of(tool) for tool in self.tools]
        for position, name in enumerate(names):
            if name in names[:position]:
                raise KeyedError(f"there is a tool {name!r} already; names are unique", "tools", position)
        choice, possible = self.tool_choice, (*CHOICES, *self.functions)
        if isinstance(choice, str) and choice not in possible:
            expected = ", ".join(possible)
            raise KeyedError(f"found {choice!r}, expected one of: {expected}", "tool_choice")
        if len(self.model_dump_json()) > _LONGEST:
            raise ValueError(f"expected at most {_LONGEST >> 10} KiB as JSON, for they go with every request")
        return self

    @property
    def label(self) -> str:
        """`name@version`, as people write it."""
        return f"{self.name}@{self.version}"

    @cached_property
    def functions(self) -> tuple[str, ...]:
        """The names of the tools that are functions of the app's."""
        return tuple(name_of(tool) for tool in self.tools if is_function(tool))

    @property
    def chosen_function(self) -> str | None:
        """The function that must be called, where one is chosen by its name."""
        choice = self.tool_choice
        return choice if isinstance(choice, str) and choice in self.functions else None

    @cached_property
    def settings_header(self) -> str:
        """The settings as compact ASCII JSON, empty where there are none."""
        return _compact(self.settings) if self.settings else ""


def with_tools(
    body: Mapping[str, Any],
    parameters: Parameters,
    of_tools: Sequence[str],
    written: Callable[[Mapping[str, Json]], Mapping[str, Json]],
    named: Callable[[Any], object],
) -> dict[str, Any]:
    """The body with the parameters' tools, as an API writes them, and without the client's where these are dropped.

    `of_tools` are the API's fields that speak of tools; `named` reads the name of one of the client's.
    """
    found = dict(body)
    if parameters.client_tools is ClientTools.DROP:
        for name in of_tools:
            found.pop(name, None)
    if parameters.tools:
        own = ((name_of(tool), written(tool)) for tool in parameters.tools)
        found["tools"] = beside(own, found.get("tools"), named)
    return found
