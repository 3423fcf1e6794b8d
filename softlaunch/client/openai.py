"""`wrap` for clients of the package `openai`: the app's variants answer, and what becomes of it is recorded."""

from typing import Any, TypeVar, cast

import openai

from softlaunch.client.app import App
from softlaunch.client.methods import AsyncMethod, Find, Method, Resource, creating, replayed
from softlaunch.client.wrapping import Wrapping, id_of
from softlaunch.core.api import Api

__all__ = ["id_of", "wrap"]

OpenAIClient = TypeVar("OpenAIClient", bound="openai.OpenAI | openai.AsyncOpenAI")


def wrap(
    client: OpenAIClient,
    app: App,
    *,
    follows_endpoint: bool = True,
    falls_back: bool = True,
    copies: bool | None = None,
) -> OpenAIClient:
    """The client, with requests answered by the app's variant for whom they name (`user=`), and recorded.

    `chat.completions.create`, `responses.create`, `embeddings.create` and `completions.create` are, streamed or not;
    `model` may be anything. Variables of the prompt go into `extra_body={"variables": {...}}`. The variant's endpoint
    is asked, with the key that it names, unless `follows_endpoint` is off. `falls_back`: where a candidate fails before
    its first token, stable answers. `copies` are made as `App.shadow` says.
    """
    wrapping = Wrapping(app, follows_endpoint=follows_endpoint, falls_back=falls_back)
    if copies is not False:
        app.shadow(replayed, allowed=copies)
    return cast("OpenAIClient", _wrapped(client, wrapping))


def _wrapped(client: Any, wrapping: Wrapping) -> Resource:
    def method(api: Api, find: Find) -> Method:
        if isinstance(client, openai.AsyncOpenAI):
            return AsyncMethod(wrapping, client, api, find, _afresh)
        return Method(wrapping, client, api, find)

    completions = creating(client.chat.completions, method(Api.CHAT, lambda one: one.chat.completions.create))
    own = {
        "chat": Resource(client.chat, {"completions": completions}),
        "responses": creating(client.responses, method(Api.RESPONSES, lambda one: one.responses.create)),
        "embeddings": creating(client.embeddings, method(Api.EMBEDDINGS, lambda one: one.embeddings.create)),
        "completions": creating(client.completions, method(Api.COMPLETIONS, lambda one: one.completions.create)),
        "with_options": lambda **options: _wrapped(client.with_options(**options), wrapping),
        "copy": lambda **options: _wrapped(client.copy(**options), wrapping),
    }
    return Resource(client, own)


def _afresh(client: Any) -> Any:
    return client.copy(http_client=openai.DefaultAsyncHttpxClient())
