"""Starting a step from the message of a check: who may, whether the check is still the newest, and the audit of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from softlaunch.approvals.deciding import Decision, DecisionResult, record_vote
from softlaunch.approvals.rules import Person, VoteResult, refusal
from softlaunch.approvals.subjects import Subject
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.drift.judgement import Step
from softlaunch.drift.next_step import by_hand
from softlaunch.drift.runs import DriftRun, find_baseline, latest_check, read_run
from softlaunch.ledger.notices import open_keys
from softlaunch.policy.model import Policy
from softlaunch.store.tables import AppRow

_NOTHING = "Nothing was started: "


@dataclass(frozen=True, slots=True)
class StepRequest:
    """A step that somebody asks for because of a check."""

    check_id: str
    step: Step
    person: Person
    reason: str = ""


def subject_of_check(session: Session, check_id: str) -> Subject:
    """A check as the subject of a decision."""
    check = read_run(session, check_id)
    policy = Policy.model_validate(session.get_one(AppRow, check.app).policy)
    return Subject(check.app, None, policy, check.id, 0.0, "", f"softlaunch drift report {check.app}")


def blocker_of_step(session: Session, request: StepRequest, now: datetime) -> DecisionResult | None:
    """Why a step may not be started, recorded; None when this person may start it now."""
    subject, check = subject_of_check(session, request.check_id), read_run(session, request.check_id)
    refused = refusal(subject.policy, request.person, subject.starter, ApprovalChoice.APPROVE)
    instead = refused or by_hand(check, request.step)
    late = _too_late(session, check, request.step)
    if instead is not None:
        result = DecisionResult(VoteResult.REFUSED, f"{_NOTHING}{instead}.")
    elif late is not None:
        result = DecisionResult(VoteResult.LATE, f"{_NOTHING}{late}; see '{subject.show_command}'.")
    else:
        return None
    _record(session, request, subject, result, now)
    return result


def start_step(session: Session, request: StepRequest, now: datetime) -> DecisionResult:
    """Agree to start a step, or answer why not; either is recorded. Its result is sent later."""
    blocker = blocker_of_step(session, request, now)
    if blocker is not None:
        return blocker
    what = request.step.value.replace("_", " ")
    result = DecisionResult(VoteResult.DECIDED, f"{what} after {request.check_id}: begun; the result is sent to you.")
    _record(session, request, subject_of_check(session, request.check_id), result, now)
    return result


def _too_late(session: Session, check: DriftRun, step: Step) -> str | None:
    newest, baseline = latest_check(session, check.app), find_baseline(session, check.app)
    if newest.id != check.id:
        return f"{newest.id} is the newest check of {check.app}, not {check.id}: {newest.summary}"
    if step is Step.NEW_BASELINE and baseline is not None and baseline.opened_at > check.opened_at:
        return f"{baseline.id} is a newer baseline already"
    kinds = {IncidentKind.PROMPT_DRIFT, IncidentKind.FLOATING_MODEL_CHANGED}
    if not kinds & set(open_keys(session, check.app).values()):
        return f"the incident of {check.app} is resolved"
    return None


def _record(session: Session, request: StepRequest, subject: Subject, result: DecisionResult, now: datetime) -> None:
    decision = Decision(subject.app, ApprovalChoice.APPROVE, request.person, request.reason)
    record_vote(session, decision, subject, result, now, said=request.step.value)
