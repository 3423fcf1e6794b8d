"""Going on to a release's next stage early, because a person decides so: who may, when, and what is kept of it.

The decision is an approval of the stage in force. The driver carries it out at its next look, on what it sees then.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session, select

from softlaunch.approvals.deciding import Decision, DecisionResult, apply_decision, record_vote, refusal_of
from softlaunch.approvals.rules import Person, VoteResult, people_needed
from softlaunch.approvals.subjects import for_advance, release_subject
from softlaunch.core.approvals import ApprovalChoice, ApprovalKind, ApprovalState
from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.approvals import Approval, read_approvals, request_approval
from softlaunch.ledger.notices import Event, Message, notify
from softlaunch.ledger.releases import find_live, read_release
from softlaunch.policy.freeze_windows import after_unfrozen
from softlaunch.policy.release import Release
from softlaunch.releases.early import against_advancing
from softlaunch.releases.freezing import read_frozen
from softlaunch.releases.views import read_stage_view
from softlaunch.store.tables import ReleaseRow

ADVANCE = "advance"
"""What the audit says of somebody who wanted a release to go on early, where nothing came of it."""


@dataclass(frozen=True, slots=True)
class Advance:
    """What a person wants: that a release leaves the stage of this position, which they saw; None for any."""

    release_id: str
    position: int | None
    person: Person
    reason: str = ""


def apply_advance(session: Session, order: Advance, now: datetime) -> DecisionResult:
    """Decide that a release begins its next stage early; where the policy asks for two people, the second decides.

    Whoever may approve may do this. What isn't possible is a result, so that its record stays.
    """
    release = _locked(session, order.release_id)
    objection = _objection(session, release, order, now)
    if objection is not None:
        return _nothing(session, release, order, objection, now)
    approval_id = _asked(session, release, order, now)
    decision = Decision(release.app, ApprovalChoice.APPROVE, order.person, order.reason, approval_id)
    result = apply_decision(session, decision, now)[0]
    if result.result is not VoteResult.DECIDED:
        return result
    frozen = read_frozen(session, release, now)
    held = "" if frozen is None else f" once it isn't {frozen.words} any more"
    following = "the next stage" if release.next_stage is None else release.next_stage.name
    return replace(result, message=f"{result.message} {following} starts at the driver's next check{held}.")


def check_advance(session: Session, order: Advance, now: datetime) -> DecisionResult | None:
    """What speaks against a person having a release go on early, recorded; None when they may."""
    release = _locked(session, order.release_id)
    objection = _objection(session, release, order, now)
    return None if objection is None else _nothing(session, release, order, objection, now)


def refusal_to_advance(session: Session, release: Release, person: Person) -> str | None:
    """Why a person may not have a release go on early, whatever its gates say; None when they may."""
    decision = Decision(release.app, ApprovalChoice.APPROVE, person)
    return refusal_of(session, for_advance(release_subject(release)), decision)


def _locked(session: Session, release_id: str) -> Release:
    """A release whose driver, and whoever else decides about it, wait until this is over; raises NotFoundError."""
    app = session.exec(select(ReleaseRow.app).where(ReleaseRow.id == release_id)).first()
    if app is None:
        raise NotFoundError(f"no release {release_id!r} is recorded; see 'softlaunch release list'")
    find_live(session, app, lock=True)
    return read_release(session, release_id)


def _objection(session: Session, release: Release, order: Advance, now: datetime) -> tuple[VoteResult, str] | None:
    """Why nothing can be decided, and what kind of a result that is."""
    if not release.state.live:
        return VoteResult.LATE, f"{release.id} is over already: {release.state} ({release.reason})"
    if order.position is not None and order.position != release.position:
        return VoteResult.LATE, f"{release.stage.name} is in force by now, which isn't the stage that you saw"
    before = read_approvals(session, release.id, release.position, now).get(ApprovalKind.ADVANCE)
    if before is not None and before.state is not ApprovalState.PENDING:
        return VoteResult.LATE, _ended(before)
    refused = refusal_to_advance(session, release, order.person)
    if refused is not None:
        return VoteResult.REFUSED, refused
    against = against_advancing(release, read_stage_view(session, release).seen)
    return None if against is None else (VoteResult.REFUSED, against)


def _ended(before: Approval) -> str:
    """What became of the same question, which a stage asks once."""
    if before.state is ApprovalState.APPROVED:
        return f"{before.decided_by} has already decided this ({before.reason}), and the driver will carry it out"
    if before.state is ApprovalState.REJECTED:
        return f"{before.decided_by} refused this in this stage ({before.reason}); the stage ends as the policy says"
    return "a second person was asked in this stage, but nobody answered in time; the stage ends as the policy says"


def _asked(session: Session, release: Release, order: Advance, now: datetime) -> int:
    """The number of the question of this stage; the first person asks it, and a second one may have to answer."""
    known = read_approvals(session, release.id, release.position, now).get(ApprovalKind.ADVANCE)
    if known is not None:
        return known.id
    following = release.next_stage
    text = f"End {release.stage.name} early" + ("" if following is None else f" and start {following.name}") + "?"
    expires = after_unfrozen(release.policy.freeze, now, release.policy.approval.timeout)
    place = (release.id, release.position, ApprovalKind.ADVANCE)
    asked = request_approval(session, Approval(*place, text, expires, asked_by=order.person.name), now)
    if asked is None:
        raise NotFoundError(f"the question about {release.stage.name} is gone; try again")
    if people_needed(release.policy, for_advance(release_subject(release)).weight_percent) > 1:
        message = f"{release.title}: {order.person.actor} asks for this, and another person must agree: {text}"
        notify(session, Message(release.app, release.id, message, Event.ASKED, {"approval": asked}), now)
    return asked


def _nothing(
    session: Session, release: Release, order: Advance, objection: tuple[VoteResult, str], now: datetime
) -> DecisionResult:
    """The result of what came to nothing, recorded."""
    kind, why = objection
    result = DecisionResult(kind, f"Nothing was decided: {why}.")
    decision = Decision(release.app, ApprovalChoice.APPROVE, order.person, order.reason)
    record_vote(session, decision, release_subject(release), result, now, said=ADVANCE)
    return result
