"""Writing the split that an app's gateways serve by, and the beat that keeps them doing so."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col

from softlaunch.ledger.releases import FencedError
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.store.tables import RouteRow


@dataclass(frozen=True, slots=True)
class Split:
    """What gateways are to do for a release in one stage; the default is stable alone."""

    candidate_digest: str | None = None
    weight_percent: float = 0.0
    shadow_percent: float = 0.0
    control_percent: float = 0.0
    release_id: str | None = None
    stage: int = 0
    lease_seconds: float = 10.0
    only: OnlyPolicy | None = None


def set_split(session: Session, app: str, stable_digest: str, split: Split, fence: int, now: datetime) -> int:
    """Change what an app's gateways do; returns the route's new revision.

    Belongs into the transaction of the transition that wants it. Raises FencedError when a newer driver has written.
    """
    revision = session.execute(
        update(RouteRow)
        .where(col(RouteRow.app) == app, col(RouteRow.fence) <= fence)
        .values(
            revision=RouteRow.revision + 1,
            stable_digest=stable_digest,
            candidate_digest=split.candidate_digest,
            weight_percent=split.weight_percent,
            shadow_percent=split.shadow_percent,
            control_percent=split.control_percent,
            release_id=split.release_id,
            stage=split.stage,
            lease_seconds=split.lease_seconds,
            only=None if split.only is None else split.only.model_dump(mode="json"),
            fence=fence,
            beat=RouteRow.beat + 1,
            changed_at=now,
        )
        .returning(col(RouteRow.revision))
    ).scalar_one_or_none()
    if revision is None:
        raise FencedError(f"the route of {app} was written by a newer driver than {fence}")
    return int(revision)


def beat(session: Session, release_id: str, token: int) -> None:
    """Tell the gateways that somebody watches; without it they return to stable by themselves."""
    session.execute(
        update(RouteRow)
        .where(col(RouteRow.release_id) == release_id, col(RouteRow.fence) <= token)
        .values(beat=RouteRow.beat + 1)
    )
