"""What people decide about, whatever it is: whose policy rules, who began it, and how it stands."""

from dataclasses import dataclass, replace

from sqlmodel import Session

from softlaunch.core.approvals import ApprovalKind
from softlaunch.ledger.approvals import Approval
from softlaunch.ledger.releases import read_release
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, asks_somebody_else
from softlaunch.store.tables import AppRow


@dataclass(frozen=True, slots=True)
class Subject:
    """A release, or a cleanup, for which the policy of one app speaks.

    `weight_percent` is how many users a yes exposes. `stands` is how it stands in words, empty where there is nothing
    to say; `show_command` is the command that shows it.
    """

    app: str
    release_id: str | None
    policy: Policy
    starter: str
    weight_percent: float
    stands: str
    show_command: str
    somebody_else: bool = False
    """Whether who began it may never approve it, whatever the policy allows otherwise: two people are asked for."""
    asks_before_next: bool = False
    """Whether people must agree before the release's next stage begins."""


def subject_of(session: Session, approval: Approval) -> Subject:
    """What an approval is about."""
    if approval.release_id is not None:
        subject = release_subject(read_release(session, approval.release_id))
        return for_advance(subject) if approval.kind is ApprovalKind.ADVANCE else subject
    policy = Policy.model_validate(session.get_one(AppRow, approval.app).policy)
    return Subject(approval.app, None, policy, approval.asked_by, 0.0, "", "softlaunch registry cleanup --dry-run")


def release_subject(release: Release) -> Subject:
    """A release as the subject of a decision."""
    alone = release.next_stage is None or release.emergency  # the starter of an emergency is the first of its two
    following = release.next_stage
    weight = 0.0 if alone or following is None or following.only is not None else following.weight_percent
    now = f"at {release.stage.name}" if release.state.live else str(release.state)
    show_command = f"softlaunch release status {release.app}"
    stands = f"{release.id} is {now}"
    asks = following is not None and following.approval
    two = bool(release.emergency) and asks_somebody_else(release.policy)
    return Subject(release.app, release.id, release.policy, release.opened_by, weight, stands, show_command, two, asks)


def for_advance(subject: Subject) -> Subject:
    """A release as the subject of going on early: where people are asked before the next stage, one is enough here."""
    return replace(subject, weight_percent=0.0) if subject.asks_before_next else subject


def is_in_force(session: Session, approval: Approval) -> bool:
    """Whether what an approval is about still waits for it."""
    if approval.release_id is None:
        return True
    release = read_release(session, approval.release_id)
    return release.state.live and release.position == approval.position
