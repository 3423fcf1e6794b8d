"""The official `openai` client, wrapped: sync and async, whole and streamed, against models that fail on command."""

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import httpx
import openai
import pytest

from softlaunch.client import App, Client, ClientError
from softlaunch.client.openai import id_of, wrap
from softlaunch.core.variant import TemplateVariablesError
from tests.client.conftest import MakeClient
from tests.support.config_server import APP, ConfigServer, described, route
from tests.support.servers import FakeModels, running_models, wait_until

ASK: dict[str, Any] = {"model": APP, "user": "ann", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def shared_models() -> Iterator[FakeModels]:
    """Models for all tests of this file."""
    with running_models() as running:
        yield running


@pytest.fixture
def models(shared_models: FakeModels) -> FakeModels:
    """Models of which nothing was asked."""
    shared_models.forget()
    return shared_models


@pytest.fixture
def client(make_client: MakeClient, server: ConfigServer, models: FakeModels) -> Client:
    """A client of a server whose stable model answers."""
    server.apps = {APP: route(stable=described("stable", endpoint=models.endpoint))}
    return make_client()


@pytest.fixture
def app(client: Client) -> App:
    """Its app."""
    return client.app(APP)


def plain(models: FakeModels, **options: Any) -> openai.OpenAI:
    """The client that an application has."""
    return openai.OpenAI(base_url=models.endpoint, api_key="own", max_retries=0, **options)


def release(server: ConfigServer, app: App, models: FakeModels, **fields: Any) -> None:
    """A release in which everybody meets the candidate."""
    server.lease_left = 10.0
    both = {name: described(name, endpoint=models.endpoint) for name in ("stable", "candidate")}
    server.say(**{"weight_percent": 100.0, **both, **fields})
    wait_until(lambda: app.candidate_allowed, "the release is known")


def told(client: Client, server: ConfigServer, count: int = 1) -> list[dict[str, Any]]:
    """What was recorded."""
    wait_until(lambda: len(server.records) >= count, f"there are {count} records")
    assert client.flush(5.0)
    assert len(server.records) == count
    return server.records


def test_a_request_is_the_variants(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """Model, prompt and parameters are the variant's, what the application adds stays, and the answer is recorded."""
    answer = wrap(plain(models), app).chat.completions.create(
        **ASK, max_tokens=7, extra_body={"variables": {"name": "Ann"}, "custom": 1}
    )
    assert answer.choices[0].message.content == "I am stable."
    (body,) = models.bodies
    assert body == {
        "model": "stable",
        "user": "ann",
        "messages": [{"role": "system", "content": "You help Ann."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.2,
        "max_tokens": 7,
        "custom": 1,
    }
    (record,) = told(client, server)
    client.feedback(id_of(answer), thumbs="up")
    wait_until(lambda: server.feedback == [{"request_id": record["id"], "thumbs": "up"}], "the rating is heard")
    assert (record["unit"], record["arm"], record["outcome"], record["status"]) == ("ann", "stable", "answered", 200)
    assert (record["input_tokens"], record["output_tokens"], record["finish_reason"]) == (100, 10, "stop")
    assert (record["resolved_model"], record["cost_usd"]) == ("stable-resolved", None)


def test_an_answers_message_goes_into_the_next_request(models: FakeModels, app: App) -> None:
    """A conversation goes on with the package's own objects."""
    wrapped = wrap(plain(models), app)
    first = wrapped.chat.completions.create(**ASK)
    messages = [*ASK["messages"], first.choices[0].message, {"role": "user", "content": "And?"}]
    wrapped.chat.completions.create(model=APP, user="ann", messages=messages)
    assert models.bodies[1]["messages"][2] == {"role": "assistant", "content": "I am stable."}


def test_an_answer_that_is_odd_json_breaks_no_application(app: App, client: Client, server: ConfigServer) -> None:
    """Halves of an emoji and huge numbers, which Python's JSON reads, come to the application and are recorded."""
    whole = {"id": "c", "object": "chat.completion", "created": 2**70, "model": "m"}
    whole["choices"] = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "\ud83d"}}]
    chunks = ['{"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}', '{"choices": [{"index": 0, "delta": {}, ']
    streamed = "".join(f"data: {one}\n\n" for one in [chunks[0], chunks[1] + '"finish_reason": "stop"}]}', "[DONE]"])

    def answer(request: httpx.Request) -> httpx.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx.Response(200, text=streamed, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, text=json.dumps(whole), headers={"content-type": "application/json"})

    transport = httpx.MockTransport(answer)
    http_client = cast("Any", httpx.Client(transport=transport))
    own = openai.OpenAI(base_url="http://models/v1", api_key="own", http_client=http_client)
    create = wrap(own, app, follows_endpoint=False).chat.completions.create
    assert create(**ASK).choices[0].message.content == "\ud83d"
    assert [chunk.choices[0].delta.content for chunk in create(**ASK, stream=True)] == ["\ud83d", None]
    assert [record["outcome"] for record in told(client, server, 2)] == ["answered", "answered"]


def test_a_stream_is_handed_on(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """The application gets the pieces that it would get, and the record has the first token and the usage."""
    with wrap(plain(models), app).chat.completions.create(**ASK, stream=True) as stream:
        call_id = id_of(stream)
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I am stable."
    (record,) = told(client, server)
    assert (record["id"], record["outcome"], record["input_tokens"]) == (call_id, "answered", 100)
    with pytest.raises(ClientError, match="no answer of a wrapped client"):
        id_of(chunks[0])
    assert 0 < record["first_token_ms"] <= record["latency_ms"]


def test_usage_that_was_asked_for_is_shown(models: FakeModels, app: App) -> None:
    """Who asks for the usage gets it."""
    stream = wrap(plain(models), app).chat.completions.create(
        **ASK, stream=True, stream_options={"include_usage": True}
    )
    assert [chunk.usage.prompt_tokens for chunk in stream if chunk.usage] == [100]


@pytest.mark.parametrize("close", [True, False], ids=["closed", "forgotten"])
def test_a_stream_that_is_left(
    models: FakeModels, client: Client, app: App, server: ConfigServer, *, close: bool
) -> None:
    """Whoever reads no further is gone, also without a word."""
    stream = wrap(plain(models), app).chat.completions.create(**ASK, stream=True)
    next(stream)
    if close:
        stream.close()
    else:
        del stream
        gc.collect()
    assert told(client, server)[0]["outcome"] == "client_gone"


@pytest.mark.parametrize(
    ("fault", "streamed", "outcome"),
    [
        ("500", False, "provider_failed"),
        ("429", False, "rate_limited"),
        ("400", False, "request_at_fault"),
        ("401", False, "provider_failed"),
        ("drop", False, "connect"),
        ("filtered", False, "filtered"),
        ("mute", False, "empty"),
        ("hang", False, "total_timeout"),
        ("cut", True, "cut"),
        ("error event", True, "cut"),
        ("stall", True, "idle_timeout"),
    ],
)
def test_what_fails_is_recorded_once(
    models: FakeModels, client: Client, app: App, server: ConfigServer, fault: str, outcome: str, *, streamed: bool
) -> None:
    """Each fault by its outcome, one record for each request, with the package's own retries."""
    models.faults["stable"] = fault
    wrapped = wrap(plain(models, timeout=0.5).with_options(max_retries=1 if fault == "drop" else 0), app)
    with suppress(openai.APIError, httpx.TimeoutException):  # a stream's timeout is httpx's own
        answer = wrapped.chat.completions.create(**ASK, stream=streamed)
        if streamed:
            list(answer)
    assert told(client, server)[0]["outcome"] == outcome


def test_a_candidates_failure_is_answered_by_stable(
    models: FakeModels, client: Client, app: App, server: ConfigServer
) -> None:
    """The user gets an answer, and the record is of the candidate's failure."""
    release(server, app, models)
    models.faults["candidate"] = "500"
    answer = wrap(plain(models), app).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == "I am stable."
    (record,) = told(client, server)
    assert (record["arm"], record["outcome"], record["fell_back"]) == ("candidate", "provider_failed", True)


def test_without_a_fallback_failures_are_shown(
    models: FakeModels, client: Client, app: App, server: ConfigServer
) -> None:
    """Who wants no other arm's answer gets the failure."""
    release(server, app, models)
    models.faults["candidate"] = "500"
    with pytest.raises(openai.InternalServerError):
        wrap(plain(models), app, falls_back=False).chat.completions.create(**ASK)
    assert "fell_back" not in told(client, server)[0]


def test_a_missing_variable_is_the_requests_fault(
    models: FakeModels, client: Client, app: App, server: ConfigServer
) -> None:
    """A prompt that can't be filled in asks no model."""
    server.say(stable=described("stable", endpoint=models.endpoint, prompt="{{ shop }}"))
    wait_until(lambda: "shop" in str(app.variant().content), "the new prompt is known")
    with pytest.raises(TemplateVariablesError, match="shop"):
        wrap(plain(models), app).chat.completions.create(**ASK)
    assert told(client, server)[0]["outcome"] == "request_at_fault"
    assert models.bodies == []


def test_the_own_key_goes_nowhere_else(models: FakeModels, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant of another endpoint is asked there, with the key that it names, and never with the client's."""
    wrapped = wrap(openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="own"), app)
    wrapped.chat.completions.create(**ASK)
    assert models.headers[0]["Authorization"] == "Bearer none"
    wrap(plain(models), app).chat.completions.create(**ASK)
    assert models.headers[1]["Authorization"] == "Bearer own"


def test_other_apis_are_wrapped(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """Responses are asked with the prompt as their instructions."""
    answer = wrap(plain(models), app).responses.create(model=APP, user="ann", input="Hi")
    assert answer.output_text == "I am stable."
    assert models.bodies[0]["instructions"] == "You help everybody."
    assert told(client, server)[0]["outcome"] == "answered"


def test_what_wouldnt_be_recorded_is_said(models: FakeModels, app: App) -> None:
    """Ways around the variant are closed, and everything else is the package's own."""
    wrapped = wrap(plain(models), app)
    with pytest.raises(ClientError, match="use create"):
        _ = wrapped.chat.completions.with_raw_response
    assert str(wrapped.base_url).rstrip("/") == models.endpoint
    assert wrapped.with_options(timeout=3).chat.completions.create(**ASK).choices[0].message.content == "I am stable."


def test_the_policys_unit_comes_first(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """Whom a request is for is looked for as a gateway looks for it."""
    stable = described("stable", endpoint=models.endpoint)
    server.say(stable=stable, unit={"source": "header", "header": "x-session"})
    wait_until(lambda: app.unit_source[0] == "header", "the policy is known")
    wrap(plain(models), app).chat.completions.create(**ASK, extra_headers={"X-Session": "s1"})
    wrap(plain(models), app).chat.completions.create(**ASK)
    assert [one["unit"] for one in told(client, server, 2)] == ["s1", "ann"]


def test_a_shadow_stage_copies_requests(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """Where texts may be kept the wrapper asks the candidate the same, behind the answer."""
    shadowing = {
        "shadow_percent": 100.0,
        "texts_kept": True,
        "release_id": "support-bot-1",
    }
    release(server, app, models, weight_percent=0.0, **shadowing)
    assert wrap(plain(models), app).chat.completions.create(**ASK).choices[0].message.content == "I am stable."
    user, copy = told(client, server, 2)
    assert (user["arm"], copy["arm"], copy["copy_of"], copy["outcome"]) == ("stable", "shadow", user["id"], "answered")
    assert [body["messages"] for body in models.bodies[:1]] == [body["messages"] for body in models.bodies[1:]]


def test_the_asynchronous_client(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """Whole, streamed, left, failed and answered by stable."""

    async def ask() -> list[str]:
        own = openai.AsyncOpenAI(base_url=models.endpoint, api_key="own", max_retries=0)
        async with wrap(own, app) as wrapped:
            whole = await wrapped.chat.completions.create(**ASK)
            stream = await wrapped.chat.completions.create(**ASK, stream=True)
            said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            left = await wrapped.chat.completions.create(**ASK, stream=True)
            async with left:
                await left.__anext__()
            models.faults["stable"] = "500"
            with pytest.raises(openai.InternalServerError):
                await wrapped.chat.completions.create(**ASK)
            models.faults = {"candidate": "429"}
            await asyncio.to_thread(release, server, app, models)
            again = await wrapped.chat.completions.create(**ASK)
            return [str(whole.choices[0].message.content), said, str(again.choices[0].message.content)]

    assert asyncio.run(ask()) == ["I am stable."] * 3
    outcomes = [one["outcome"] for one in told(client, server, 5)]
    assert outcomes == ["answered", "answered", "client_gone", "provider_failed", "rate_limited"]
    assert server.records[1]["first_token_ms"] is not None


def test_copies_of_asynchronous_requests(models: FakeModels, client: Client, app: App, server: ConfigServer) -> None:
    """They are made in an event loop of their own."""
    release(
        server,
        app,
        models,
        weight_percent=0.0,
        shadow_percent=100.0,
        release_id="r",
        candidate=described("candidate", endpoint=models.endpoint),
    )

    async def ask() -> None:
        own = openai.AsyncOpenAI(base_url=models.endpoint, api_key="own", max_retries=0)
        wrapped = wrap(own, app, copies=True)
        async for _ in await wrapped.chat.completions.create(**ASK, stream=True):
            pass

    asyncio.run(ask())
    assert sorted(one["arm"] for one in told(client, server, 2)) == ["shadow", "stable"]
