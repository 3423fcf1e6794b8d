"""Evals of models that speak Messages and nothing else."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Sampling, Variant
from softlaunch.evals.calls.answers import CallKey, EvalArm, Status
from softlaunch.evals.calls.call import Call, CallOptions, Client
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.endpoint import open_endpoints
from softlaunch.evals.calls.probe import probe
from softlaunch.evals.calls.speaking import body_of, read_message
from softlaunch.evals.calls.tool_calls import tool_calls_in
from softlaunch.evals.suites.case import Case
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider

ANSWER = {
    "type": "message",
    "model": "claude-test-20260101",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Paris"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 5},
}
CALLS = [{"type": "tool_use", "id": "t", "name": "look_up", "input": {"city": "Paris"}}]


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider that answers with the message above."""
    with recorded_provider() as running:
        running.answer_with(ANSWER)
        yield running


def of(endpoint: str, apis: tuple[str, ...] = ("messages",), **sampling: Any) -> Variant:
    """A variant on a model there."""
    message = PromptMessage(role="system", content="You help {{ who }}.")
    fields = {"provider": "anthropic", "api_key_env": "CLAUDE_KEY", "apis": apis}
    return Variant(
        prompt=PromptVersion(name="support", version="1.0.0", messages=(message,)),
        model=ModelVersion.model_validate({"name": "m", "model": "claude-test", "endpoint": endpoint, **fields}),
        sampling=Sampling(**sampling),
    )


CASE = Case.model_validate(
    {
        "id": "one",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "The capital?"}],
        "variables": {"who": "Ann"},
        "expected": "Paris",
    }
)


def answer(variant: Variant) -> Any:
    """What one call comes to."""

    async def once() -> Any:
        async with open_endpoints(20.0) as endpoints:
            client = Client(endpoints, CallOptions(), Deadline())
            return await client.answer(Call(CallKey(EvalArm.STABLE, "one", 0), variant, CASE))

    return asyncio.run(once())


def test_a_case_is_asked_by_messages(provider: RecordedProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its system messages are `system`, behind the prompt's, and Anthropic's API gets its key and version."""
    monkeypatch.setenv("CLAUDE_KEY", "secret")
    given = answer(of(provider.endpoint))
    (asked,) = provider.asked
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", "secret")
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.body == {
        "model": "claude-test",
        "max_tokens": 4096,
        "system": "You help Ann.\n\nBe brief.",
        "messages": [{"role": "user", "content": "The capital?"}],
    }
    assert (given.status, given.answer, given.scores) == (Status.SCORED, "Paris", {"accuracy": 1.0})
    assert (given.input_tokens, given.output_tokens, given.resolved_model) == (50, 5, "claude-test-20260101")


def test_a_call_of_a_tool_is_read_as_one(provider: RecordedProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a chat."""
    monkeypatch.setenv("CLAUDE_KEY", "secret")
    provider.answer_with({**ANSWER, "content": CALLS})
    (call,) = tool_calls_in(answer(of(provider.endpoint)).answer)
    assert (call.name, call.arguments) == ("look_up", {"city": "Paris"})


@pytest.mark.parametrize("document", [{"content": "x"}, {"content": [1]}, {"choices": []}, []])
def test_what_is_no_message(provider: RecordedProvider, monkeypatch: pytest.MonkeyPatch, document: object) -> None:
    """Has no score, and is never wrong."""
    monkeypatch.setenv("CLAUDE_KEY", "secret")
    provider.answer_with(document)
    given = answer(of(provider.endpoint))
    assert (given.status, given.error) == (Status.UNSCORED, "bad_answer")


def test_a_variant_that_sets_what_messages_do_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is unscored with a reason of its own."""
    monkeypatch.setenv("CLAUDE_KEY", "secret")
    assert answer(of("http://127.0.0.1:9/v1", seed=1)).error == "unsuitable"


def test_the_longest_answer_is_the_variants() -> None:
    """Where it says one."""
    assert body_of(of("http://127.0.0.1:9/v1", max_tokens=7), CASE.request)["max_tokens"] == 7


def test_a_model_with_chats_is_asked_by_these() -> None:
    """As ever."""
    variant = of("http://127.0.0.1:9/v1", apis=("messages", "chat"))
    assert body_of(variant, CASE.request) == variant.request_body(CASE.request)


@pytest.mark.parametrize(
    ("api", "path", "document"),
    [
        ("messages", "/v1/messages", ANSWER),
        ("embeddings", "/v1/embeddings", {"data": [{"embedding": [0.5]}]}),
        ("responses", "/v1/responses", {"output": []}),
        ("completions", "/v1/completions", {"choices": []}),
    ],
)
def test_a_probe_asks_by_what_a_model_serves(
    provider: RecordedProvider, monkeypatch: pytest.MonkeyPatch, api: str, path: str, document: object
) -> None:
    """One that only makes vectors has no chats to be asked for."""
    monkeypatch.setenv("CLAUDE_KEY", "secret")
    model = of(provider.endpoint, apis=(api,)).model
    provider.answer_with(document)
    assert probe([model])[0].problem is None
    assert provider.asked[0].path == path
    provider.answer_with({"status": "ok"})
    assert "answers with JSON that is no" in str(probe([model])[0].problem)


def test_usage_of_a_message_counts_what_its_cache_had() -> None:
    """As the gateway counts it."""
    assert read_message(ANSWER).usage == Usage(50, 5, cached_tokens=30)
