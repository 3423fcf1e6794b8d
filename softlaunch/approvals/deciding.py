"""Deciding about a release or a cleanup as a person: one way for the command line, Prefect's form and Slack.

The first valid answer counts. Whatever else is said changes nothing, gets a friendly reply, and is kept in the audit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, select

from softlaunch.approvals.rules import Person, Ruling, known_as, people_needed, refusal, weigh
from softlaunch.approvals.subjects import Matter, in_force, matter_of, of_release
from softlaunch.core.approvals import Answer
from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.approvals import (
    OpenQuestion,
    agreed,
    find_question,
    last_question,
    lock_questions,
    standing,
    to_asked,
)
from softlaunch.ledger.notices import Event, tell
from softlaunch.ledger.releases import find_latest, read_release
from softlaunch.policy.release import State
from softlaunch.releases.ending import roll_back
from softlaunch.store.tables import ApprovalRow, VoteRow

_TAKE_BACK = "roll_back"


class NothingToDecideError(SoftlaunchError):
    """No open question waits for this answer."""


class NotAllowedError(SoftlaunchError):
    """The app's policy doesn't let this person decide."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person says. `approval_id` names the question that they saw; None means whatever is open for the app."""

    app: str
    said: Answer
    person: Person
    reason: str = ""
    approval_id: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a reply, and what to tell the person."""

    ruling: Ruling
    told: str
    question: OpenQuestion | None = None


def answer(session: Session, reply: Reply, now: datetime) -> tuple[Answered, ...]:
    """Rule on a reply, question by question, and write what comes of it.

    What a person may not do is a ruling, not an exception, so that its record stays; see `insist`.
    """
    asked, missed = _questions(session, reply, now)
    if asked:
        return tuple(_rule(session, reply, row, now) for row in asked)
    return (_late(session, reply, missed, now),)


def object_to(session: Session, reply: Reply, now: datetime) -> Answered | None:
    """What speaks against a reply that somebody is about to give, recorded; None when they may give it."""
    asked, missed = _questions(session, reply, now)
    if not asked:
        return _late(session, reply, missed, now)
    question = to_asked(asked[0])
    matter = matter_of(session, question)
    refused = _refusal(session, matter, reply)
    return None if refused is None else _refused(session, reply, matter, question, refused, now)


def _questions(session: Session, reply: Reply, now: datetime) -> tuple[list[ApprovalRow], ApprovalRow | None]:
    """The open questions that a reply is for, locked; and, where there is none, the one that it comes too late for."""
    if reply.approval_id is None:
        rows, missed = lock_questions(session, reply.app), last_question(session, reply.app)
    else:
        missed = find_question(session, reply.approval_id)
        if missed is not None and matter_of(session, to_asked(missed)).app != reply.app:
            missed = None
        rows = [missed] if missed is not None and in_force(session, to_asked(missed)) else []
    return [row for row in rows if standing(row, now) is Answer.PENDING], missed


def insist(answered: Sequence[Answered]) -> Sequence[Answered]:
    """The replies that counted. When none did, raises what became of them: call it when the transaction is over."""
    counted = [one for one in answered if one.ruling not in {Ruling.REFUSED, Ruling.LATE}]
    if counted:
        return counted
    first = answered[0]
    raise (NotAllowedError if first.ruling is Ruling.REFUSED else NothingToDecideError)(first.told)


def take_back(session: Session, release_id: str, person: Person, reason: str, now: datetime) -> Answered:
    """Roll a release back because somebody pressed the button of its message; a button of an old message is too late.

    Who started the release may, and every approver.
    """
    objection = object_to_taking_back(session, release_id, person, now)
    if objection is not None:
        return objection
    release = read_release(session, release_id)
    ended = roll_back(session, release.app, person.actor, reason, now)
    answered = Answered(Ruling.DECIDED, f"{release_id} is {ended.state}; stable serves everybody.")
    reply = Reply(release.app, Answer.REJECTED, person, reason)
    record_vote(session, reply, of_release(release), None, answered, now, said=_TAKE_BACK)
    return answered


def object_to_taking_back(session: Session, release_id: str, person: Person, now: datetime) -> Answered | None:
    """What speaks against a person rolling a release back, recorded; None when they may."""
    release = read_release(session, release_id)
    refused = refusal(release.policy, person, release.opened_by, Answer.REJECTED)
    if refused is not None:
        answered = Answered(Ruling.REFUSED, f"Nothing was rolled back: {refused}.")
    elif not (release.state.live or release.state is State.PROMOTED):
        answered = Answered(Ruling.LATE, f"{release_id} is over already: {release.state} ({release.reason}).")
    elif find_latest(session, release.app).id != release_id:
        answered = Answered(Ruling.LATE, f"{release_id} is not the newest release of {release.app} any more.")
    else:
        return None
    reply = Reply(release.app, Answer.REJECTED, person)
    record_vote(session, reply, of_release(release), None, answered, now, said=_TAKE_BACK)
    return answered


def _rule(session: Session, reply: Reply, row: ApprovalRow, now: datetime) -> Answered:
    """Rule on a reply to an open question that is locked."""
    asked = to_asked(row)
    matter = matter_of(session, asked)
    refused = _refusal(session, matter, reply)
    known = known_as(matter.policy, reply.person)
    if refused is not None or known is None:
        return _refused(session, reply, matter, asked, refused or "nobody knows you", now)
    before = agreed(session, asked.id)
    ruling = weigh(matter.policy, known, reply.said, matter.weight_percent, before)
    needed = people_needed(matter.policy, matter.weight_percent)
    answered = Answered(ruling, _told(ruling, reply, asked, needed), asked)
    if ruling is Ruling.DECIDED:
        _decide(session, row, reply, [*before, known], now)
        tell(
            session, matter.app, matter.release_id, _announced(reply, asked), now, Event.CLOSED, {"approval": asked.id}
        )
    elif ruling is Ruling.NOTED:
        text = f"{reply.person.actor} approves; one more person must: {asked.text}"
        tell(session, matter.app, matter.release_id, text, now, Event.NOTED, {"approval": asked.id})
    record_vote(session, reply, matter, asked, answered, now)
    return answered


def _refusal(session: Session, matter: Matter, reply: Reply) -> str | None:
    """Why a person may not say this; who started it counts under every name that the audit has them by.

    Somebody who started a release from Slack is recorded by their handle, and by the policy's name as who said so.
    """
    names = select(VoteRow.person).where(VoteRow.app == matter.app, VoteRow.name == matter.starter).distinct()
    starters = dict.fromkeys([matter.starter, *session.exec(names)])
    two = matter.somebody_else
    said = [refusal(matter.policy, reply.person, one, reply.said, somebody_else=two) for one in starters]
    if reply.said is Answer.APPROVED:
        return next((one for one in said if one is not None), None)
    return None if None in said else said[0]


def _refused(session: Session, reply: Reply, matter: Matter, asked: OpenQuestion, why: str, now: datetime) -> Answered:
    answered = Answered(Ruling.REFUSED, f"Nothing was decided: {why}.", asked)
    record_vote(session, reply, matter, asked, answered, now)
    return answered


def _decide(session: Session, row: ApprovalRow, reply: Reply, people: Sequence[str], now: datetime) -> None:
    row.state, row.decided_at, row.reason = reply.said, now, reply.reason
    row.decided_by = ", ".join(people) if reply.said is Answer.APPROVED else people[-1]
    row.decided_from = reply.person.origin
    session.add(row)


def _announced(reply: Reply, asked: OpenQuestion) -> str:
    why = f" ({reply.reason})" if reply.reason else ""
    return f"{reply.person.actor} {reply.said}: {asked.text}{why}"


def _told(ruling: Ruling, reply: Reply, asked: OpenQuestion, needed: int) -> str:
    match ruling:
        case Ruling.NOTED:
            return f"Your approval is noted, the first of {needed}; another person must agree: {asked.text}"
        case Ruling.REPEATED:
            return f"You have approved already; another person must agree: {asked.text}"
        case _:
            return f"{reply.said}: {asked.text}"


def _late(session: Session, reply: Reply, row: ApprovalRow | None, now: datetime) -> Answered:
    """What somebody hears who answers what is not asked any more, or never was."""
    if row is None:
        told = f"no question about {reply.app} is open; see 'softlaunch release status {reply.app}'"
        answered = Answered(Ruling.LATE, told)
        record_vote(session, reply, None, None, answered, now)
        return answered
    asked = to_asked(row)
    matter = matter_of(session, asked)
    told = f"no question about {reply.app} is open: the last one {_outcome(row, now)}"
    stands = f", and {matter.stands}" if matter.stands else ""
    answered = Answered(Ruling.LATE, f"{told}{stands}; see '{matter.look}'", asked)
    record_vote(session, reply, matter, asked, answered, now)
    return answered


def _outcome(row: ApprovalRow, now: datetime) -> str:
    match standing(row, now):
        case Answer.EXPIRED:
            return f"expired at {row.expires_at:%H:%M} UTC"
        case Answer.WITHDRAWN:
            return f"was withdrawn ({row.reason})"
        case Answer.PENDING:
            return "was about another stage"
        case said:
            return f"was {said} by {row.decided_by} at {row.decided_at:%H:%M} UTC"


def record_vote(
    session: Session,
    reply: Reply,
    matter: Matter | None,
    asked: OpenQuestion | None,
    answered: Answered,
    now: datetime,
    *,
    said: str = "",
) -> None:
    """Keep what was said and what became of it."""
    known = None if matter is None else known_as(matter.policy, reply.person)
    session.add(
        VoteRow(
            app=reply.app,
            release_id=None if matter is None else matter.release_id,
            approval_id=None if asked is None else asked.id,
            said=said or reply.said,
            person=known or reply.person.slack or reply.person.name,
            name=reply.person.name,
            origin=reply.person.origin,
            reason=reply.reason,
            ruling=answered.ruling,
            told=answered.told,
            said_at=now,
        )
    )
