"""What providers' errors come to, in the words of each."""

from typing import Any

import pytest

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.refusals import Refusal, classify, read_error

FAULT, FAILED = RequestOutcome.REQUEST_AT_FAULT, RequestOutcome.PROVIDER_FAILED
LIMITED, MALFORMED = RequestOutcome.RATE_LIMITED, RequestOutcome.MALFORMED
HIDDEN = Refusal(FAILED, 502, shown=False)


def error(message: str, **fields: Any) -> dict[str, Any]:
    """An error document of OpenAI's shape."""
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        pytest.param(400, error("'temperature' is too high", code="invalid_value"), Refusal(FAULT, 400), id="invalid"),
        pytest.param(
            400,
            error("Your credit balance is too low. Please go to Plans & Billing.", type="invalid_request_error"),
            HIDDEN,
            id="Anthropic: no credit",
        ),
        pytest.param(
            400,
            error("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
            Refusal(FAULT, 400),
            id="OpenAI: too long",
        ),
        pytest.param(
            400,
            {"object": "error", "message": "The prompt is too long", "type": "BadRequestError", "code": 400},
            Refusal(FAULT, 400),
            id="vLLM: flat",
        ),
        pytest.param(
            400,
            error("the request exceeds the available context size", type="exceed_context_size_error", code=400),
            Refusal(FAULT, 400),
            id="llama.cpp: too long",
        ),
        pytest.param(
            500, error("the request exceeds the available context size"), Refusal(FAULT, 500), id="too long, as a 500"
        ),
        pytest.param(
            400,
            error("filtered", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
            Refusal(FAULT, 400),
            id="Azure: the prompt was filtered",
        ),
        pytest.param(
            403, error("Input flagged", code=403, metadata={"flagged_input": "x"}), Refusal(FAULT, 403), id="OpenRouter"
        ),
        pytest.param(400, error("Content Exists Risk"), Refusal(FAULT, 400), id="DeepSeek: moderation"),
        pytest.param(413, error("Request too large", type="request_too_large"), Refusal(FAULT, 413), id="too large"),
        pytest.param(422, {"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, Refusal(FAULT, 422), id="FastAPI"),
        pytest.param(404, error("No such file: file-12", code="not_found"), Refusal(FAULT, 404), id="no such file"),
        pytest.param(404, error("The model `x` does not exist", code="model_not_found"), HIDDEN, id="unknown model"),
        pytest.param(404, error("Not Found"), HIDDEN, id="a wrong path"),
        pytest.param(400, error("x/y is not a valid model ID", code=400), HIDDEN, id="OpenRouter: unknown model"),
        pytest.param(401, error("Incorrect API key provided: sk-1"), HIDDEN, id="a bad key"),
        pytest.param(400, error("API key not valid.", status="INVALID_ARGUMENT"), HIDDEN, id="Google: a bad key"),
        pytest.param(402, error("Insufficient Balance", code="invalid_request_error"), HIDDEN, id="no credit"),
        pytest.param(403, error("Country not supported"), HIDDEN, id="not for us"),
        pytest.param(307, None, HIDDEN, id="a redirect"),
        pytest.param(429, error("Rate limit reached", code="rate_limit_exceeded"), Refusal(LIMITED, 429), id="limited"),
        pytest.param(429, error("You exceeded your current quota", code="insufficient_quota"), HIDDEN, id="no quota"),
        pytest.param(498, error("capacity exceeded", code="capacity_exceeded"), Refusal(LIMITED, 498), id="Groq: 498"),
        pytest.param(
            400, error("The model's tool call failed", code="tool_use_failed"), Refusal(MALFORMED, 400), id="Groq: tool"
        ),
        pytest.param(408, error("Timed out"), Refusal(RequestOutcome.TOTAL_TIMEOUT, 408), id="its own limit"),
        pytest.param(500, None, Refusal(FAILED, 500), id="broken"),
        pytest.param(529, error("Overloaded", type="overloaded_error"), Refusal(FAILED, 529), id="Anthropic: overload"),
        pytest.param(200, error("Rate limit", code=429), Refusal(LIMITED, 429), id="429 in a 200"),
        pytest.param(200, error("too long", code="400"), Refusal(FAULT, 400), id="a code in digits"),
        pytest.param(200, error("Slow down", code="rate_limit_exceeded"), Refusal(LIMITED, 429), id="only a name"),
        pytest.param(200, error("Internal server error"), Refusal(FAILED, 502), id="only words"),
        pytest.param(200, error("'n' is invalid", type="invalid_request_error"), Refusal(FAULT, 400), id="only a type"),
        pytest.param(200, error("?"), Refusal(FAILED, 502), id="no words at all"),
        pytest.param(
            200,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            Refusal(FAILED, 502),
            id="Anthropic: in a stream",
        ),
    ],
)
def test_whose_fault_an_error_is(status: int, document: object, expected: Refusal) -> None:
    """By status and code first, then by words; what speaks of endpoint, key or account isn't for the client."""
    assert classify(status, read_error(document)) == expected


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"choices": [], "usage": {}}, id="usage"),
        pytest.param({"status": "processing", "message": "queued"}, id="progress"),
        pytest.param({"error": None, "choices": [{}]}, id="no error"),
        pytest.param([], id="an empty list"),
        pytest.param("error", id="a text"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_no_error(document: object) -> None:
    """Only a document that says so is an error."""
    assert read_error(document) is None


def test_words_nested_beyond_measure_are_no_words() -> None:
    """A detail that can't be written is left out, and the error stays one."""
    deep: object = "x"
    for _ in range(900):
        deep = [deep]
    assert classify(422, read_error({"detail": deep})) == Refusal(FAULT, 422)
