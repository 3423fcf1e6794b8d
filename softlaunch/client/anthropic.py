"""`wrap` for clients of the package `anthropic`: the app's variants answer, and what becomes of it is recorded."""

from importlib import import_module
from typing import Any, TypeVar, cast

from softlaunch.client.app import App
from softlaunch.client.methods import AsyncMethod, Method, Resource, creating, replayed
from softlaunch.client.wrapping import Wrapping, id_of
from softlaunch.core.api import Api

__all__ = ["id_of", "wrap"]

AnthropicClient = TypeVar("AnthropicClient")
"""`anthropic.Anthropic` or `anthropic.AsyncAnthropic`."""


def wrap(
    client: AnthropicClient,
    app: App,
    *,
    follows_endpoint: bool = True,
    falls_back: bool = True,
    copies: bool | None = None,
) -> AnthropicClient:
    """The client, with `messages.create` answered by the app's variant for whom it names, and recorded.

    That is `metadata={"user_id": ...}`. Variables of the prompt go into `extra_body={"variables": {...}}`. See
    `softlaunch.client.openai.wrap` for the rest.
    """
    wrapping = Wrapping(app, strips="/v1", follows_endpoint=follows_endpoint, falls_back=falls_back)
    if copies is not False:
        app.shadow(replayed, allowed=copies)
    return cast("AnthropicClient", _wrapped(client, wrapping))


def _wrapped(client: Any, wrapping: Wrapping) -> Resource:
    package = import_module("anthropic")
    method = (
        AsyncMethod(wrapping, client, Api.MESSAGES, _create, _afresh)
        if isinstance(client, package.AsyncAnthropic)
        else Method(wrapping, client, Api.MESSAGES, _create)
    )
    own = {
        "messages": creating(client.messages, method),
        "with_options": lambda **options: _wrapped(client.with_options(**options), wrapping),
        "copy": lambda **options: _wrapped(client.copy(**options), wrapping),
    }
    return Resource(client, own)


def _create(client: Any) -> Any:
    return client.messages.create


def _afresh(client: Any) -> Any:
    return client.copy(http_client=import_module("anthropic").DefaultAsyncHttpxClient())
