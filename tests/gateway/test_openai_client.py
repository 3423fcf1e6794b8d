"""The official `openai` client, unchanged: only its base URL is ours."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from softlaunch.policy.gateway import GatewayPolicy
from tests.gateway.worlds import APP, NEVER_TRIPS, World, running_world
from tests.support.servers import FakeModels

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def world(migrated_file_url: str, shared_models: FakeModels) -> Iterator[World]:
    """A gateway with a client key, whose candidate answers everybody."""
    policy = GatewayPolicy(timeout=30.0, breaker=NEVER_TRIPS)
    with running_world(migrated_file_url, shared_models, gateway=policy, client_keys=["sk-ours"]) as running:
        yield running


@pytest.fixture
def client(world: World, models: FakeModels) -> openai.OpenAI:
    """The client as its documentation makes it."""
    return openai.OpenAI(base_url=f"{world.url}/v1", api_key="sk-ours", max_retries=0)


def test_a_completion(client: openai.OpenAI, world: World) -> None:
    """A whole answer, its usage, and the id to give feedback for."""
    raw = client.chat.completions.with_raw_response.create(model=APP, messages=HI, user="ann")
    answer = raw.parse()
    assert answer.choices[0].message.content == "I am stable."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 110
    assert raw.request_id == raw.headers["x-softlaunch-request-id"]


def test_a_stream(client: openai.OpenAI) -> None:
    """Chunks as they come, and no usage chunk for those who didn't ask."""
    chunks = list(client.chat.completions.create(model=APP, messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I am stable."
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_with_usage(client: openai.OpenAI) -> None:
    """Whoever asks for usage gets it."""
    chunks = list(
        client.chat.completions.create(model=APP, messages=HI, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 100


def test_variables_for_the_prompt(client: openai.OpenAI, world: World) -> None:
    """Variables travel as an extra of the body, and aren't forwarded."""
    client.chat.completions.create(model=APP, messages=HI, extra_body={"variables": {"name": "Ann"}})
    assert "variables" not in world.models.bodies[-1]


def test_models(client: openai.OpenAI) -> None:
    """The apps are the models."""
    assert [model.id for model in client.models.list()] == [APP]
    assert client.models.retrieve(APP).owned_by == "softlaunch"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param("429", openai.RateLimitError, id="too many requests"),
        pytest.param("400", openai.BadRequestError, id="a bad request"),
        pytest.param("500", openai.InternalServerError, id="an error of the server"),
        pytest.param("drop", openai.InternalServerError, id="a dropped connection"),
    ],
)
def test_errors_are_the_clients_own(
    client: openai.OpenAI, world: World, fault: str, error: type[openai.APIStatusError]
) -> None:
    """Failures arrive as the exceptions that users of the client know."""
    world.models.faults["stable"] = fault
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=APP, messages=HI)
    assert raised.value.response.headers["x-softlaunch-arm"] == "stable"


def test_an_unknown_app(client: openai.OpenAI) -> None:
    """The error lists the apps there are."""
    with pytest.raises(openai.NotFoundError, match="known apps: support-bot"):
        client.chat.completions.create(model="gpt-4", messages=HI)


def test_a_wrong_key(world: World) -> None:
    """A key that isn't ours is an authentication error."""
    stranger = openai.OpenAI(base_url=f"{world.url}/v1", api_key="sk-other", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model=APP, messages=HI)


def test_a_stream_that_breaks(client: openai.OpenAI, world: World) -> None:
    """A stream that breaks raises; it doesn't just end as if that were the answer."""
    world.models.faults["stable"] = "cut"
    with pytest.raises(openai.APIError, match="ended before its answer did"):
        list(client.chat.completions.create(model=APP, messages=HI, stream=True))
