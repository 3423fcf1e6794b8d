"""What goes through a gateway comes out as it went in, but for what the variant changes.

Bodies and answers are drawn: realistic shapes of each API, with fields, events and orders that nobody knows yet.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softlaunch.core.system_messages import SystemRule
from softlaunch.core.variant import PromptMessage, PromptVersion, Sampling
from tests.gateway.protocols import answer_shapes as answers
from tests.gateway.protocols import request_shapes as requests
from tests.gateway.protocols.answer_shapes import Streamed
from tests.gateway.protocols.documents import SPELLINGS, Document, spelled, spread
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.worlds import World, running_world, variant
from tests.support.servers import FakeModels

MODEL = "model-of-stable"
SAMPLING = {"temperature": 0.25}
SYSTEM, EXAMPLE = "You help Ann.", {"role": "user", "content": "An example."}
KNOWN_ID = re.compile(rb'"resp_0123456789abcdef_sl[0-9a-f]{22}-support-bot"')
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 20}, "x": 1e2}\n\n'
DONE = b"data: [DONE]\n\n"
EACH = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def chat_sent(body: Document) -> Document:
    """The prompt's messages go before the client's; a stream is asked for its usage."""
    sent = {**body, "messages": [{"role": "system", "content": SYSTEM}, EXAMPLE, *body["messages"]]}
    if body.get("stream"):
        sent["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
    return sent


def responses_sent(body: Document) -> Document:
    """Its system message goes into `instructions`, the others before the input."""
    given, told = body["input"], body.get("instructions")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return {**body, "instructions": f"{SYSTEM}\n\n{told}" if told else SYSTEM, "input": [EXAMPLE, *items]}


def messages_sent(body: Document) -> Document:
    """Its system message goes into `system`, as text or as a block, the others before the client's messages."""
    told = body.get("system")
    block = {"type": "text", "text": SYSTEM}
    system = [block, *told] if isinstance(told, list) else f"{SYSTEM}\n\n{told}" if told else SYSTEM
    return {**body, "system": system, "messages": [EXAMPLE, *body["messages"]]}


@dataclass(frozen=True)
class Protocol:
    """Where an API is asked, with what, what of it is to reach the provider, and what it answers."""

    path: str
    bodies: st.SearchStrategy[Document]
    sent: Callable[[Document], Document]
    whole: st.SearchStrategy[bytes]
    streamed: st.SearchStrategy[Streamed]


CHAT = Protocol("/v1/chat/completions", requests.CHAT, chat_sent, answers.completion(), answers.chunks())
RESPONSES = Protocol("/v1/responses", requests.RESPONSES, responses_sent, answers.response(), answers.response_events())
MESSAGES = Protocol("/v1/messages", requests.MESSAGES, messages_sent, answers.message(), answers.message_events())
each_protocol = pytest.mark.parametrize("protocol", [CHAT, RESPONSES, MESSAGES], ids=["chat", "responses", "messages"])


