"""How many answers an arm gave lately, and how many of them failed, by the request log."""

from dataclasses import dataclass

from sqlalchemy import case, func, or_, select
from sqlmodel import Session, col

from softlaunch.core.request_outcome import ARM_FAILURES, GOOD, UNUSABLE
from softlaunch.policy.route import Arm
from softlaunch.store.tables import RequestRow


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to users, good and failed, unusable ones among these; what a client brought upon itself is neither."""

    good: int = 0
    failed: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.good + self.failed

    @property
    def failed_share(self) -> float:
        """Share in [0, 1] that failed; 0 without any."""
        return self.failed / self.count if self.count else 0.0

    def plus(self, other: "Answers") -> "Answers":
        """Both together."""
        return Answers(self.good + other.good, self.failed + other.failed)


def answers_in_stage(session: Session, app: str, release_id: str, stage: int, since: float) -> Answers:
    """What a candidate answered to users in a stage of its release since then (epoch seconds)."""
    in_stage = (col(RequestRow.release_id) == release_id, col(RequestRow.stage) == stage)
    return _count(session, app, since, col(RequestRow.arm) == Arm.CANDIDATE, *in_stage)


def answers_of_stable(session: Session, app: str, digest: str, since: float) -> Answers:
    """What a variant answered to an app's users as stable since then (epoch seconds)."""
    return _count(session, app, since, col(RequestRow.arm) == Arm.STABLE, col(RequestRow.variant_digest) == digest)


def _count(session: Session, app: str, since: float, *which: object) -> Answers:
    failed = col(RequestRow.outcome).in_(ARM_FAILURES | UNUSABLE)
    counted = select(func.count(), func.coalesce(func.sum(case((failed, 1), else_=0)), 0)).where(
        col(RequestRow.app) == app,
        col(RequestRow.started_at) >= since,
        col(RequestRow.mirrored).is_(False),
        or_(failed, col(RequestRow.outcome).in_(GOOD)),
        *which,  # type: ignore[arg-type]
    )
    count, failures = session.execute(counted).one()
    return Answers(int(count) - int(failures), int(failures))
