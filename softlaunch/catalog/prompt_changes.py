"""What happened to a prompt: versions that were recorded, where aliases pointed, and what changed in the words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from sqlmodel import Session, col, select

from softlaunch.catalog.aliases import RELEASED
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import PromptVersion
from softlaunch.core.word_diff import Op, Piece, diff_words
from softlaunch.store.tables import AliasMoveRow, PromptRow, VariantRow


@dataclass(frozen=True, slots=True)
class PromptEvent:
    """Something that happened to a prompt version, and who or what made it happen."""

    when: datetime
    version: str
    what: str
    by: str


def read_log(session: Session, name: str) -> list[PromptEvent]:
    """What happened to a prompt, newest first. Raises NotFoundError for a name that isn't recorded."""
    rows = session.exec(select(PromptRow).where(PromptRow.name == name)).all()
    if not rows:
        known = ", ".join(sorted(set(session.exec(select(PromptRow.name))))) or "none yet; run 'softlaunch apply'"
        raise NotFoundError(f"no prompt {name!r} is recorded; recorded: {known}")
    moves = session.exec(
        select(AliasMoveRow, VariantRow.prompt_version)
        .join(VariantRow, col(VariantRow.digest) == col(AliasMoveRow.variant_digest))
        .where(VariantRow.prompt_name == name, col(AliasMoveRow.alias).in_(RELEASED))
    )
    events = [
        *(PromptEvent(row.recorded_at, row.version, f"recorded from {row.source}", _author(row)) for row in rows),
        *(
            PromptEvent(move.moved_at, version, f"{move.alias} of {move.app}", move.release_id or move.moved_by)
            for move, version in moves
        ),
    ]
    return sorted(events, key=lambda event: event.when, reverse=True)


def _author(row: PromptRow) -> str:
    return str(row.content["author"])


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
