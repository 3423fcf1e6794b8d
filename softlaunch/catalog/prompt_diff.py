"""What changed between two prompt versions, word by word. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from softlaunch.core.variant import PromptVersion
from softlaunch.core.word_diff import Op, Piece, diff_words


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


def _messages(before: PromptVersion, after: PromptVersion) -> Iterator[PartDiff]:
    for number, (old, new) in enumerate(zip_longest(before.messages, after.messages), start=1):
        role = " -> ".join(dict.fromkeys(one.role for one in (old, new) if one is not None))
        pieces = diff_words("" if old is None else old.content, "" if new is None else new.content)
        yield PartDiff(f"message {number} ({role})", pieces)


def _metadata(before: PromptVersion, after: PromptVersion) -> Iterator[PartDiff]:
    for name in ("system", "author", "purpose"):
        yield PartDiff(name, diff_words(getattr(before, name), getattr(after, name)))
    for name in sorted({*before.defaults, *after.defaults}):
        yield PartDiff(f"default of {name}", diff_words(before.defaults.get(name, ""), after.defaults.get(name, "")))
