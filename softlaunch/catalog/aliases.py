"""Moving aliases such as `production` and `previous`, with their history.

`production` serves, `previous` is what a rollback of the newest promotion goes back to, and `baseline` is the frozen
reference of evals and drift checks: the newest variant that a release promoted and nobody rolled back.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from softlaunch.store.tables import AliasMoveRow, AliasRow

PRODUCTION = "production"
PREVIOUS = "previous"
BASELINE = "baseline"
RELEASED = frozenset({PRODUCTION, PREVIOUS, BASELINE})
"""Aliases that only releases and rollbacks move."""


def read_alias(session: Session, app: str, alias: str) -> str | None:
    """Digest of the variant that an alias points at; None where there is no such alias."""
    row = session.get(AliasRow, (app, alias))
    return None if row is None else row.variant_digest


@dataclass(frozen=True, slots=True)
class MovedBy:
    """Who moves an alias, and because of which release, if any."""

    actor: str
    release_id: str | None = None


def move_alias(session: Session, app: str, alias: str, digest: str, moved_by: MovedBy, now: datetime) -> None:
    """Point an alias at a variant and keep the move; pointing it where it points already changes nothing."""
    row = session.get(AliasRow, (app, alias))
    if row is not None and row.variant_digest == digest:
        return
    if row is None:
        row = AliasRow(app=app, alias=alias, variant_digest=digest, moved_at=now)
    row.variant_digest = digest
    row.moved_at = now
    session.add(row)
    session.add(
        AliasMoveRow(
            app=app,
            alias=alias,
            variant_digest=digest,
            release_id=moved_by.release_id,
            moved_at=now,
            moved_by=moved_by.actor,
        )
    )
