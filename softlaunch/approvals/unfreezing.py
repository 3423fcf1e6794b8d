"""Lifting a freeze for one release: who may, and what is kept of it."""

from datetime import datetime

from sqlmodel import Session

from softlaunch.approvals.deciding import Decision, DecisionResult, record_vote
from softlaunch.approvals.rules import Person, VoteResult, is_same, refusal
from softlaunch.approvals.subjects import release_subject
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.ledger.notices import Message, notify
from softlaunch.ledger.releases import read_release
from softlaunch.policy.freeze_windows import next_freeze
from softlaunch.policy.release import Release, asks_somebody_else
from softlaunch.releases.freezing import UNFREEZE, read_frozen


def apply_unfreeze(session: Session, release_id: str, person: Person, reason: str, now: datetime) -> DecisionResult:
    """Let a live release move on in spite of the freeze that it is in; the next one holds it again.

    The rules are those of an emergency release: who started it may, and every approver; where the policy asks for two
    people, somebody else than who started it. What is refused is a result, so that its record stays.
    """
    release = read_release(session, release_id)
    refused = refusal_to_unfreeze(release, person)
    frozen = read_frozen(session, release, now)
    if refused is not None:
        result = DecisionResult(VoteResult.REFUSED, f"The freeze holds: {refused}.")
    elif not release.state.live:
        result = DecisionResult(VoteResult.LATE, f"{release_id} is over already: {release.state} ({release.reason}).")
    elif frozen is None:
        result = DecisionResult(VoteResult.LATE, f"No freeze holds {release_id} now{_next(release, now)}.")
    else:
        told = f"{release_id} may move on although the app is {frozen.words}"
        result = DecisionResult(VoteResult.DECIDED, f"{told}.")
        text = f"{release.title}: {person.actor} lifts the freeze: {told}. {reason}."
        notify(session, Message(release.app, release_id, text), now)
    decision = Decision(release.app, ApprovalChoice.APPROVE, person, reason)
    record_vote(session, decision, release_subject(release), result, now, said=UNFREEZE)
    return result


def refusal_to_unfreeze(release: Release, person: Person) -> str | None:
    """Why a person may not lift a freeze for a release; None when they may."""
    refused = refusal(release.policy, person, release.opened_by, ApprovalChoice.REJECT)
    if refused is None and asks_somebody_else(release.policy) and is_same(release.policy, release.opened_by, person):
        return "you started this release, and the policy asks for two people, so somebody else must lift the freeze"
    return refused


def _next(release: Release, now: datetime) -> str:
    following = next_freeze(release.policy.freeze, now)
    return "" if following is None else f"; the next one starts {following.shown_begins}"
