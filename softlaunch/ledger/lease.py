"""The right to drive a release, and the compare-and-set transition that everything goes through."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, update
from sqlmodel import Session, col, select

from softlaunch.core.verdict import Outcome
from softlaunch.ledger.releases import Actor, FencedError, read_release, record_transition
from softlaunch.policy.release import Release, State, check_transition
from softlaunch.store.tables import DriveRow, ReleaseRow


def claim(session: Session, release_id: str, holder: str, ttl: timedelta, now: datetime) -> int:
    """Take the right to drive a live release; returns the fencing token, larger than every earlier one.

    Raises FencedError while somebody else's right hasn't run out, or when the release is over.
    """
    claimed = session.execute(
        update(ReleaseRow)
        .where(col(ReleaseRow.id) == release_id, col(ReleaseRow.live_app).is_not(None))
        .where(col(ReleaseRow.driver_expires_at).is_(None) | (col(ReleaseRow.driver_expires_at) <= now))
        .values(driver_token=ReleaseRow.driver_token + 1, driver_holder=holder, driver_expires_at=now + ttl, run_id="")
        .returning(col(ReleaseRow.driver_token))
    ).scalar_one_or_none()
    if claimed is None:
        release = read_release(session, release_id)
        if not release.state.live:
            raise FencedError(f"{release_id} is over: {release.state} ({release.reason})")
        until = f"{release.driver_expires_at:%H:%M:%S} UTC at least"
        raise FencedError(f"{release_id} is driven by {release.driver_holder} until {until}")
    session.add(DriveRow(release_id=release_id, token=claimed, holder=holder, began_at=now))
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


@dataclass(frozen=True, slots=True)
class Right:
    """The right to drive a live release as it was read: whoever renews it changes `expires_at`."""

    release_id: str
    token: int
    expires_at: datetime | None


def unattended(session: Session, ttl: timedelta, now: datetime) -> list[Right]:
    """Rights that look as if nobody used them: run out, or running on for longer than any driver may ask for.

    The latter is what a driver leaves that died before its clock was set back. A release that was opened less than
    `ttl` ago and not taken over yet is left to whoever opened it.
    """
    expires = col(ReleaseRow.driver_expires_at)
    unheld = or_(expires <= now, expires > now + ttl, and_(expires.is_(None), col(ReleaseRow.opened_at) <= now - ttl))
    found = (
        select(ReleaseRow.id, ReleaseRow.driver_token, ReleaseRow.driver_expires_at)
        .where(col(ReleaseRow.live_app).is_not(None), unheld)
        .order_by(ReleaseRow.id)
    )
    return [Right(*row) for row in session.exec(found).all()]


def set_free(session: Session, right: Right, now: datetime) -> bool:
    """Let the next driver begin at once, by compare-and-set: false when the right was renewed or taken since."""
    expires = col(ReleaseRow.driver_expires_at)
    unchanged = expires.is_(None) if right.expires_at is None else expires == right.expires_at
    freed = session.execute(
        update(ReleaseRow)
        .where(col(ReleaseRow.id) == right.release_id, col(ReleaseRow.live_app).is_not(None))
        .where(col(ReleaseRow.driver_token) == right.token, unchanged)
        .values(driver_expires_at=now)
        .returning(col(ReleaseRow.id))
    )
    return freed.scalar_one_or_none() is not None


def note_run(session: Session, release_id: str, token: int, run_id: str, url: str) -> None:
    """Note which run of an orchestrator a release's driver is, and where it can be looked at."""
    held = (col(ReleaseRow.id) == release_id) & (col(ReleaseRow.driver_token) == token)
    session.execute(update(ReleaseRow).where(held).values(run_id=run_id, run_url=url))


def driving_runs(session: Session) -> dict[str, str]:
    """The orchestrator's runs that drive live releases, or drove them last, with the app that each is for."""
    found = select(ReleaseRow.run_id, ReleaseRow.app).where(col(ReleaseRow.live_app).is_not(None))
    return dict(session.exec(found.where(ReleaseRow.run_id != "")).all())
