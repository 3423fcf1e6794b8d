"""One request of an eval: asked by the same rules as a gateway asks, and priced by the same."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from softlaunch.core.endpoint import EndpointError
from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.endpoint import Reply as Answered
from softlaunch.evals.calls.endpoint import Target, open_endpoints
from tests.support.endpoints import Reply, completion

ASKED = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
USED = {"prompt_tokens": 10_000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 9_000}}


@contextmanager
def listening(seen: list[web.Request]) -> Iterator[str]:
    """A provider that notes what it is asked; gives its address."""

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({**completion(Reply()), "usage": USED})

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application)
    loop = asyncio.new_event_loop()

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return "http://127.0.0.1:{}".format(*runner.addresses[0][1:])

    url = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ask(model: ModelVersion) -> Answered:
    """One attempt."""

    async def once() -> Answered:
        async with open_endpoints(20.0) as endpoints:
            return await endpoints.attempt(Target.of(model), ASKED)

    return asyncio.run(once())


def model(endpoint: str, **fields: Any) -> ModelVersion:
    """A model there."""
    return ModelVersion(name="m", provider="azure", model="m", endpoint=endpoint, **fields)


def test_classic_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query in the endpoint, and a key in a header of its own."""
    monkeypatch.setenv("AZURE_KEY", "secret")
    seen: list[web.Request] = []
    with listening(seen) as url:
        asked = model(f"{url}/openai/deployments/d?api-version=2024-10-21", headers={"api-key": {"env": "AZURE_KEY"}})
        reply = ask(asked)
    assert seen[0].path_qs == "/openai/deployments/d/chat/completions?api-version=2024-10-21"
    assert (seen[0].headers["api-key"], "Authorization" in seen[0].headers) == ("secret", False)
    assert "secret" not in repr(Target.of(asked))
    assert reply.usage == Usage(10_000, 10, cached_tokens=9_000)


def test_a_proxy_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only reached through a proxy is asked through it."""
    seen: list[web.Request] = []
    with listening(seen) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        ask(model("http://proxied.invalid:8123/v1"))
    assert seen[0].headers["Host"] == "proxied.invalid:8123"


def test_an_endpoint_that_is_none() -> None:
    """Said before anything is asked."""
    with pytest.raises(EndpointError, match="isn't a URL"):
        Target.of(model("http://127.0.0.1:port/v1"))
