"""What is read of spans, by three conventions."""

from typing import Any

import pytest

from softlaunch.core.api import Api
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import Usage
from softlaunch.inbound.otlp.call_spans import CallSpan, read_call
from softlaunch.policy.units import UnitSource
from tests.support.otlp import CHAT, span

NO_CHAT = {key.replace(".", "__"): None for key in CHAT}


def read(**attributes: Any) -> CallSpan:
    """A span that is a model call."""
    call = read_call(span(100.0, **attributes), {})
    assert call is not None
    return call


def test_a_chat_by_the_genai_conventions() -> None:
    """Tokens, models and the end of an answer, as the current names have them."""
    call = read(
        gen_ai__response__model="steady-2026",
        gen_ai__usage__cache_read__input_tokens=4,
        gen_ai__response__time_to_first_chunk=0.25,
    )
    assert (call.api, call.outcome, call.status) == (Api.CHAT, RequestOutcome.ANSWERED, 200)
    assert (call.began, call.ended, call.first_token_ms, call.streamed) == (100.0, 101.0, 250.0, True)
    assert (call.asked_model, call.resolved_model, call.finish_reason) == ("steady", "steady-2026", "stop")
    assert call.usage == Usage(11, 3, cached_tokens=4)


def test_a_chat_by_openinference() -> None:
    """Its span kind, its token counts, and the event at the first token."""
    call = read(
        **NO_CHAT,
        openinference__span__kind="LLM",
        llm__model_name="steady-2026",
        llm__token_count__prompt=11,
        llm__token_count__completion=3,
        llm__token_count__prompt_details__cache_read=4,
        llm__token_count__completion_details__reasoning=1,
        llm__finish_reason="length",
        events=[(0.3, "First Token Stream Event", {})],
    )
    assert (call.outcome, call.asked_model, call.resolved_model) == (RequestOutcome.TRUNCATED, "", "steady-2026")
    assert call.usage == Usage(11, 3, cached_tokens=4, reasoning_tokens=1)
    assert call.first_token_ms == pytest.approx(300)


def test_a_chat_by_older_traceloop() -> None:
    """Names that were in use before the conventions had theirs."""
    call = read(
        **{**NO_CHAT, "gen_ai__request__model": "steady"},
        llm__request__type="chat",
        gen_ai__usage__prompt_tokens=11,
        gen_ai__usage__completion_tokens=3,
        llm__is_streaming=True,
        gen_ai__completion__0__finish_reason="content_filter",
    )
    assert (call.api, call.outcome, call.streamed) == (Api.CHAT, RequestOutcome.FILTERED, True)
    assert call.usage == Usage(11, 3)


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"gen_ai__operation__name": "execute_tool"}, id="a tool"),
        pytest.param({"gen_ai__operation__name": "invoke_agent"}, id="an agent"),
        pytest.param({**NO_CHAT, "openinference__span__kind": "CHAIN"}, id="a chain of openinference's"),
        pytest.param({**NO_CHAT, "traceloop__span__kind": "workflow"}, id="a workflow of traceloop's"),
        pytest.param({**NO_CHAT, "http__request__method": "POST"}, id="an HTTP request"),
    ],
)
def test_other_spans_are_no_model_calls(attributes: dict[str, Any]) -> None:
    """What wraps a call, or comes beside it, doesn't count as a second one."""
    assert read_call(span(100.0, **attributes), {}) is None


_KEY, _BAD = "AuthenticationError: Error code: 401", "BadRequestError: Error code: 400 - bad"


@pytest.mark.parametrize(
    ("failed", "error_type", "outcome", "status"),
    [
        pytest.param("", "500", RequestOutcome.PROVIDER_FAILED, 500, id="a status as error.type"),
        pytest.param("", "timeout", RequestOutcome.TOTAL_TIMEOUT, 504, id="a timeout"),
        pytest.param("timed out.", "APITimeoutError", RequestOutcome.TOTAL_TIMEOUT, 504, id="a class of timeouts"),
        pytest.param("", "openai.APIConnectionError", RequestOutcome.CONNECT, 502, id="a class of connections"),
        pytest.param("Error code: 429", "RateLimitError", RequestOutcome.RATE_LIMITED, 429, id="a class and a status"),
        pytest.param("RateLimitError: Error code: 429", None, RequestOutcome.RATE_LIMITED, 429, id="429 in words"),
        pytest.param("APITimeoutError: Request timed out.", None, RequestOutcome.TOTAL_TIMEOUT, 504, id="in words"),
        pytest.param("InternalServerError: Error code: 500", None, RequestOutcome.PROVIDER_FAILED, 500, id="500"),
        pytest.param(_BAD, None, RequestOutcome.REQUEST_AT_FAULT, 400, id="400"),
        pytest.param(_KEY, None, RequestOutcome.PROVIDER_FAILED, 401, id="our own key"),
        pytest.param("", "asyncio.CancelledError", RequestOutcome.CLIENT_GONE, 499, id="cancelled"),
        pytest.param("", "_OTHER", RequestOutcome.PROVIDER_FAILED, 502, id="something else"),
    ],
)
def test_failures_have_the_log_s_outcomes(
    failed: str, error_type: str | None, outcome: RequestOutcome, status: int
) -> None:
    """An error's class, its words or its status say what became of a call."""
    call = read(failed=failed, error__type=error_type)
    assert (call.outcome, call.status) == (outcome, status)


def test_http_s_status_says_more_than_a_class() -> None:
    """Where an instrumentation writes both."""
    call = read(failed="", error__type="SomeError", http__response__status_code=503)
    assert (call.outcome, call.status) == (RequestOutcome.PROVIDER_FAILED, 503)


def test_an_exception_s_event_names_the_failure() -> None:
    """Where neither an attribute nor the status does."""
    raised = (0.9, "exception", {"exception.type": "openai.RateLimitError", "exception.message": "slow down"})
    assert read(failed="", events=[raised]).outcome is RequestOutcome.RATE_LIMITED


def test_an_answer_without_a_token_is_empty() -> None:
    """Vectors have no tokens, and are answers all the same."""
    assert read(gen_ai__usage__output_tokens=0).outcome is RequestOutcome.EMPTY
    vectors = read(gen_ai__operation__name="embeddings", gen_ai__usage__output_tokens=0)
    assert (vectors.outcome, vectors.api) == (RequestOutcome.ANSWERED, Api.EMBEDDINGS)


def test_units_are_named_where_the_policy_says() -> None:
    """Our own attribute comes first; a conversation is no user."""
    named = {"softlaunch__unit": None, "user__id": "u", "gen_ai__conversation__id": "c", "session__id": "s"}
    call = read(**named)
    sources = (UnitSource.USER, UnitSource.CONVERSATION, UnitSource.SESSION, UnitSource.HEADER)
    assert [call.unit(source) for source in sources] == ["u", "c", "s", ""]
    assert read(user__id="u").unit(UnitSource.USER) == "user-1"


def test_a_resource_speaks_for_its_spans_and_each_span_for_itself() -> None:
    """What a span says of itself wins."""
    call = read_call(span(1.0, softlaunch__app=None), {"softlaunch.app": "shop", "softlaunch.unit": "nobody"})
    assert call is not None
    assert (call.app, call.unit(UnitSource.USER)) == ("shop", "user-1")


def test_texts_are_not_read() -> None:
    """Neither a prompt nor an answer, nor a name that is as long as one."""
    call = read(gen_ai__input__messages="my secret", llm__output_messages__0__message__content="x", user__id="u" * 600)
    assert "my secret" not in repr(call)
    assert "user.id" not in call.names
