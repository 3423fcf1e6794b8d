"""Requests of completions: what of them is text, and how a variant's prompt goes before it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from softlaunch.core.json_values import merged
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.gateway.protocols.chat.answers import Asked
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError, lengths, parameters_of
from softlaunch.gateway.wire import bad_parameter

_SYSTEM = ("system", "developer")
_LATER = ("tools", "tool_choice", "response_format", "reasoning_effort", "verbosity")
_NAMES = {
    **{name: name for name in ("temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty")},
    **lengths("max_tokens"),
}
Body = Mapping[str, Any]


def check(body: Body) -> None:
    """Raise RefusedError unless the prompt is a text, texts, or tokens."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str | list) or prompt == []:
        raise bad_parameter("prompt", "must be a text, or a list of texts or tokens")


def request_body(variant: Variant, request: Body, work: int) -> dict[str, Any]:
    """The body for the variant's endpoint.

    The texts of the prompt's system messages and an empty line go before each text of the client's. Examples, messages
    of a user or an assistant, have no place in a text: a variant with some can't serve completions. Raises
    UnsuitableVariantError, what rendering raises, and TemplateVariablesError where the client sends tokens, before
    which no text can go.
    """
    body = {key: value for key, value in request.items() if key != "variables"}
    body.update(parameters_of(variant, _NAMES, "completions"))
    if variant.parameters is not None:
        body = with_parameters(body, variant.parameters)
    body["model"] = variant.model.model
    own = variant.prompt.render_own(request.get("variables") or {}, work)
    _check_roles(variant, [message["role"] for message in own])
    text = "\n\n".join(message["content"] for message in own if message["content"])
    if text:
        body["prompt"] = _before(text, body["prompt"], variant)
    return body


def with_parameters(body: Body, parameters: Parameters) -> dict[str, Any]:
    """The body with the further fields of a variant's parameters. Raises UnsuitableVariantError for all the others."""
    lacking = next((name for name in _LATER if getattr(parameters, name)), None)
    if lacking is not None:
        text = (
            f"parameters {parameters.label} set {lacking}, which completions don't have; release a variant without it"
        )
        raise UnsuitableVariantError(text)
    return merged(body, parameters.extra_body)


def _check_roles(variant: Variant, roles: list[str]) -> None:
    other = next((role for role in roles if role not in _SYSTEM), None)
    if other is not None:
        text = (
            f"prompt {variant.prompt.label} has a message of the {other}, which completions don't have; release a "
            "prompt of system messages only"
        )
        raise UnsuitableVariantError(text)


def _before(text: str, prompt: object, variant: Variant) -> object:
    if isinstance(prompt, str):
        return f"{text}\n\n{prompt}"
    parts = prompt if isinstance(prompt, list) else []
    if all(isinstance(part, str) for part in parts):
        return [f"{text}\n\n{part}" for part in parts]
    raise TemplateVariablesError(f"prompt {variant.prompt.label} goes before texts, and not before tokens; send text")


def texts_of(body: Body) -> list[str]:
    """The texts that are to go on; none of tokens."""
    prompt = body.get("prompt")
    parts = prompt if isinstance(prompt, list) else [prompt]
    return [part for part in parts if isinstance(part, str)]


def size_before_answers(body: Body) -> int:
    """Characters of the texts, and of the variables."""
    variables = body.get("variables") or {}
    return sum(map(len, [*texts_of(body), *(value for value in variables.values() if isinstance(value, str))]))


def asked_of(body: Body) -> Asked:
    """How the answer is read: each of several prompts has as many choices as are asked for."""
    asked = Asked.of(body)
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and not all(isinstance(part, int) for part in prompt)
    return replace(asked, choices=asked.choices * len(prompt)) if several and prompt else asked
