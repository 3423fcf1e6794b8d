"""Clients of Azure OpenAI, unchanged: the app is a deployment, and the gateway is the resource."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from softlaunch.gateway.azure import Place, place_of, without_version
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
VERSION = "2024-10-21"
CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
}
CHUNKS = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tools": [],
    "tool_choice": "auto",
}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/openai/deployments/bot/chat/completions", Place("/v1/chat/completions", "bot")),
        ("/openai/deployments/bot/embeddings", Place("/v1/embeddings", "bot")),
        ("/openai/v1/responses/resp_1/cancel", Place("/v1/responses/resp_1/cancel")),
        ("/openai/responses", Place("/v1/responses")),
        ("/openai/models/bot", Place("/v1/models/bot")),
    ],
)
def test_where_azures_paths_lead(path: str, place: Place) -> None:
    """To the gateway's own."""
    assert place_of(path) == place


def test_a_query_without_azures_version() -> None:
    """The rest stays as it is."""
    assert without_version(b"api-version=1&include=a&stream=true") == b"include=a&stream=true"
    assert without_version(b"api-version=1") == b""


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with a chat completion."""
    with recorded_provider() as running:
        running.answer_with(CHAT)
        yield running


@pytest.fixture
def world(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app whose stable is a deployment of Azure's, and whose candidate is at an endpoint of its v1."""
    deployment = f"{provider.url}/openai/deployments/gpt?api-version=2025-01-01"
    azure: dict[str, Any] = {"provider": "azure", "api_key_env": "AZURE_KEY"}
    made = variant("gpt", deployment)
    stable = made.model_copy(update={"model": made.model.model_copy(update=azure)})
    made = variant("gpt-v1", f"{provider.url}/openai/v1")
    candidate = made.model_copy(update={"model": made.model.model_copy(update=azure)})
    with running_world(
        ledger_url,
        models,
        stable=stable,
        candidate=candidate,
        client_keys=["sk-ours"],
        environment={"AZURE_KEY": "azure-key"},
    ) as running:
        running.client.headers["api-key"] = "sk-ours"
        yield running


@pytest.fixture(params=["named in the client", "named by each request"])
def client(world: World, request: pytest.FixtureRequest) -> openai.AzureOpenAI:
    """The client as its documentation makes it."""
    deployment = APP if request.param == "named in the client" else None
    return openai.AzureOpenAI(
        azure_endpoint=world.url,
        azure_deployment=deployment,
        api_version=VERSION,
        api_key="sk-ours",
        max_retries=0,
    )


def test_a_chat(client: openai.AzureOpenAI, world: World, provider: RecordedProvider) -> None:
    """The provider gets its own key and version, and nothing of the client's."""
    raw = client.chat.completions.with_raw_response.create(model=APP, messages=HI, user="ann")
    assert raw.parse().choices[0].message.content == "Hello."
    (asked,) = provider.asked
    assert asked.path == "/openai/deployments/gpt/chat/completions?api-version=2025-01-01"
    assert (asked.headers["api-key"], "Authorization" in asked.headers) == ("azure-key", False)
    assert asked.body["model"] == "gpt"
    (row,) = world.rows(1, request_id=raw.headers["x-softlaunch-request-id"])
    assert (row.app, row.api, row.outcome) == (APP, "chat", "answered")


def test_a_stream(client: openai.AzureOpenAI, provider: RecordedProvider) -> None:
    """Chunk by chunk."""
    provider.stream(CHUNKS)
    chunks = client.chat.completions.create(model=APP, messages=HI, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello."


def test_embeddings_and_completions(client: openai.AzureOpenAI, provider: RecordedProvider) -> None:
    """Each at the deployment's own path."""
    provider.answer_with({"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}})
    assert client.embeddings.create(model=APP, input="Hi", encoding_format="float").data[0].embedding == [0.5]
    provider.answer_with({"choices": [{"index": 0, "text": " there.", "finish_reason": "stop"}]})
    assert client.completions.create(model=APP, prompt="Hi").choices[0].text == " there."
    paths = [asked.path.partition("?")[0] for asked in provider.asked]
    assert paths == ["/openai/deployments/gpt/embeddings", "/openai/deployments/gpt/completions"]


def test_responses(client: openai.AzureOpenAI, provider: RecordedProvider) -> None:
    """Asked for, and read again by the id; the client's version goes to nobody."""
    provider.answer_with(RESPONSE)
    made = client.responses.create(model=APP, input="Hi")
    assert made.output_text == "Hello."
    if "/deployments/" not in str(client.base_url):  # else this client asks a path that Azure has neither
        assert client.responses.retrieve(made.id).id == made.id
        assert provider.asked[-1].path == "/openai/deployments/gpt/responses/resp_1?api-version=2025-01-01"


def test_v1_by_the_plain_client(world: World, provider: RecordedProvider) -> None:
    """As Azure's own pages have it: OpenAI's client, with a base URL."""
    client = openai.OpenAI(base_url=f"{world.url}/openai/v1/", api_key="sk-ours", max_retries=0)
    assert client.chat.completions.create(model=APP, messages=HI).choices[0].message.content == "Hello."
    assert [model.id for model in client.models.list()] == [APP]
    assert client.models.retrieve(APP).id == APP
    with world.watched():
        world.split(100.0)
        client.chat.completions.create(model=APP, messages=HI)
    assert provider.asked[-1].path == "/openai/v1/chat/completions"


def test_models(world: World) -> None:
    """The apps, as the client lists them."""
    client = openai.AzureOpenAI(azure_endpoint=world.url, api_version=VERSION, api_key="sk-ours", max_retries=0)
    assert [model.id for model in client.models.list()] == [APP]
    assert client.models.retrieve(APP).id == APP


def test_errors(world: World) -> None:
    """In Azure's words where it has some of its own."""
    client = openai.AzureOpenAI(azure_endpoint=world.url, api_version=VERSION, api_key="sk-ours", max_retries=0)
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=HI)
    assert unknown.value.code == "DeploymentNotFound"
    with pytest.raises(openai.NotFoundError) as images:
        client.images.generate(model=APP, prompt="a bridge")
    assert images.value.code == "unknown_url"
    with pytest.raises(openai.AuthenticationError) as key:
        client.with_options(api_key="wrong").chat.completions.create(model=APP, messages=HI)
    assert key.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=APP, messages=[])
    assert wrong.value.param == "messages"


@pytest.mark.parametrize("path", ["/openai", "/openai/deployments", f"/openai/deployments/{APP}/models", "/openai/v1"])
def test_paths_that_lead_nowhere(world: World, path: str) -> None:
    """Are said to."""
    response = world.client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


def test_the_body_need_not_name_the_app(world: World) -> None:
    """The path does, whatever the body says."""
    path = f"/openai/deployments/{APP}/chat/completions?api-version={VERSION}"
    assert world.client.post(path, json={"messages": HI}).status_code == 200
    assert world.client.post(path, json={"model": "gpt-4o", "messages": HI}).status_code == 200
