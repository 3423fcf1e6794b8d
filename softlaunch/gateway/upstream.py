"""Asking providers: a model's answer, or what a provider keeps of one."""

import asyncio
import os
import time
from collections.abc import Mapping
from urllib.parse import quote

import orjson

from softlaunch.core.endpoint import EndpointError, Way, way_to
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.gateway.calls import Answer, Call, Sink, StoredCall
from softlaunch.gateway.connections import Connections, Sent
from softlaunch.gateway.forwarding import request_headers, without_repetition_key
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.model_call import ModelCall
from softlaunch.gateway.prompt_bodies import request_body
from softlaunch.gateway.protocols.answer import MalformedAnswerError, ReportedError, WholeAnswer
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.gateway.provider.answer import HttpAnswer
from softlaunch.gateway.provider.errors import AnswerTooLargeError, ProviderCallError
from softlaunch.gateway.refusals import classify
from softlaunch.gateway.usage_asking import UsageAsking

_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.5, 5.0
"""How often an answer in the background is asked for."""
_MOST_FAILED_POLLS = 5
"""How often in a row that may fail: a provider that is asked too often, or is away for a moment, still works on it."""


class Upstream:
    """Calls providers over one pool of connections."""

    def __init__(self, limits: Limits, environment: Mapping[str, str] | None = None) -> None:
        self._limits = limits
        self._environment = os.environ if environment is None else environment
        self._connections: Connections | None = None
        self._usage = UsageAsking()

    async def open(self) -> None:
        """Make the pool; needs a running loop."""
        self._connections = Connections()

    async def close(self) -> None:
        """Close every connection."""
        if self._connections is not None:
            await self._connections.close()

    async def ask(self, call: Call, sink: Sink) -> Answer:
        """One answer; raises nothing for what a provider, a template or a missing key does."""
        if self._connections is None:
            raise RuntimeError("open the upstream before asking it")
        answer = Answer(call.protocol)
        model = call.variant.model
        try:
            body = await request_body(call.protocol, call.variant, call.body)
            added = call.protocol.asks_for_usage and self._usage.add_to(body, model)
            content = orjson.dumps(body)
            headers = request_headers(model, call.headers, self._environment, call.protocol.api)
            if call.variant.parameters is not None:
                headers.update(call.variant.extra_headers)
            way = way_to(model, call.protocol.path)
        except TemplateVariablesError as error:
            answer.fail(400, RequestOutcome.REQUEST_AT_FAULT, str(error), kind="invalid_request_error")
        except orjson.JSONEncodeError as error:  # nested deeper than what may be written, though not than what is read
            message = f"the request can't be passed on: {error}"
            answer.fail(400, RequestOutcome.REQUEST_AT_FAULT, message, kind="invalid_request_error")
        except (EndpointError, UnsuitableVariantError) as error:
            answer.fail(502, RequestOutcome.PROVIDER_FAILED, str(error))
        else:
            exchange = ModelCall(self._connections, self._limits, call, answer, sink)
            await exchange.run(way, headers, content)
            if added and self._usage.may_be_refused(model, answer.outcome, answer.body):
                body.pop("stream_options")
                answer = await self._ask_again(call, sink, answer, (way, headers), orjson.dumps(body))
        return answer

    async def stored(self, method: str, variant: Variant, path: str, asked: StoredCall) -> HttpAnswer:
        """The head of what a variant's provider says about an answer that it keeps; to be given to `done`.

        Raises EndpointError and ProviderCallError.
        """
        if self._connections is None:
            raise RuntimeError("open the upstream before asking it")
        model = variant.model
        headers = request_headers(model, asked.headers, self._environment, asked.api)
        way = way_to(model, path)
        return await self._connections.call(method, way, Sent(headers, asked.content), asked.connect_seconds)

    def done(self, answer: HttpAnswer, *, over: bool) -> None:
        """Done with what `stored` gave."""
        if self._connections is not None:
            self._connections.give_back(answer, over=over)

    async def follow(self, call: Call, pending: Answer) -> Answer:
        """An answer that its provider works on in the background: asked for by its id until it is there.

        Its latency is the time from the request until then, to within a few seconds of a long one. One that doesn't
        come within the call's limit has failed by that limit.
        """
        answer = Answer(call.protocol, attempts=pending.attempts, facts=pending.facts, passed=pending.passed)
        began = time.perf_counter() - pending.latency_ms / 1000
        asked = StoredCall(call.protocol.api, {}, call.limits.connect)
        path = f"{call.protocol.path}/{quote(pending.facts.answer_id or '')}"
        try:
            async with asyncio.timeout(call.limits.total):
                whole = await self._poll(call, path, asked, answer)
            answer.read_whole(whole, call)
        except TimeoutError:
            answer.fail(504, RequestOutcome.TOTAL_TIMEOUT, f"no whole answer within {call.limits.total:g} s")
        except MalformedAnswerError as error:
            answer.fail(502, RequestOutcome.MALFORMED, str(error))
        except ReportedError as reported:
            answer.outcome = classify(200, reported.error).outcome
        except (ProviderCallError, EndpointError) as error:
            answer.fail(502, RequestOutcome.CUT, str(error))
        answer.latency_ms = (time.perf_counter() - began) * 1000
        return answer

    async def _poll(self, call: Call, path: str, asked: StoredCall, answer: Answer) -> WholeAnswer:
        pause, failed = _FIRST_POLL_SECONDS, 0
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)
            try:
                whole = await self._read_stored(call, path, asked, answer)
            except (ProviderCallError, ReportedError, MalformedAnswerError):
                failed += 1
                if failed >= _MOST_FAILED_POLLS:
                    raise
                continue
            failed = 0
            if not whole.is_pending:
                return whole

    async def _read_stored(self, call: Call, path: str, asked: StoredCall, answer: Answer) -> WholeAnswer:
        response = await self.stored("GET", call.variant, path, asked)
        over = False
        try:
            content = await response.whole(self._limits.answer_bytes)
            over = True
        except AnswerTooLargeError:
            raise MalformedAnswerError("the provider's answer is too large") from None
        finally:
            self.done(response, over=over)
        return call.protocol.read(content, answer.facts, call.asked)

    async def _ask_again(
        self, call: Call, sink: Sink, refused: Answer, how: tuple[Way, Mapping[str, str]], content: bytes
    ) -> Answer:
        """Without what the endpoint may have refused: the client never asked for it."""
        if self._connections is None:
            return refused
        answer = Answer(call.protocol, attempts=refused.attempts)
        exchange = ModelCall(self._connections, self._limits, call, answer, sink)
        await exchange.run(how[0], without_repetition_key(how[1]), content)
        if answer.given:
            self._usage.refuse(call.variant.model)
        return answer
