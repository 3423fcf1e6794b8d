"""Reading embeddings: whether each input got its vector."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer, not_an_answer, parsed_answer


def inputs_of(body: Mapping[str, Any]) -> int:
    """How many inputs a request brought: a text or a list of tokens is one."""
    given = body.get("input")
    return len(given) if isinstance(given, list) and not all(isinstance(part, int) for part in given) else 1


def read_embeddings(content: bytes, facts: Facts, inputs: int) -> WholeAnswer:
    """A whole answer; fills `facts`. Raises MalformedAnswerError, and ReportedError for an error document.

    Fewer vectors than inputs, or an empty one, serve nobody (`empty`), nor does one with a number that is none
    (`invalid`). Nothing is put out, so that the output has 0 tokens.
    """
    answer = parsed_answer(content)
    items = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise not_an_answer(answer, "has no list of embeddings")
    facts.note(answer)
    if facts.usage.input_tokens is not None:
        facts.usage = facts.usage._replace(output_tokens=0)
    return WholeAnswer(_outcome([item.get("embedding") for item in items], inputs), None, "")


def _outcome(vectors: list[object], inputs: int) -> RequestOutcome:
    """A vector is a list of numbers, or a text in base64."""
    if len(vectors) < inputs or not all(isinstance(vector, list | str) and vector for vector in vectors):
        return RequestOutcome.EMPTY
    has_gaps = any(isinstance(vector, list) and None in vector for vector in vectors)
    return RequestOutcome.INVALID if has_gaps else RequestOutcome.ANSWERED
