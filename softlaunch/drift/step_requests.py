"""Starting a step from the message of a check: who may, whether the check is still the newest, and the audit of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from softlaunch.approvals.deciding import Answered, Reply, record_vote
from softlaunch.approvals.rules import Person, Ruling, refusal
from softlaunch.approvals.subjects import Matter
from softlaunch.core.approvals import Answer
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.drift.judgement import Step
from softlaunch.drift.next_step import by_hand
from softlaunch.drift.runs import DriftRun, find_baseline, latest_check, read_run
from softlaunch.ledger.notices import open_keys
from softlaunch.policy.model import Policy
from softlaunch.store.tables import AppRow

_NOTHING = "Nothing was started: "


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be done because of a check."""

    check_id: str
    step: Step
    person: Person
    reason: str = ""


def matter_of_check(session: Session, check_id: str) -> Matter:
    """A check as a matter to decide."""
    check = read_run(session, check_id)
    policy = Policy.model_validate(session.get_one(AppRow, check.app).policy)
    return Matter(check.app, None, policy, check.id, 0.0, "", f"softlaunch drift report {check.app}")


def object_to_step(session: Session, wish: Wish, now: datetime) -> Answered | None:
    """What speaks against starting a step, recorded; None when this person may start it now."""
    matter, check = matter_of_check(session, wish.check_id), read_run(session, wish.check_id)
    refused = refusal(matter.policy, wish.person, matter.starter, Answer.APPROVED)
    instead = refused or by_hand(check, wish.step)
    late = _too_late(session, check, wish.step)
    if instead is not None:
        answered = Answered(Ruling.REFUSED, f"{_NOTHING}{instead}.")
    elif late is not None:
        answered = Answered(Ruling.LATE, f"{_NOTHING}{late}; see '{matter.look}'.")
    else:
        return None
    _record(session, wish, matter, answered, now)
    return answered


def take_up(session: Session, wish: Wish, now: datetime) -> Answered:
    """Agree to start a step, or say what speaks against it; either is recorded. What it comes to is told later."""
    objection = object_to_step(session, wish, now)
    if objection is not None:
        return objection
    what = wish.step.value.replace("_", " ")
    answered = Answered(Ruling.DECIDED, f"{what} after {wish.check_id}: begun, you hear what comes of it.")
    _record(session, wish, matter_of_check(session, wish.check_id), answered, now)
    return answered


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


def _record(session: Session, wish: Wish, matter: Matter, answered: Answered, now: datetime) -> None:
    reply = Reply(matter.app, Answer.APPROVED, wish.person, wish.reason)
    record_vote(session, reply, matter, None, answered, now, said=wish.step.value)
