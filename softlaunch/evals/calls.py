"""One call of an eval: a case's request to a variant's own endpoint, until it is answered or given up."""

import asyncio
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import aiohttp
import httpx
import orjson

from softlaunch.errors import SoftlaunchError
from softlaunch.evals.answers import CallKey, EvalAnswer, Status
from softlaunch.evals.metrics import ACCURACY
from softlaunch.evals.retry import Retries
from softlaunch.evals.scoring import accuracy
from softlaunch.evals.suite import Case
from softlaunch.evals.tool_calls import tool_calls_in, tool_calls_of, write_tool_calls
from softlaunch.prices import cost_usd
from softlaunch.variant import ModelVersion, TemplateVariablesError, Variant

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class MissingKeyError(SoftlaunchError):
    """A provider's key isn't in the environment."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask whom."""

    key: CallKey
    variant: Variant
    case: Case


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer as the endpoint gave it."""

    text: str
    input_tokens: int | None
    output_tokens: int | None
    latency_ms: float


class _FailedError(Exception):
    """An attempt that brought no answer: a short code, and whether another attempt may help."""

    def __init__(self, code: str, *, again: bool = False, retry_after: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.again = again
        self.retry_after = retry_after


def provider_headers(model: ModelVersion, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The Authorization header for a model's endpoint, empty where it needs none. Raises MissingKeyError."""
    if model.api_key_env is None:
        return {}
    key = (os.environ if environment is None else environment).get(model.api_key_env)
    if not key:
        raise MissingKeyError(f"model {model.name} needs its provider's key: set the variable {model.api_key_env}")
    return {"Authorization": f"Bearer {key}"}


async def ask(
    client: httpx.AsyncClient, call: Call, *, timeout_seconds: float, retries: Retries, rng: random.Random
) -> EvalAnswer:
    """Ask until there is an answer or nothing more to try; a call that failed is unscored, never wrong.

    Rate limits (429), server errors and lost connections are tried again. A timeout is not, because it was paid for.
    """
    try:
        body = orjson.dumps(call.variant.request_body(call.case.request))
    except TemplateVariablesError:
        return _unscored(call, "template")
    for attempt in range(1, retries.attempts + 1):
        try:
            reply = await _attempt(client, call.variant.model, body, timeout_seconds)
        except _FailedError as failed:
            if not failed.again or attempt == retries.attempts:
                return _unscored(call, failed.code)
            await asyncio.sleep(retries.pause(attempt, failed.retry_after, rng, datetime.now(UTC)))
        else:
            return _scored(call, reply)
    return _unscored(call, "not_tried")


async def _attempt(client: httpx.AsyncClient, model: ModelVersion, body: bytes, timeout_seconds: float) -> _Reply:
    """One request. Raises _FailedError."""
    headers = {"Content-Type": "application/json", **provider_headers(model)}
    started = perf_counter()
    try:
        async with asyncio.timeout(timeout_seconds):
            response = await client.post(
                f"{model.endpoint.rstrip('/')}/chat/completions", content=body, headers=headers
            )
    except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout) as error:
        raise _FailedError("timeout") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise _FailedError("bad_endpoint") from error
    except (httpx.TransportError, OSError) as error:
        raise _FailedError("connect", again=True) from error
    except (httpx.HTTPError, aiohttp.ClientError) as error:  # the transport passes on what isn't HTTP at all
        raise _FailedError("bad_answer") from error
    latency_ms = (perf_counter() - started) * 1000
    status = response.status_code
    if status != httpx.codes.OK:
        again = status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
        raise _FailedError(f"http_{status}", again=again, retry_after=response.headers.get("retry-after"))
    return _read(response.content, latency_ms)


def _read(content: bytes, latency_ms: float) -> _Reply:
    """A chat completion's first choice; an answer that only calls tools has these as its text."""
    try:
        completion = orjson.loads(content)
        message = completion["choices"][0]["message"]
        text = message.get("content")
        usage = completion.get("usage") or {}
        tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _FailedError("bad_answer") from error
    if isinstance(text, list):
        text = "".join(part.get("text") or "" for part in text if isinstance(part, dict))
    if not isinstance(text, str | None):
        raise _FailedError("bad_answer")
    calls = () if text else tool_calls_of(message)
    text = write_tool_calls(calls) if calls else text
    return _Reply(text or "", _count(tokens[0]), _count(tokens[1]), latency_ms)


def _count(tokens: Any) -> int | None:
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0 else None


def _scored(call: Call, reply: _Reply) -> EvalAnswer:
    cost = cost_usd(call.variant.model, reply.input_tokens, reply.output_tokens)
    sample = call.case.sample(
        reply.text,
        tool_calls=tool_calls_in(reply.text),
        latency_ms=reply.latency_ms,
        cost_usd=cost,
        output_tokens=reply.output_tokens,
    )
    right = accuracy(call.case, sample).value
    return EvalAnswer(
        key=call.key,
        variant_digest=call.variant.digest,
        status=Status.SCORED,
        answer=reply.text,
        scores={} if right is None else {ACCURACY: right},
        latency_ms=reply.latency_ms,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cost_usd=cost,
    )


def _unscored(call: Call, code: str) -> EvalAnswer:
    return EvalAnswer(key=call.key, variant_digest=call.variant.digest, status=Status.UNSCORED, error=code)
