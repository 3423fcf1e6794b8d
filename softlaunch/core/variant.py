"""Variants: prompt version + model version + sampling + parameters, identified by the digest of their content."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from jinja2 import TemplateSyntaxError
from pydantic import Field, model_validator

from softlaunch.core.api import Api
from softlaunch.core.chat_parameters import put_in
from softlaunch.core.content import Content, Name, SemanticVersion, is_unset
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.model_headers import ModelHeaders
from softlaunch.core.parameters import Parameters
from softlaunch.core.prompt_templates import WHOLE_WORK, Budget, TooHeavyError, compiled, rendered, variables_of
from softlaunch.core.system_messages import Message, SystemRule, join

MOST_FALLBACKS = 5
_OF_OPENAI = frozenset({Api.CHAT, Api.RESPONSES, Api.EMBEDDINGS, Api.COMPLETIONS})
_OF_PROVIDERS: Mapping[str, frozenset[Api]] = {
    "anthropic": frozenset({Api.MESSAGES, Api.CHAT}),  # chat by its layer for OpenAI's clients
    "azure": _OF_OPENAI,
    "openai": _OF_OPENAI,
}
LENGTH_LIMITS = ("max_tokens", "max_completion_tokens")


class TemplateVariablesError(SoftlaunchError):
    """A prompt could not be rendered with the variables that a request gave."""


class HeavyTemplateError(TemplateVariablesError):
    """Rendering a prompt would take more work or space than was allowed."""


Usd = Annotated[float, Field(ge=0)]


class PromptMessage(Content):
    """One templated message of a prompt; `{{ name }}` stands for a variable."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class PromptVersion(Content):
    """An immutable version of a named prompt: templated messages that go before the client's own."""

    name: Name
    version: SemanticVersion
    messages: tuple[PromptMessage, ...]
    defaults: Mapping[str, str] = Field(default_factory=dict)
    system: SystemRule = Field(default=SystemRule.MERGE, exclude_if=lambda rule: rule is SystemRule.MERGE)
    author: str = ""
    created: date | None = None
    purpose: str = ""

    @model_validator(mode="after")
    def _templates_compile(self) -> Self:
        for message in self.messages:
            try:
                compiled(message.content)
            except TemplateSyntaxError as error:
                raise ValueError(f"the {message.role} message of {self.label} is no valid template: {error}") from error
        return self

    @property
    def label(self) -> str:
        """`name@version`, as people write it."""
        return f"{self.name}@{self.version}"

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names that the templates use."""
        return frozenset().union(*(variables_of(message.content) for message in self.messages))

    def render(
        self, client_messages: Sequence[Message], variables: Mapping[str, Any], work: int = WHOLE_WORK
    ) -> list[Message]:
        """Messages to send: the rendered prompt, then the client's, and their system messages as `system` says.

        Raises what `render_own` raises.
        """
        return join(self.render_own(variables, work), client_messages, self.system)

    def render_own(self, variables: Mapping[str, Any], work: int = WHOLE_WORK) -> list[Message]:
        """The prompt's own messages.

        Raises TemplateVariablesError when a variable without a default is missing, and HeavyTemplateError when it
        takes more than `work` (see `prompt_templates.budget`).
        """
        given = {**self.defaults, **variables}
        if not self.variables <= given.keys():
            missing = sorted(self.variables - given.keys())
            raise TemplateVariablesError(f"prompt {self.label} needs a value for: {', '.join(missing)}")
        try:
            budget = Budget(work)
            return [{"role": part.role, "content": rendered(part.content, given, budget)} for part in self.messages]
        except TooHeavyError as error:
            raise HeavyTemplateError(f"prompt {self.label} can't be rendered: {error}") from error
        except Exception as error:  # a template runs expressions, so it can raise nearly anything
            raise TemplateVariablesError(f"prompt {self.label} can't be rendered: {error}") from error


class StreamUsage(StrEnum):
    """Whether a streamed answer is asked to end with its usage, which some endpoints refuse to be asked."""

    AUTO = "auto"
    """Ask, until the endpoint refuses."""
    ALWAYS = "always"
    NEVER = "never"
    """Ask only where the client does."""


class ModelVersion(Content):
    """A model as it is called: provider, exact model id, endpoint, headers, and its price in USD per million tokens.

    `endpoint` is the base URL up to and including `/v1`, or up to the deployment where that has no version (classic
    Azure); its query goes with every request. `api_key_env` names the environment variable that holds the key; the key
    itself is never part of a model version. Prices left out are looked up by model id, and a cost that nobody knows
    stays unknown. `apis` are those that it serves: chat, responses, messages, embeddings, completions. Left out, they
    are its provider's; one that isn't known is taken to serve what it is asked for.
    """

    name: Name
    provider: str
    model: str
    endpoint: Annotated[str, Field(pattern=r"^https?://")]
    api_key_env: str | None = None
    input_usd_per_million: Usd | None = None
    output_usd_per_million: Usd | None = None
    cached_input_usd_per_million: Usd | None = Field(default=None, exclude_if=is_unset)
    cache_write_usd_per_million: Usd | None = Field(default=None, exclude_if=is_unset)
    headers: ModelHeaders = Field(default_factory=dict, exclude_if=is_unset)
    stream_usage: StreamUsage = Field(default=StreamUsage.AUTO, exclude_if=lambda mode: mode is StreamUsage.AUTO)

    apis: Annotated[tuple[Api, ...], Field(min_length=1)] | None = Field(default=None, exclude_if=is_unset)

    @property
    def served_apis(self) -> frozenset[Api]:
        """The APIs that it serves, by its own word or as its provider does."""
        return _OF_PROVIDERS.get(self.provider, frozenset(Api)) if self.apis is None else frozenset(self.apis)

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if self.api_key_env and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("api_key_env sets the header Authorization already; leave one of them out")
        return self


class Sampling(Content):
    """Sampling parameters; what is left out is left to the endpoint, or to the client's request."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        default=None, title="Temperature", description="0 always takes the likeliest token; at most 2.", examples=[0.2]
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, title="Nucleus (top_p)", description="Share of probability to draw from.", examples=[0.9]
    )
    max_tokens: Annotated[int, Field(gt=0)] | None = Field(
        default=None, title="Longest answer", description="In tokens.", examples=[512]
    )
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = Field(
        default=None,
        exclude_if=is_unset,
        title="Longest answer, reasoning included",
        description="In tokens; for models that refuse max_tokens. Set one of the two.",
        examples=[2048],
    )
    seed: int | None = Field(default=None, title="Seed", description="For endpoints that can repeat an answer.")
    stop: tuple[str, ...] | None = Field(default=None, title="Stop", description="Texts at which an answer ends.")
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        default=None, title="Frequency penalty", description="-2 to 2; more avoids frequent tokens."
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        default=None, title="Presence penalty", description="-2 to 2; more avoids tokens that were there before."
    )

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("set max_tokens or max_completion_tokens, not both: endpoints refuse the two together")
        return self

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that are set, as they are sent; not to be changed."""
        return self.model_dump(mode="json", exclude_none=True)


class Variant(Content):
    """What is released: one prompt version on one model version, with sampling and parameters.

    `fallbacks` are asked in order where the model gives no answer. They get the same request.
    """

    prompt: PromptVersion
    model: ModelVersion
    sampling: Sampling = Sampling()
    parameters: Parameters | None = Field(default=None, exclude_if=is_unset)
    fallbacks: Annotated[tuple[ModelVersion, ...], Field(max_length=MOST_FALLBACKS)] = Field(
        default=(), exclude_if=is_unset
    )

    @model_validator(mode="after")
    def _models_differ(self) -> Self:
        names = [self.model.name, *(model.name for model in self.fallbacks)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"model {twice} is named twice; a fallback is another model than those before it")
        return self

    @property
    def short(self) -> str:
        """The first twelve characters of the digest, enough to tell variants apart."""
        return self.digest[:12]

    @property
    def label(self) -> str:
        """A name for people: `support@1.4.0 on gpt-4-0613, temperature 0.2, with tools@1.1.0`."""
        settings = self.sampling.model_dump(exclude_none=True)
        named = [f"{self.prompt.label} on {self.model.name}", *(f"{key} {value}" for key, value in settings.items())]
        if self.parameters is not None:
            named.append(f"with {self.parameters.label}")
        if self.fallbacks:
            named.append(f"falling back to {' and '.join(model.name for model in self.fallbacks)}")
        return ", ".join(named)

    @property
    def extra_headers(self) -> Mapping[str, str]:
        """Headers that its requests carry besides those of the model."""
        return {} if self.parameters is None else self.parameters.extra_headers

    def at(self, place: int) -> "Variant":
        """The same variant on its fallback model of this place, counted from 1; 0 is the variant itself."""
        return self.in_place[place - 1] if place else self

    @cached_property
    def in_place(self) -> tuple["Variant", ...]:
        """The same variant on each of its fallbacks, in their order; none of these is recorded."""
        return tuple(
            Variant(prompt=self.prompt, model=model, sampling=self.sampling, parameters=self.parameters)
            for model in self.fallbacks
        )

    def request_body(self, request: Mapping[str, Any], work: int = WHOLE_WORK) -> dict[str, Any]:
        """The chat-completion body to send to the endpoint for a client's request body.

        The variant decides model and messages, and the sampling and parameters that it sets; everything else the client
        asked for is kept. `variables` feeds the prompt's templates and isn't forwarded. Of `max_tokens` and
        `max_completion_tokens` one is sent: the variant's, in the variant's spelling, with which it was evaluated; else
        the client's, and of two the newer one. Raises
        TemplateVariablesError, and HeavyTemplateError where rendering takes more than `work`.
        """
        body = dict(request)
        body.pop("variables", None)
        if LENGTH_LIMITS[0] in body or LENGTH_LIMITS[1] in body:
            for limit in _unused_limits(self.sampling.parameters, body):
                body.pop(limit, None)
        body.update(self.sampling.parameters)
        if self.parameters is not None:
            body = put_in(body, self.parameters)
        body["model"] = self.model.model
        body["messages"] = self.prompt.render(request.get("messages", ()), request.get("variables") or {}, work)
        return body


def _unused_limits(sampling: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of the client's limits of an answer's length aren't sent."""
    if any(sampling.get(limit) is not None for limit in LENGTH_LIMITS):
        return LENGTH_LIMITS
    return LENGTH_LIMITS[:1] if request.get(LENGTH_LIMITS[1]) is not None else LENGTH_LIMITS[1:]


