"""What of text a request carried besides its question: what judges check an answer against."""

from collections.abc import Iterator, Mapping
from typing import Any

_PLACES = ("system", "instructions", "messages", "input")
_TEXTS = ("content", "text", "output")


def context_of(body: Mapping[str, Any], question: str) -> str | None:
    """The client's system messages, earlier turns, results of tools and variables, in order; None where it has none.

    It is read alike from every protocol's body. Images, sounds and calls of tools have no text.
    """
    variables = body.get("variables")
    given = variables.values() if isinstance(variables, Mapping) else ()
    found = [*_texts([body.get(place) for place in _PLACES]), *(one for one in given if isinstance(one, str))]
    return "\n\n".join(text for text in found if text and text not in question) or None


def _texts(value: object) -> Iterator[str]:
    """Every text in messages, in the order in which it stands there."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, Mapping):
        for key in _TEXTS:
            if key in value:
                yield from _texts(value[key])
