"""The right to drive a release, and the compare-and-set transition that everything goes through."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import Session, col, select

from softlaunch.release import Release, State, check_transition
from softlaunch.store.releases import Actor, FencedError, read_release, record_transition
from softlaunch.store.tables import ReleaseRow
from softlaunch.verdict import Outcome


def claim(session: Session, release_id: str, holder: str, ttl: timedelta, now: datetime) -> int:
    """Take the right to drive a live release; returns the fencing token, larger than every earlier one.

    Raises FencedError while somebody else's right hasn't run out, or when the release is over.
    """
    claimed = session.execute(
        update(ReleaseRow)
        .where(col(ReleaseRow.id) == release_id, col(ReleaseRow.live_app).is_not(None))
        .where(col(ReleaseRow.driver_expires_at).is_(None) | (col(ReleaseRow.driver_expires_at) <= now))
        .values(driver_token=ReleaseRow.driver_token + 1, driver_holder=holder, driver_expires_at=now + ttl)
        .returning(col(ReleaseRow.driver_token))
    ).scalar_one_or_none()
    if claimed is None:
        release = read_release(session, release_id)
        if not release.state.live:
            raise FencedError(f"{release_id} is over: {release.state} ({release.reason})")
        raise FencedError(f"{release_id} is driven by {release.driver_holder} until {release.driver_expires_at}")
    return int(claimed)


def renew(session: Session, release_id: str, token: int, ttl: timedelta, now: datetime) -> None:
    """Keep the right to drive; raises FencedError when it is somebody else's by now or the release is over."""
    renewed = session.execute(
        update(ReleaseRow)
        .where(col(ReleaseRow.id) == release_id, col(ReleaseRow.live_app).is_not(None))
        .where(col(ReleaseRow.driver_token) == token)
        .values(driver_expires_at=now + ttl)
        .returning(col(ReleaseRow.id))
    ).scalar_one_or_none()
    if renewed is None:
        raise FencedError(f"driver {token} of {release_id} was replaced, or the release is over")


def release_claim(session: Session, release_id: str, token: int, now: datetime) -> None:
    """Give up the right to drive, so that the next driver needn't wait for it to run out."""
    session.execute(
        update(ReleaseRow)
        .where(col(ReleaseRow.id) == release_id, col(ReleaseRow.driver_token) == token)
        .values(driver_expires_at=now)
    )


@dataclass(frozen=True, slots=True)
class Transition:
    """A step from the release as it was read to a state, at a position of its plan. `outcome` is set where it ends."""

    release: Release
    state: State
    position: int
    reason: str
    outcome: Outcome | None = None


def apply_transition(session: Session, step: Transition, actor: Actor, now: datetime, token: int | None = None) -> None:
    """Write one step by compare-and-set; raises FencedError when the release has changed since it was read.

    With a token only the driver that holds it may write. Without one a person writes: the token grows, so that the
    driver of the moment is fenced off.
    """
    before = step.release
    check_transition(before.state, step.state)
    over = not step.state.live
    moved = (
        update(ReleaseRow)
        .where(col(ReleaseRow.id) == before.id, col(ReleaseRow.revision) == before.revision)
        .values(
            state=step.state,
            stage=step.position,
            revision=before.revision + 1,
            reason=step.reason,
            outcome=step.outcome or "",
            driver_token=ReleaseRow.driver_token + int(token is None),  # PostgreSQL adds no booleans
            live_app=None if over else before.app,
            ended_at=now if over else None,
        )
    )
    if token is not None:
        moved = moved.where(col(ReleaseRow.driver_token) == token)
    if session.execute(moved.returning(col(ReleaseRow.id))).scalar_one_or_none() is None:
        raise FencedError(f"{before.id} has changed since it was read (revision {before.revision})")
    row = session.get_one(ReleaseRow, before.id, populate_existing=True)
    record_transition(session, row, before.state, step.reason, actor, now)


def orphans(session: Session, now: datetime) -> list[str]:
    """Ids of live releases that nobody drives."""
    unheld = col(ReleaseRow.driver_expires_at).is_(None) | (col(ReleaseRow.driver_expires_at) <= now)
    found = select(ReleaseRow.id).where(col(ReleaseRow.live_app).is_not(None), unheld).order_by(ReleaseRow.id)
    return list(session.exec(found).all())