@pytest.fixture(scope="module")
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with whatever an example draws."""
    with recorded_provider() as running:
        yield running


@pytest.fixture(scope="module")
def world(migrated_file_url: str, shared_models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """An app whose variant has a system message with a variable, an example and a parameter."""
    messages = (
        PromptMessage(role="system", content="You help {{ who }}."),
        PromptMessage(role="user", content="An example."),
    )
    prompt = PromptVersion(name="support", version="1.0.0", messages=messages, system=SystemRule.KEEP)
    changes: Mapping[str, Any] = {"prompt": prompt, "sampling": Sampling(**SAMPLING)}
    stable = variant(MODEL, provider.endpoint).model_copy(update=changes)
    with running_world(migrated_file_url, shared_models, stable=stable) as running:
        yield running


def ask(world: World, path: str, content: bytes) -> httpx.Response:
    """Send a body as it is."""
    return world.client.post(path, content=content, headers={"Content-Type": "application/json"})


def with_known_ids(content: bytes, body: Document) -> bytes:
    """An answer with the ids that clients know taken back; one that isn't kept has its provider's own."""
    if body.get("store") is False:
        return content
    return KNOWN_ID.sub(b'"resp_0123456789abcdef"', content)


def without_signs_of_life(content: bytes) -> bytes:
    """The events that say something."""
    events = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", content)
    return b"".join(event for event in events if event.startswith(b"event: ") or b"data:" in event)


@pytest.mark.long
@each_protocol
@EACH
@given(data=st.data())
def test_whole_answers(world: World, provider: RecordedProvider, protocol: Protocol, data: st.DataObject) -> None:
    """A body reaches the provider equal but for prompt, model and parameters; its answer comes back to the byte."""
    body, answer = data.draw(spread(protocol.bodies)), data.draw(protocol.whole)
    provider.answers[""] = (200, "application/json", answer)
    response = ask(world, protocol.path, data.draw(SPELLINGS).write(body))
    wanted = {**protocol.sent(body), **SAMPLING, "model": MODEL}
    del wanted["variables"]
    assert (response.status_code, provider.asked[-1].path) == (200, protocol.path)
    assert spelled(provider.asked[-1].body) == spelled(wanted)
    assert with_known_ids(response.content, body) == answer


@pytest.mark.long
@each_protocol
@EACH
@given(data=st.data())
def test_streamed_answers(world: World, provider: RecordedProvider, protocol: Protocol, data: st.DataObject) -> None:
    """From the first token on every event comes to the byte; before it all but signs of life do."""
    body = {**data.draw(spread(protocol.bodies)), "stream": True}
    stream, end, wanted_end = data.draw(protocol.streamed), b"", b""
    if protocol is CHAT:
        asked = (body.get("stream_options") or {}).get("include_usage")
        end, wanted_end = USAGE + DONE, (USAGE if asked else b"") + DONE
    provider.stream(stream.sent + end)
    response = ask(world, protocol.path, orjson.dumps(body))
    sent = {**protocol.sent(body), **SAMPLING, "model": MODEL}
    del sent["variables"]
    assert response.status_code == 200
    assert spelled(provider.asked[-1].body) == spelled(sent)
    heard = with_known_ids(response.content, body)
    assert heard.endswith(stream.tail + wanted_end)
    assert without_signs_of_life(heard.removesuffix(stream.tail + wanted_end)) == stream.before


def test_a_sign_of_life_before_the_first_token_comes_no_later(world: World, provider: RecordedProvider) -> None:
    """It isn't kept until an event comes in two pieces, and put between two tokens then."""
    first, second = (b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % word for word in (b"Hel", b"lo"))
    begun = b": ping\n\n" + first
    provider.stream(begun + second + DONE)
    provider.cuts = (len(begun), len(begun) + 9)
    content = b'{"model": "support-bot", "messages": [{"role": "user"}], "variables": {"who": "Ann"}, "stream": true}'
    try:
        assert ask(world, CHAT.path, content).content == first + second + DONE
    finally:
        provider.cuts = ()


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        pytest.param("9223372036854775807", "9223372036854775807", id="64 bits"),
        pytest.param("18446744073709551615", "18446744073709551615", id="64 bits without a sign"),
        pytest.param("-0.0", "-0.0", id="a negative zero"),
        pytest.param("1E+2", "100.0", id="with an exponent"),
        pytest.param("123456789012345678901", "1.2345678901234568e+20", id="an integer beyond 64 bits"),
    ],
)
def test_numbers(world: World, provider: RecordedProvider, number: str, sent: str) -> None:
    """They keep their value in 64 bits: larger integers become the nearest float, as the documentation says."""
    provider.answer_with({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]})
    body = b'{"model": "support-bot", "messages": [{"role": "user"}], "variables": {"who": "Ann"}, "x": %b}'
    assert ask(world, CHAT.path, body % number.encode()).status_code == 200
    assert provider.asked[-1].content.endswith(b'"x":%b,"temperature":0.25}' % sent.encode())
