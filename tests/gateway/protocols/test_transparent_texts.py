"""Completions and embeddings pass the gateway as they are, but for what the variant changes."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.variant import PromptMessage, PromptVersion, Sampling
from tests.gateway.protocols import answer_shapes as answers
from tests.gateway.protocols import request_shapes as requests
from tests.gateway.protocols.documents import SPELLINGS, Document, spelled, spread
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.protocols.test_transparency import DONE, EACH, SAMPLING, SYSTEM, USAGE, ask, without_signs_of_life
from tests.gateway.worlds import World, running_world, variant
from tests.support.servers import FakeModels

MODEL = "model-of-stable"
COMPLETIONS, EMBEDDINGS = "/v1/completions", "/v1/embeddings"


def sent_of(body: Document) -> Document:
    """What of a completion's body is to reach the provider: the prompt before each text."""
    prompt = body["prompt"]
    texts = f"{SYSTEM}\n\n{prompt}" if isinstance(prompt, str) else [f"{SYSTEM}\n\n{text}" for text in prompt]
    sent = {**body, "prompt": texts, **SAMPLING, "model": MODEL}
    del sent["variables"]
    if body.get("stream"):
        sent["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
    return sent


@pytest.fixture(scope="module")
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with whatever an example draws."""
    with recorded_provider() as running:
        yield running


@pytest.fixture(scope="module")
def world(migrated_file_url: str, shared_models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app whose variant has a system message with a variable, and a parameter."""
    message = PromptMessage(role="system", content="You help {{ who }}.")
    prompt = PromptVersion(name="support", version="1.0.0", messages=(message,))
    changes: Mapping[str, Any] = {"prompt": prompt, "sampling": Sampling(**SAMPLING)}
    stable = variant(MODEL, provider.endpoint).model_copy(update=changes)
    with running_world(migrated_file_url, shared_models, stable=stable) as running:
        yield running


@EACH
@given(data=st.data())
def test_completions(world: World, provider: RecordedProvider, data: st.DataObject) -> None:
    """A body reaches the provider equal but for prompt, model and parameters; its answer comes back to the byte."""
    body, answer = data.draw(spread(requests.COMPLETIONS)), data.draw(answers.text_completion())
    provider.answers[""] = (200, "application/json", answer)
    response = ask(world, COMPLETIONS, data.draw(SPELLINGS).write(body))
    assert (response.status_code, provider.asked[-1].path) == (200, COMPLETIONS)
    assert spelled(provider.asked[-1].body) == spelled(sent_of(body))
    assert response.content == answer


@EACH
@given(data=st.data())
def test_streamed_completions(world: World, provider: RecordedProvider, data: st.DataObject) -> None:
    """From the first text on every event comes to the byte; before it all but signs of life do."""
    body = {**data.draw(spread(requests.COMPLETIONS)), "prompt": "Hello", "stream": True}
    stream = data.draw(answers.text_chunks())
    asked = (body.get("stream_options") or {}).get("include_usage")
    provider.stream(stream.sent + USAGE + DONE)
    response = ask(world, COMPLETIONS, orjson.dumps(body))
    wanted_end = stream.tail + (USAGE if asked else b"") + DONE
    assert response.status_code == 200
    assert spelled(provider.asked[-1].body) == spelled(sent_of(body))
    assert response.content.endswith(wanted_end)
    assert without_signs_of_life(response.content.removesuffix(wanted_end)) == stream.before


@EACH
@given(data=st.data())
def test_embeddings(world: World, provider: RecordedProvider, data: st.DataObject) -> None:
    """Only the model is another one, and vectors come back to the byte."""
    body, answer = data.draw(spread(requests.EMBEDDINGS)), data.draw(answers.embeddings())
    provider.answers[""] = (200, "application/json", answer)
    response = ask(world, EMBEDDINGS, data.draw(SPELLINGS).write(body))
    wanted = {**body, "model": MODEL}
    del wanted["variables"]
    assert (response.status_code, provider.asked[-1].path) == (200, EMBEDDINGS)
    assert spelled(provider.asked[-1].body) == spelled(wanted)
    assert response.content == answer
