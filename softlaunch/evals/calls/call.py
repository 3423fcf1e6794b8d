"""One call of an eval: a case's request to a variant's own endpoint, until it is answered or given up."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import orjson

from softlaunch.core.endpoint import EndpointError
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.prices import cost_usd
from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, Status
from softlaunch.evals.calls.budget import Budget
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.endpoint import AttemptError, Endpoints, Reply, Target
from softlaunch.evals.calls.retry import Retries, parse_retry_after
from softlaunch.evals.calls.speaking import body_of
from softlaunch.evals.calls.throttle import Throttle
from softlaunch.evals.calls.tool_calls import tool_calls_in
from softlaunch.evals.suites.scoring import accuracy, is_scored_quickly
from softlaunch.evals.suites.suite import Case
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.metrics import ACCURACY


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask whom."""

    key: CallKey
    variant: Variant
    case: Case


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How calls are made: how many at once, each with how much time, with which retries and within which budget.

    `enough` says that what is known suffices, so that no further call is started.
    """

    concurrency: int = 16
    timeout_seconds: float = 60.0
    retries: Retries = field(default_factory=Retries)
    rng: random.Random = field(default_factory=random.Random)
    budget: Budget = field(default_factory=Budget)
    enough: Callable[[], bool] | None = None


class Client:
    """Makes calls: through one client, within one budget, and as each endpoint's limits allow.

    A call that failed is unscored, never wrong. Server errors and lost connections are tried again, a timeout is not,
    because it was paid for. A rate limit holds all calls to that endpoint and isn't counted as an attempt: it is
    waited out, for at most `retries.patience_seconds` a call.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        options: CallOptions,
        until: Deadline,
    ) -> None:
        self._endpoints = endpoints
        self._retries = options.retries
        self._budget = options.budget
        self._until = until
        self._rng = options.rng
        self._targets: dict[str, Target] = {}
        self._throttles: dict[str, Throttle] = {}

    async def answer(self, call: Call) -> EvalAnswer | None:
        """The call's outcome; None where the deadline or the budget ended it before there was one."""
        try:
            body = orjson.dumps(body_of(call.variant, call.case.request))
            target, throttle = self._target(call.variant)
        except (TemplateVariablesError, EndpointError, UnsuitableVariantError) as error:
            return _unscored(call, _code_of(error))
        failures, limits, limited_since = 0, 0, None
        while await throttle.turn(self._until) and self._budget.begin_attempt():
            try:
                reply = await self._endpoints.attempt(target, body)
            except AttemptError as failed:
                if failed.limited:
                    limits += 1
                    limited_since = limited_since or monotonic()
                    if monotonic() - limited_since > self._retries.patience_seconds:
                        return _unscored(call, failed.code)
                    throttle.hold(self._pause(limits, failed.headers))
                    continue
                failures += 1
                if not failed.again or failures == self._retries.attempts:
                    return _unscored(call, failed.code)
                await asyncio.sleep(self._pause(failures, failed.headers))
            else:
                throttle.heed(reply.headers, datetime.now(UTC))
                return await _score(call, reply)
        return None

    def _target(self, variant: Variant) -> tuple[Target, Throttle]:
        """Where a variant is called, and what holds all calls to that endpoint."""
        target = self._targets.get(variant.digest)
        if target is None:
            target = self._targets[variant.digest] = Target.of(variant.model, variant.extra_headers)
        return target, self._throttles.setdefault(target.way.url, Throttle(self._rng))

    def _pause(self, failures: int, headers: Mapping[str, str]) -> float:
        asked = parse_retry_after(headers.get("retry-after"), datetime.now(UTC))
        return self._retries.pause(failures, asked, self._rng)


async def _score(call: Call, reply: Reply) -> EvalAnswer:
    """The answer with its accuracy; where that may take its time, as a pattern may, the others aren't held up."""
    cost = cost_usd(call.variant.model, reply.usage)
    sample = call.case.sample(
        reply.text,
        tool_calls=tool_calls_in(reply.text),
        latency_ms=reply.latency_ms,
        cost_usd=cost,
        output_tokens=reply.usage.output_tokens,
    )
    if is_scored_quickly(call.case, sample):
        right = accuracy(call.case, sample).value
    else:
        right = (await asyncio.to_thread(accuracy, call.case, sample)).value
    return EvalAnswer(
        key=call.key,
        variant_digest=call.variant.digest,
        status=Status.SCORED,
        answer=reply.text,
        scores={} if right is None else {ACCURACY: right},
        latency_ms=reply.latency_ms,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cost_usd=cost,
        case_digest=call.case.digest,
        resolved_model=reply.resolved_model,
        fingerprint=reply.fingerprint,
    )


def _code_of(error: SoftlaunchError) -> str:
    if isinstance(error, UnsuitableVariantError):
        return "unsuitable"
    return "template" if isinstance(error, TemplateVariablesError) else "bad_endpoint"


def _unscored(call: Call, code: str) -> EvalAnswer:
    return EvalAnswer(key=call.key, variant_digest=call.variant.digest, status=Status.UNSCORED, error=code)
