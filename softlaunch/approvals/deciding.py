"""Decisions of people about a release or a cleanup: one way for the command line, Prefect's form and Slack.

The first valid decision counts. Whatever else is said changes nothing, gets a friendly reply, and is kept in the audit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from sqlmodel import Session, select

from softlaunch.approvals.rules import Person, VoteResult, known_as, people_needed, refusal, tally
from softlaunch.approvals.subjects import Subject, is_in_force, release_subject, subject_of
from softlaunch.core.approvals import ApprovalChoice, ApprovalState
from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.approvals import (
    Approval,
    approved_by,
    last_approval,
    lock_approval,
    lock_approvals,
    state_of,
    to_approval,
)
from softlaunch.ledger.notices import Event, Message, notify
from softlaunch.ledger.releases import find_latest, read_release
from softlaunch.policy.release import State
from softlaunch.releases.ending import abort, roll_back
from softlaunch.store.tables import ApprovalRow, VoteRow

_ROLL_BACK, _ABORT = "roll_back", "abort"


class NothingToDecideError(SoftlaunchError):
    """No pending approval waits for this decision."""


class NotAllowedError(SoftlaunchError):
    """The app's policy doesn't let this person decide."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said: approve or reject, by whom, and why.

    `approval_id` names the approval that they saw; None means whatever is pending for the app.
    """

    app: str
    choice: ApprovalChoice
    person: Person
    reason: str = ""
    approval_id: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """What became of a decision, and the message for the person who made it."""

    result: VoteResult
    message: str
    approval: Approval | None = None


def apply_decision(session: Session, decision: Decision, now: datetime) -> tuple[DecisionResult, ...]:
    """Judge a decision, approval by approval, and write what comes of it.

    What a person may not do is a result, not an exception, so that its record stays; see `raise_if_refused`.
    """
    pending, missed = _approvals(session, decision, now)
    if pending:
        return tuple(_apply_to(session, decision, row, now) for row in pending)
    return (_late(session, decision, missed, now),)


def check_decision(session: Session, decision: Decision, now: datetime) -> DecisionResult | None:
    """What speaks against a decision that somebody is about to make, recorded; None when they may make it."""
    pending, missed = _approvals(session, decision, now)
    if not pending:
        return _late(session, decision, missed, now)
    approval = to_approval(pending[0], now)
    subject = subject_of(session, approval)
    refused = refusal_of(session, subject, decision)
    return None if refused is None else _refused(session, decision, subject, approval, refused, now)


def _approvals(session: Session, decision: Decision, now: datetime) -> tuple[list[ApprovalRow], ApprovalRow | None]:
    """The pending approvals that a decision is for, locked; where there is none, the one that it comes too late for."""
    if decision.approval_id is None:
        rows, missed = lock_approvals(session, decision.app), last_approval(session, decision.app)
    else:
        missed = lock_approval(session, decision.approval_id)
        if missed is not None and subject_of(session, to_approval(missed, now)).app != decision.app:
            missed = None
        rows = [missed] if missed is not None and is_in_force(session, to_approval(missed, now)) else []
    return [row for row in rows if state_of(row, now) is ApprovalState.PENDING], missed


def raise_if_refused(results: Sequence[DecisionResult]) -> Sequence[DecisionResult]:
    """The results that counted. When none did, raises what became of them: call it when the transaction is over."""
    counted = [one for one in results if one.result not in {VoteResult.REFUSED, VoteResult.LATE}]
    if counted:
        return counted
    first = results[0]
    raise (NotAllowedError if first.result is VoteResult.REFUSED else NothingToDecideError)(first.message)


def apply_rollback(session: Session, release_id: str, person: Person, reason: str, now: datetime) -> DecisionResult:
    """Roll a release back because somebody pressed the button of its message; a button of an old message is too late.

    Who started the release may, and every approver.
    """
    objection = check_rollback(session, release_id, person, now)
    if objection is not None:
        return objection
    release = read_release(session, release_id)
    ended = roll_back(session, release.app, person.actor, reason, now)
    result = DecisionResult(VoteResult.DECIDED, f"{release_id} is {ended.state}; stable serves everybody.")
    decision = Decision(release.app, ApprovalChoice.REJECT, person, reason)
    record_vote(session, decision, release_subject(release), result, now, said=_ROLL_BACK)
    return result


def apply_abort(session: Session, release_id: str, person: Person, reason: str, now: datetime) -> DecisionResult:
    """End a live release because somebody pressed a button. Who started it may, and every approver."""
    release = read_release(session, release_id)
    refused = refusal(release.policy, person, release.opened_by, ApprovalChoice.REJECT)
    if refused is not None:
        result = DecisionResult(VoteResult.REFUSED, f"Nothing was aborted: {refused}.")
    elif not release.state.live:
        result = DecisionResult(VoteResult.LATE, f"{release_id} is over already: {release.state} ({release.reason}).")
    else:
        ended = abort(session, release.app, person.actor, reason, now)
        result = DecisionResult(VoteResult.DECIDED, f"{release_id} is {ended.state}; stable serves everybody.")
    decision = Decision(release.app, ApprovalChoice.REJECT, person, reason)
    record_vote(session, decision, release_subject(release), result, now, said=_ABORT)
    return result


def check_rollback(session: Session, release_id: str, person: Person, now: datetime) -> DecisionResult | None:
    """What speaks against a person rolling a release back, recorded; None when they may."""
    release = read_release(session, release_id)
    refused = refusal(release.policy, person, release.opened_by, ApprovalChoice.REJECT)
    if refused is not None:
        result = DecisionResult(VoteResult.REFUSED, f"Nothing was rolled back: {refused}.")
    elif not (release.state.live or release.state is State.PROMOTED):
        result = DecisionResult(VoteResult.LATE, f"{release_id} is over already: {release.state} ({release.reason}).")
    elif find_latest(session, release.app).id != release_id:
        result = DecisionResult(VoteResult.LATE, f"{release_id} is not the newest release of {release.app} any more.")
    else:
        return None
    decision = Decision(release.app, ApprovalChoice.REJECT, person)
    record_vote(session, decision, release_subject(release), result, now, said=_ROLL_BACK)
    return result


def _apply_to(session: Session, decision: Decision, row: ApprovalRow, now: datetime) -> DecisionResult:
    """Apply a decision to a pending approval that is locked."""
    approval = to_approval(row, now)
    subject = subject_of(session, approval)
    refused = refusal_of(session, subject, decision)
    known = known_as(subject.policy, decision.person)
    if refused is not None or known is None:
        return _refused(session, decision, subject, approval, refused or "you are not known here", now)
    before = approved_by(session, approval.id)
    vote = tally(subject.policy, known, decision.choice, subject.weight_percent, before)
    needed = people_needed(subject.policy, subject.weight_percent)
    result = DecisionResult(vote, _message(vote, decision, approval, needed), approval)
    about = {"approval": approval.id}
    if vote is VoteResult.DECIDED:
        _decide(session, row, decision, [*before, known], now)
        notify(
            session,
            Message(subject.app, subject.release_id, _announcement(decision, approval), Event.CLOSED, about),
            now,
        )
    elif vote is VoteResult.NOTED:
        text = f"{decision.person.actor} approves; one more person must: {approval.text}"
        notify(session, Message(subject.app, subject.release_id, text, Event.NOTED, about), now)
    record_vote(session, decision, subject, result, now)
    return result


def refusal_of(session: Session, subject: Subject, decision: Decision) -> str | None:
    """Why a person may not choose this; who started it counts under every name that the audit has them by.

    Somebody who started a release from Slack is recorded by their handle, and by the policy's name as who said so.
    """
    names = select(VoteRow.person).where(VoteRow.app == subject.app, VoteRow.name == subject.starter).distinct()
    starters = dict.fromkeys([subject.starter, *session.exec(names)])
    two = subject.somebody_else
    refusals = [refusal(subject.policy, decision.person, one, decision.choice, somebody_else=two) for one in starters]
    if decision.choice is ApprovalChoice.APPROVE:
        return next((one for one in refusals if one is not None), None)
    return None if None in refusals else refusals[0]


def _refused(
    session: Session, decision: Decision, subject: Subject, approval: Approval, why: str, now: datetime
) -> DecisionResult:
    result = DecisionResult(VoteResult.REFUSED, f"Nothing was decided: {why}.", approval)
    record_vote(session, decision, subject, result, now)
    return result


def _decide(session: Session, row: ApprovalRow, decision: Decision, people: Sequence[str], now: datetime) -> None:
    row.state, row.decided_at, row.reason = decision.choice.state, now, decision.reason
    row.decided_by = ", ".join(people) if decision.choice is ApprovalChoice.APPROVE else people[-1]
    row.decided_from = decision.person.origin
    session.add(row)


def _announcement(decision: Decision, approval: Approval) -> str:
    why = f" ({decision.reason})" if decision.reason else ""
    return f"{decision.person.actor} {decision.choice.state}: {approval.text}{why}"


def _message(vote: VoteResult, decision: Decision, approval: Approval, needed: int) -> str:
    match vote:
        case VoteResult.NOTED:
            return f"Your approval is noted, the first of {needed}; another person must agree: {approval.text}"
        case VoteResult.REPEATED:
            return f"You have approved already; another person must agree: {approval.text}"
        case VoteResult.DECIDED | VoteResult.LATE | VoteResult.REFUSED:
            return f"{decision.choice.state}: {approval.text}"
        case _:
            assert_never(vote)


def _late(session: Session, decision: Decision, row: ApprovalRow | None, now: datetime) -> DecisionResult:
    """The reply to a decision about what is not asked any more, or never was."""
    if row is None:
        message = f"no approval of {decision.app} is pending; see 'softlaunch release status {decision.app}'"
        result = DecisionResult(VoteResult.LATE, message)
        record_vote(session, decision, None, result, now)
        return result
    approval = to_approval(row, now)
    subject = subject_of(session, approval)
    message = f"no approval of {decision.app} is pending: the last one {_ending(approval)}"
    stands = f", and {subject.stands}" if subject.stands else ""
    result = DecisionResult(VoteResult.LATE, f"{message}{stands}; see '{subject.show_command}'", approval)
    record_vote(session, decision, subject, result, now)
    return result


def _ending(approval: Approval) -> str:
    match approval.state:
        case ApprovalState.EXPIRED:
            return f"expired at {approval.expires_at:%H:%M} UTC"
        case ApprovalState.WITHDRAWN:
            return f"was withdrawn ({approval.reason})"
        case ApprovalState.PENDING:
            return "was about another stage"
        case ApprovalState.APPROVED | ApprovalState.REJECTED:
            return f"was {approval.state} by {approval.decided_by} at {approval.decided_at:%H:%M} UTC"
        case _:
            assert_never(approval.state)


def record_vote(
    session: Session, decision: Decision, subject: Subject | None, result: DecisionResult, now: datetime, said: str = ""
) -> None:
    """Keep what was said and what became of it; `said` where it is neither approve nor reject."""
    known = None if subject is None else known_as(subject.policy, decision.person)
    session.add(
        VoteRow(
            app=decision.app,
            release_id=None if subject is None else subject.release_id,
            approval_id=None if result.approval is None else result.approval.id,
            said=said or decision.choice.state,
            person=known or decision.person.slack or decision.person.name,
            name=decision.person.name,
            origin=decision.person.origin,
            reason=decision.reason,
            ruling=result.result,
            told=result.message,
            said_at=now,
        )
    )
