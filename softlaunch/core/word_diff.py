"""Two texts compared word by word. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from rapidfuzz.distance import Indel

_WORDS = re.compile(r"\s+|[\w'’-]+|[^\w\s]")


class Op(StrEnum):
    """What became of a piece of text."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words that stayed, went or came."""

    op: Op
    text: str


def words_of(text: str) -> list[str]:
    """A text as words, white space and signs; joined they are the text."""
    return _WORDS.findall(text)


def diff_words(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces of two texts; joined without those that were added they are `before`, without the removed `after`."""
    old, new = words_of(before), words_of(after)
    pieces: list[Piece] = []
    removed = added = ""
    for step in Indel.opcodes(old, new):
        if step.tag == "equal":
            pieces += [*_changed(removed, added), Piece(Op.SAME, "".join(old[step.src_start : step.src_end]))]
            removed = added = ""
        removed += "".join(old[step.src_start : step.src_end]) if step.tag == "delete" else ""
        added += "".join(new[step.dest_start : step.dest_end]) if step.tag == "insert" else ""
    return (*pieces, *_changed(removed, added))


def _changed(removed: str, added: str) -> list[Piece]:
    """What went, then what came in its place."""
    return [Piece(op, text) for op, text in ((Op.REMOVED, removed), (Op.ADDED, added)) if text]
