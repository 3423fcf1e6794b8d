"""A prompt's history in the ledger: versions recorded, and where the aliases of apps pointed."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from softlaunch.catalog.aliases import RELEASED
from softlaunch.core.errors import NotFoundError
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
