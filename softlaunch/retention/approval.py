"""The approval of a large cleanup, by the mechanism of releases: of exactly the plan that it was asked for.

The question belongs to the app whose policy wants to be asked first; its approvers answer. What was asked about is kept
as a digest over everything that would go and where to, and is planned again as of the time of the question: a plan that
only time has made longer is still the same, one that anything else has changed is asked about anew.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.approvals import (
    Approval,
    newest_cleanup_approval,
    request_approval,
    state_of,
    to_approval,
    withdraw_approval,
)
from softlaunch.ledger.notices import Event, Message, notify
from softlaunch.policy.model import Policy
from softlaunch.retention.rules import fingerprint
from softlaunch.store.tables import ApprovalRow, AppRow, ArchivedRow


class ApprovalNeededError(SoftlaunchError):
    """A cleanup that is too large to be done without a person; nothing was deleted."""


@dataclass(frozen=True, slots=True)
class CleanupApproval:
    """The newest approval of a cleanup, open or granted, and what was deleted already by it."""

    asked: Approval
    answer: ApprovalState
    asked_at: datetime
    by: str
    done: frozenset[bytes]

    @property
    def granted(self) -> bool:
        """Whether a person has approved."""
        return self.answer is ApprovalState.APPROVED

    def sign(self, actor: str) -> str:
        """In whose name things are deleted."""
        return f"{actor}, approved by {self.by}{_mark(self.asked.id)}"


def digest_of(archive: str, fingerprints: Iterable[bytes]) -> str:
    """What identifies a plan: everything that would go, and where its copies would be."""
    return hashlib.sha256(archive.encode() + b"".join(sorted(fingerprints))).hexdigest()


def read_approval(session: Session, now: datetime) -> CleanupApproval | None:
    """The approval that is open or granted; None where a large cleanup has to ask for a new one."""
    row = newest_cleanup_approval(session)
    if row is None or state_of(row, now) not in {ApprovalState.PENDING, ApprovalState.APPROVED}:
        return None
    return CleanupApproval(to_approval(row, now), state_of(row, now), row.asked_at, row.decided_by, _done(session, row))


def _done(session: Session, row: ApprovalRow) -> frozenset[bytes]:
    if row.decided_at is None:
        return frozenset()
    gone = select(ArchivedRow.kind, ArchivedRow.key).where(
        col(ArchivedRow.archived_at) >= row.decided_at,
        col(ArchivedRow.archived_by).endswith(_mark(row.id or 0), autoescape=True),
    )
    return frozenset(fingerprint(kind, key) for kind, key in session.exec(gone))


def _mark(number: int) -> str:
    """The end of `archived_by` in rows of an approved cleanup. Rows of the ledger have it, so its words stay."""
    return f" (question {number})"


def ask_person(session: Session, subject: str, size: str, actor: str, now: datetime) -> Approval:
    """Ask for the approval of a plan, and withdraw a request for another. Raises ApprovalNeededError without an app."""
    app, policy = _who_asks(session)
    held = newest_cleanup_approval(session)
    if held is not None and held.subject == subject and state_of(held, now) is ApprovalState.PENDING:
        return to_approval(held, now)
    text = (
        f"The registry cleanup would archive and delete {size}, and {app} wants to be asked above "
        f"{policy.retention.ask_above_mb:g} MB. Delete it?"
    )
    if held is not None and held.state == ApprovalState.PENDING:
        withdraw_approval(session, held, held.app, "what would be deleted is no longer the same", now)
        session.flush()
    expires = now + timedelta(seconds=policy.approval.timeout)
    asked = Approval(None, 0, ApprovalKind.CLEANUP, text, expires, app=app, subject_digest=subject, asked_by=actor)
    asked = replace(asked, id=request_approval(session, asked, now) or 0)
    message = f"Approval needed: {text} {how_to_answer(app, asked.id)}."
    notify(session, Message(app, None, message, Event.ASKED, {"approval": asked.id}), now)
    return asked


def close_expired(session: Session, now: datetime) -> None:
    """Close an approval that nobody answered in time."""
    held = newest_cleanup_approval(session)
    if held is not None and held.state == ApprovalState.PENDING and state_of(held, now) is ApprovalState.EXPIRED:
        withdraw_approval(session, held, held.app, "", now)


def how_to_answer(app: str, number: int) -> str:
    """The commands that show what would go, and that answer."""
    return (
        f"See 'softlaunch registry cleanup --dry-run', then 'softlaunch approve {app} --approval {number}' or "
        f"'softlaunch reject {app} --approval {number}'"
    )


def _who_asks(session: Session) -> tuple[str, Policy]:
    """The app whose policy asks first, locked, so that two cleanups don't both ask."""
    policies = [
        (row.name, Policy.model_validate(row.policy))
        for row in session.exec(select(AppRow).order_by(AppRow.name).with_for_update())
    ]
    if not policies:
        raise ApprovalNeededError(
            "the registry cleanup would delete more than goes without a person's approval, and no app's policy says "
            "who may give it; record an app with 'softlaunch apply'"
        )
    return min(policies, key=lambda one: one[1].retention.ask_above_mb)