def embeds_alike(one: Variant, other: Variant) -> bool:
    """Whether the vectors of two variants may be compared: those of one model id may."""
    return one.model.model == other.model.model


def differences(before: Variant, after: Variant) -> tuple[str, str]:
    """What two variants differ in, on each side, in few words: `("1.3.0", "1.4.0")`, or `("model-a", "model-b")`."""
    if before == after:
        return before.label, after.label
    parts = zip(_parts(before), _parts(after), strict=True)
    differing = [pair for pair in parts if pair[0] != pair[1]]
    if (
        len(differing) == 1
        and before.prompt.version != after.prompt.version
        and before.prompt.name == after.prompt.name
    ):
        return before.prompt.version, after.prompt.version
    first, second = zip(*differing, strict=True) if differing else ([before.short], [after.short])
    return ", ".join(first), ", ".join(second)


def _parts(variant: Variant) -> tuple[str, ...]:
    settings = variant.sampling.model_dump(exclude_none=True)
    shown = ", ".join(f"{key} {value}" for key, value in settings.items()) or "sampling of the endpoint"
    parameters = "no parameters" if variant.parameters is None else variant.parameters.label
    fallbacks = " and ".join(model.name for model in variant.fallbacks)
    return variant.prompt.label, variant.model.name, shown, parameters, f"fallbacks {fallbacks or 'none'}"
