"""Counting the tokens of a message before it is asked: passed on to the variant that would answer it."""

from typing import Any

import orjson

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.variant import Variant
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError, WholeAnswer
from softlaunch.gateway.protocols.messages.protocol import Messages
from softlaunch.gateway.protocols.protocol import Body
from softlaunch.gateway.refusals import read_error

_OF_ANSWERS = ("temperature", "top_p", "stop_sequences", "max_tokens")
_COUNT = frozenset({"thinking", "output_config", "cache_control", "mcp_servers", "context_management"})
"""What a variant's `extra_body` may hold that counts: it becomes part of the input."""


class CountTokens(Messages):
    """`/messages/count_tokens`: the prompt counts, and no parameter of an answer does."""

    path = "/messages/count_tokens"
    is_judged = False

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """A message's body, without what only an answer has."""
        counted = super().request_body(variant, body, work)
        extra = (
            () if variant.parameters is None else (name for name in variant.parameters.extra_body if name not in _COUNT)
        )
        for name in (*_OF_ANSWERS, *extra):
            if name not in body:
                counted.pop(name, None)
        return counted

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:  # noqa: ARG002
        """A document with `input_tokens`."""
        try:
            answer = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswerError(f"the provider's answer is no JSON: {error}") from error
        if isinstance(answer, dict) and "input_tokens" in answer:
            return WholeAnswer(RequestOutcome.ANSWERED, None, "")
        reported = read_error(answer)
        if reported is not None:
            raise ReportedError(reported, answer)
        raise MalformedAnswerError("the provider's answer counts no tokens")
