"""JSON as people's programs write it: any value, fields that nobody knows anywhere in a document, and its spelling."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]
WORDS = st.text(max_size=20)
_INTEGERS = st.integers(-(2**63), 2**64 - 1)
_SCALARS = st.none() | st.booleans() | _INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | WORDS
_NESTED = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)
_DEEPEST = 100
"""Unknown fields may stand at the bottom of such a value, and the two together must still be what JSON can write."""


def _deep(depth: int) -> object:
    value: object = "at the bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"deeper": value}
    return value


VALUES = _NESTED | st.integers(1, _DEEPEST).map(_deep)
"""Any value, up to 100 levels deep."""
UNKNOWN = st.dictionaries(WORDS.map(lambda word: f"x_{word}"), VALUES, max_size=2)
"""Fields that no version of an API has yet."""


@st.composite
def spread(draw: st.DrawFn, shapes: st.SearchStrategy[Any]) -> Any:
    """A document of these shapes, with unknown fields in up to three of the objects that are in it."""
    document = deepcopy(draw(shapes))
    objects = list(_objects(document))
    for place in draw(st.lists(st.integers(0, len(objects) - 1), max_size=3)):
        objects[place].update(draw(UNKNOWN))
    return document


def _objects(value: object) -> Iterator[Document]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


@dataclass(frozen=True)
class Spelling:
    """One of the ways in which programs write JSON."""

    ascii_only: bool
    indent: int | None
    separators: tuple[str, str] | None

    def write(self, document: object) -> bytes:
        """The document's bytes."""
        separators = self.separators
        return json.dumps(document, ensure_ascii=self.ascii_only, indent=self.indent, separators=separators).encode()


SPELLINGS = st.builds(
    Spelling, st.booleans(), st.sampled_from([None, None, 1]), st.sampled_from([None, (",", ":"), (" , ", " : ")])
)


def spelled(document: object) -> str:
    """The same text for equal documents; 1, 1.0 and true aren't equal."""
    return json.dumps(document, sort_keys=True)
