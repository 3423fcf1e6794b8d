"""A variant as a server describes it: what is asked, by which prompt, with which parameters."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from softlaunch.client.errors import ClientError

if TYPE_CHECKING:  # reading a whole variant loads pydantic and Jinja, which many applications never need here
    from softlaunch.core.variant import Variant as WholeVariant

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Prompt:
    """The prompt of a variant: templates, and the rules by which gateways fill them in."""

    __slots__ = ("_served",)

    def __init__(self, served: "ServedVariant") -> None:
        self._served = served

    @property
    def label(self) -> str:
        """`name@version`, as people write it."""
        said = self._served.part("prompt")
        return f"{said.get('name', '')}@{said.get('version', '')}"

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages as they were written, with their variables unfilled."""
        return tuple(self._served.part("prompt").get("messages") or ())

    def render(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> list[dict[str, Any]]:
        """The prompt's messages with the variables filled in, by the same rules and within the same bounds as gateways.

        Raises TemplateVariablesError where one is missing. The first call loads the template engine.
        """
        return self._served.whole.prompt.render_own({**(variables or {}), **named})

    def system(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> str:
        """The text of the system messages alone, with an empty line between them."""
        rendered = self.render(variables, **named)
        return "\n\n".join(message["content"] for message in rendered if message["role"] in {"system", "developer"})

    def __repr__(self) -> str:
        return f"<Prompt {self.label}>"


class ServedVariant:
    """One variant that a route names; everybody whom it serves shares it."""

    def __init__(self, label: str, digest: str, content: Mapping[str, Any]) -> None:
        self.label = label
        self.digest = digest
        self.content = content
        self.model = str(self.part("model").get("model", ""))
        self.provider = str(self.part("model").get("provider", ""))
        self.endpoint = str(self.part("model").get("endpoint", ""))
        self.prompt = Prompt(self)

    def part(self, name: str) -> Mapping[str, Any]:
        """A part of the content; nothing where it lacks."""
        found = self.content.get(name)
        return found if isinstance(found, Mapping) else _NOTHING

    @cached_property
    def sampling(self) -> Mapping[str, Any]:
        """The sampling parameters that are set, as they are sent."""
        return MappingProxyType({name: value for name, value in self.part("sampling").items() if value is not None})

    @cached_property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Its tools, in the neutral shape."""
        return tuple(self.part("parameters").get("tools") or ())

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The application's own settings."""
        found = self.part("parameters").get("settings")
        return MappingProxyType(dict(found)) if isinstance(found, Mapping) else _NOTHING

    @cached_property
    def whole(self) -> "WholeVariant":
        """The variant as gateways read it. Raises ClientError where this client is too old for it."""
        from pydantic import ValidationError

        from softlaunch.core.variant import Variant

        try:
            return Variant.model_validate(self.content)
        except ValidationError as error:
            text = f"variant {self.label} can't be read by this client: {error}; install the server's version"
            raise ClientError(text) from error
