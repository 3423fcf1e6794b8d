"""What stands between fences in an answer, and the JSON in it, wherever a model has put it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

_OPENING = re.compile(r"^[ \t>]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<rest>[^\n]*)$", re.MULTILINE)
_LANGUAGE = re.compile(r"(?P<language>[A-Za-z][\w+.#-]*)?(?=$|\s|[{\[\"])")
_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_MOST_BRACKETS = 1_000  # that may begin a JSON value, in prose
_JSON_NAMES = frozenset({"json", "jsonc", "json5", "jsonl", "geojson"})


class Strip(StrEnum):
    """What is taken off an answer before it is read."""

    NONE = "none"
    FENCES = "fences"


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences, and the language that the opening one names; `cut` where none closes it."""

    language: str
    text: str
    cut: bool = False


def blocks_in(answer: str) -> Iterator[Block]:
    """The fenced blocks of an answer, in their order: on lines of their own, or on one line with their fences."""
    position = 0
    while opening := _OPENING.search(answer, position):
        fence, rest = opening["fence"], opening["rest"]
        language = _LANGUAGE.match(rest)
        named = (language["language"] or "") if language else ""
        first = rest[len(named) :].strip()
        if fence in first:  # all of it on this line
            yield Block(named.casefold(), first[: first.rindex(fence)].strip())
            position = opening.end()
            continue
        closing = re.compile(rf"^(?P<last>.*?)[ \t]*{re.escape(fence)}+[ \t]*$", re.MULTILINE)
        end = closing.search(answer, opening.end() + 1)
        inside = answer[opening.end() + 1 : end.start("last") if end else len(answer)]
        inside += end["last"].strip("> \t") if end else ""
        yield Block(
            named.casefold(), "\n".join(part for part in (first, inside.removesuffix("\n")) if part), cut=end is None
        )
        position = end.end() if end else len(answer)


def without_thoughts(answer: str) -> str:
    """The answer without what a model thought aloud before it."""
    return _THOUGHT_END.sub("", _THOUGHT.sub("", answer)) if "<" in answer else answer


def stripped(answer: str, strip: Strip) -> str:
    """The answer as a metric of texts reads it; fenced blocks that are closed are joined by a newline."""
    blocks = [block.text for block in blocks_in(answer) if not block.cut] if strip is Strip.FENCES else []
    return "\n".join(blocks) if blocks else answer


def json_texts(answer: str, strip: Strip) -> list[str]:
    """Where JSON may be in an answer, the likeliest place first; never empty.

    The last fenced block that is named JSON, then the last of the others; without fences the whole answer.
    """
    if strip is Strip.NONE:
        return [answer]
    answer = without_thoughts(answer)
    blocks = list(blocks_in(answer))
    named = [block.text for block in blocks if block.language in _JSON_NAMES]
    others = [block.text for block in blocks if not block.language]
    found = [*reversed(named), *reversed(others)]
    rest = [block.text for block in reversed(blocks) if block.text not in found]
    return [*found, *rest] or [answer]


def json_within(answer: str) -> Iterator[Any]:
    """Every JSON object and list that stands in an answer, the outermost of each place, with prose around it or not."""
    decoder = json.JSONDecoder()
    position, tried = 0, 0
    while tried < _MOST_BRACKETS:
        begin = min((at for at in (answer.find("{", position), answer.find("[", position)) if at >= 0), default=-1)
        if begin < 0:
            return
        tried += 1
        try:
            value, position = decoder.raw_decode(answer, begin)
            yield orjson.loads(orjson.dumps(value))
        except (ValueError, RecursionError, TypeError):
            position = begin + 1
