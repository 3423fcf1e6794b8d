"""Requests by an API that an app's model doesn't serve."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels

HI = [{"role": "user", "content": "Hi"}]
CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers every path with a chat completion."""
    with recorded_provider() as running:
        running.answer_with(CHAT)
        yield running


@pytest.fixture
def world(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app whose stable serves chats, and whose candidate only Messages."""
    stable = variant("stable", provider.endpoint, apis=["chat"])
    candidate = variant("candidate", provider.endpoint, apis=["messages"])
    with running_world(ledger_url, models, stable=stable, candidate=candidate) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "fields", "kind"),
    [
        pytest.param("/v1/messages", {"messages": HI}, "not_found_error", id="in Anthropic's words"),
        pytest.param("/v1/messages/count_tokens", {"messages": HI}, "not_found_error", id="counting"),
        pytest.param("/v1/responses", {"input": "Hi"}, "invalid_request_error", id="in OpenAI's words"),
        pytest.param("/v1/embeddings", {"input": "Hi"}, "invalid_request_error", id="embeddings"),
    ],
)
def test_what_a_model_does_not_serve(
    world: World, provider: RecordedProvider, path: str, fields: dict[str, Any], kind: str
) -> None:
    """Is said at once, with what it does serve; no provider is asked, and nothing is logged."""
    response = world.client.post(path, json={"model": APP, **fields})
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (404, kind)
    assert "its model stable serves chat" in error["message"]
    assert error.get("code", "unsupported_api") == "unsupported_api"
    assert provider.asked == []
    assert world.rows() == []


def test_a_candidate_that_does_not_serve_it_is_not_asked(world: World, provider: RecordedProvider) -> None:
    """Its share of the requests stays on stable."""
    with world.watched():
        world.split(100.0, shadow_percent=100.0)
        row = world.row_of(world.ask())
    assert (row.arm, row.weight_percent, row.outcome) == ("stable", 0.0, "answered")
    assert [asked.body["model"] for asked in provider.asked] == ["stable"]
    assert world.metric("softlaunch_requests_kept_on_stable_total") == 1
