"""A variant's fallback models: asked in order where its own model gives no answer, before stable is asked.

What users meet is what the arm is judged by. Where a fallback answers, outcome, tokens, cost, finish and words are
those of its answer, and the latency is what the user waited, from the first model on. Where none answers, the failure
of the variant's own model is the outcome. `attempts` counts all models either way.

A refusal of the request is no failure of a model: it is shown, or decided by the other arm, and no fallback is asked.
Nor is one where an answer has begun, or where a provider has the conversation that a request continues.
"""

import time
from collections.abc import Awaitable
from dataclasses import replace

from softlaunch.core.request_outcome import ARM_FAILURES
from softlaunch.gateway.calls import Answer, Call, Sink
from softlaunch.gateway.upstream import Upstream


def limited(call: Call, seconds: float) -> Call:
    """The same with so much time for all of its models together."""
    total = min(call.limits.total, seconds / (1 + len(call.fallbacks)))
    limits = replace(call.limits, total=total)
    return replace(call, limits=limits, fallbacks=[replace(one, limits=limits) for one in call.fallbacks])


class FallbackChain:
    """Asks the models of variants; a variant without fallbacks costs nothing here."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def ask(self, call: Call, sink: Sink) -> Awaitable[Answer]:
        """One answer, by the first model that gives one; raises nothing that a provider does."""
        return self._ask_in_order(call, sink) if call.fallbacks else self._upstream.ask(call, sink)

    async def follow(self, call: Call, pending: Answer) -> Answer:
        """An answer in the background, from the model that works on it."""
        asked = next((one for one in call.fallbacks if one.variant.model is pending.answered_by), call)
        answer = await self._upstream.follow(asked, pending)
        answer.answered_by = pending.answered_by
        return answer

    async def _ask_in_order(self, call: Call, sink: Sink) -> Answer:
        began = time.perf_counter()
        first = answer = await self._upstream.ask(call, sink)
        for fallback in call.fallbacks:
            if answer.streamed or answer.outcome not in ARM_FAILURES:
                break
            waited_ms = (time.perf_counter() - began) * 1000
            attempts = answer.attempts
            answer = await self._upstream.ask(fallback, sink)
            answer.attempts += attempts
            answer.latency_ms += waited_ms
            if answer.first_token_ms is not None:
                answer.first_token_ms += waited_ms
            answer.answered_by = fallback.variant.model
        if answer.given or answer.streamed:
            return answer
        first.attempts, first.latency_ms = answer.attempts, answer.latency_ms
        return first
