"""What changed between two prompt versions, word by word. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest

from softlaunch.variant import PromptVersion

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


@dataclass(frozen=True, slots=True)
class PartDiff:
    """The changes of one part of a prompt: a message, by its place and role, or a line of its metadata."""

    part: str
    pieces: tuple[Piece, ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return any(piece.op is not Op.SAME for piece in self.pieces)


def diff_prompts(before: PromptVersion, after: PromptVersion) -> tuple[PartDiff, ...]:
    """The parts that differ between two versions: messages first, in order, then metadata."""
    parts = [*_messages(before, after), *_metadata(before, after)]
    return tuple(part for part in parts if part.changed)


def diff_words(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces of two texts; joined without those that were added they are `before`, without the removed `after`."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces: list[Piece] = []
    for _, start, stop, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        kept = old[start:stop] == new[begin:end]
        removed, added = "".join(old[start:stop]), "".join(new[begin:end])
        if kept:
            pieces.append(Piece(Op.SAME, removed))
        else:
            pieces += [Piece(op, text) for op, text in ((Op.REMOVED, removed), (Op.ADDED, added)) if text]
    return tuple(pieces)


def _messages(before: PromptVersion, after: PromptVersion) -> Iterator[PartDiff]:
    for number, (old, new) in enumerate(zip_longest(before.messages, after.messages), start=1):
        role = " -> ".join(dict.fromkeys(one.role for one in (old, new) if one is not None))
        pieces = diff_words("" if old is None else old.content, "" if new is None else new.content)
        yield PartDiff(f"message {number} ({role})", pieces)


def _metadata(before: PromptVersion, after: PromptVersion) -> Iterator[PartDiff]:
    for name in ("author", "purpose"):
        yield PartDiff(name, diff_words(getattr(before, name), getattr(after, name)))
    for name in sorted({*before.defaults, *after.defaults}):
        yield PartDiff(f"default of {name}", diff_words(before.defaults.get(name, ""), after.defaults.get(name, "")))
