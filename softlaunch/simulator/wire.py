"""Answers in the form of OpenAI's chat-completion API."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from softlaunch.simulator.models import Answer, Ask

MOST_CHUNKS = 12
"""A streamed answer comes in at most so many pieces of text: enough to look like a stream, few enough to be cheap."""
DONE = b"data: [DONE]\n\n"


class BadRequestError(ValueError):
    """A request body that isn't a chat completion; the message is for the client."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the provider reads of a chat-completion body."""

    model: str
    ask: Ask
    stream: bool = False
    include_usage: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all chunks of one completion share."""

    id: str
    created: int
    model: str

    @property
    def fingerprint(self) -> str:
        """Same model, same fingerprint."""
        return "fp_" + hashlib.blake2b(self.model.encode(), digest_size=5).hexdigest()


def parse_chat_request(body: bytes) -> ChatRequest:
    """Read a request body; raises BadRequestError naming what is wrong with it."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is no valid JSON: {error}") from error
    if not isinstance(request, dict) or not isinstance(request.get("model"), str):
        raise BadRequestError("the body must be an object with 'model', a string")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(part, dict) for part in messages):
        raise BadRequestError("'messages' must be a list of at least one object")
    max_tokens = request.get("max_completion_tokens") or request.get("max_tokens")
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise BadRequestError("'max_tokens' must be a whole number above zero")
    options = request.get("stream_options")
    return ChatRequest(
        model=request["model"],
        ask=Ask(messages, max_tokens),
        stream=bool(request.get("stream")),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


def completion(envelope: Envelope, answer: Answer) -> bytes:
    """The body of an answer that isn't streamed."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return orjson.dumps(_head(envelope, "chat.completion") | {"choices": [choice], "usage": usage(answer)})


def chunks(envelope: Envelope, answer: Answer, *, include_usage: bool = False) -> Iterator[bytes]:
    """Server-sent events of a streamed answer: the role, the text in pieces, why it ended, and usage if asked for."""
    head = _head(envelope, "chat.completion.chunk")
    usage_so_far = {"usage": None} if include_usage else {}
    yield _event(head | _delta({"role": "assistant", "content": ""}) | usage_so_far)
    for piece in pieces(answer.text):
        yield _event(head | _delta({"content": piece}) | usage_so_far)
    yield _event(head | _delta({}, answer.finish_reason) | usage_so_far)
    if include_usage:
        yield _event(head | {"choices": [], "usage": usage(answer)})


def pieces(text: str) -> list[str]:
    """The text in at most MOST_CHUNKS pieces that break between words."""
    words = text.split(" ")
    size = -(-len(words) // MOST_CHUNKS)
    groups = [" ".join(words[start : start + size]) for start in range(0, len(words), size)]
    return [group if index == 0 else f" {group}" for index, group in enumerate(groups)]


def usage(answer: Answer) -> dict[str, Any]:
    """Token counts as OpenAI names them."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def error_body(status: int, message: str, code: str) -> bytes:
    """An error as OpenAI writes it."""
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _head(envelope: Envelope, kind: str) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "object": kind,
        "created": envelope.created,
        "model": envelope.model,
        "system_fingerprint": envelope.fingerprint,
    }


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"
