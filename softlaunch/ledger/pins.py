"""Where conversations began that their policy keeps on one variant: as gateways tell it each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from softlaunch.policy.release import Kind, State
from softlaunch.store.database import Database
from softlaunch.store.tables import PinRow, ReleaseRow

_OVERLAP = 500
"""So many rows are read again: of two gateways that write at once the later one may have the lower id."""
_DELETED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Pin:
    """A conversation began on a variant, in a stage of a release if any; it stays until then (epoch seconds)."""

    digest: str
    release_id: str | None
    stage: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class PinsRead:
    """Pins by app and unit in the order in which they were written, and the newest row's number."""

    pins: Sequence[tuple[tuple[str, int], Pin]]
    newest: int


def read_pins(database: Database, known: int, most: int, now: float) -> PinsRead:
    """Those that were written after row `known`, at most the newest so many, without those that are over."""
    with database.read() as session:
        newest = session.execute(select(func.max(PinRow.id))).scalar() or 0
        if newest == known:
            return PinsRead((), known)
        known = known if known < newest else 0  # all were deleted, and their numbers are given again
        since = max(known - _OVERLAP if known else 0, newest - most)
        rows = session.execute(
            select(
                col(PinRow.app),
                col(PinRow.unit),
                col(PinRow.variant_digest),
                col(PinRow.release_id),
                col(PinRow.stage),
                col(PinRow.expires_at),
            )
            .where(col(PinRow.id) > since, col(PinRow.expires_at) > now)
            .order_by(col(PinRow.id))
        ).all()
    return PinsRead([_read(*row) for row in rows], newest)


def _read(
    app: str, unit: int, digest: str, release_id: str | None, stage: int, expires_at: float
) -> tuple[tuple[str, int], Pin]:
    """A row, whose texts are shared with the others: there are few of them, and many rows."""
    pin = Pin(intern(digest), None if release_id is None else intern(release_id), stage, expires_at)
    return (intern(app), unit), pin


def read_retired(session: Session, app: str) -> frozenset[str]:
    """Digests of variants that a promotion replaced, and that no later rollback speaks against.

    A release that was rolled back after its promotion has replaced nothing.
    """
    rows = session.execute(
        select(col(ReleaseRow.state), col(ReleaseRow.stable_digest), col(ReleaseRow.candidate_digest))
        .where(col(ReleaseRow.app) == app, col(ReleaseRow.kind) == Kind.RELEASE)
        .where(col(ReleaseRow.state).in_([State.PROMOTED, State.ROLLED_BACK, State.ABORTED]))
        .order_by(col(ReleaseRow.number).desc())
    ).all()
    retired, rolled_back = set[str](), set[str]()
    for state, stable, candidate in rows:
        if state == State.PROMOTED:
            retired |= {stable} - rolled_back
        else:
            rolled_back.add(candidate)
    return frozenset(retired)


def forget_pins(database: Database, now: float) -> int:
    """Delete pins that are over, page by page; returns how many."""
    total = 0
    while True:
        with database.begin() as session:
            over = select(col(PinRow.id)).where(col(PinRow.expires_at) <= now).limit(_DELETED_AT_ONCE)
            found = list(session.execute(over).scalars())
            if found:
                session.execute(delete(PinRow).where(col(PinRow.id).in_(found)))
        total += len(found)
        if len(found) < _DELETED_AT_ONCE:
            return total
