"""Who may decide, and what an answer to a question comes to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from softlaunch.driving.decision import Answer
from softlaunch.policy.model import Policy
from softlaunch.store.releases import Actor


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who decides, as far as the way they came by vouches for it.

    `name` is a login name, what was typed into a form, or a Slack handle; `slack` the user id and `groups` the user
    groups that Slack itself named, and empty elsewhere.
    """

    name: str
    origin: str
    slack: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def actor(self) -> Actor:
        """The person as the ledger's trail names them."""
        return Actor(self.name, self.origin)


class Ruling(StrEnum):
    """What became of something that a person said."""

    DECIDED = "decided"
    NOTED = "noted"
    """It counts, and another person must agree."""
    REPEATED = "repeated"
    LATE = "late"
    REFUSED = "refused"


def known_as(policy: Policy, person: Person) -> str | None:
    """The one name that a policy knows a person by; None when they may not decide.

    Where a policy names nobody, whoever reaches the ledger may; Slack vouches for nobody then. A Slack handle, which
    people choose themselves, is never compared with a name.
    """
    if not policy.approvers:
        return None if person.slack else person.name
    for entry in policy.approvers:
        if entry.slack and entry.slack == person.slack:
            return entry.name or entry.slack
        if entry.name and not person.slack and entry.name == person.name:
            return entry.name
    groups = {entry.slack_group for entry in policy.approvers if entry.slack_group}
    return person.slack if person.slack and groups & person.groups else None


def refusal(policy: Policy, person: Person, starter: str, said: Answer) -> str | None:
    """Why a person may not say this about what somebody started; None when they may.

    Who started something may always stop it. To tell that a starter approves, a handle is reason enough.
    """
    known = known_as(policy, person)
    started = starter in {known, person.name, person.slack}
    if started and known is not None and said is not Answer.APPROVED:
        return None
    if known is None:
        whom = "its policy names no approvers" if not policy.approvers else "you are not among its approvers"
        return f"{whom}; add yourself under 'approvers' in the policy of {policy.app}, or ask one of them"
    if started and policy.approvers and not policy.approval.starter_may_approve:
        return "you started this, so somebody else must approve it"
    return None


def people_needed(policy: Policy, weight_percent: float) -> int:
    """How many people must approve before a stage with this weight begins."""
    asked = policy.approval.two_people_from_percent
    return 2 if asked is not None and weight_percent >= asked else 1


def weigh(policy: Policy, known: str, said: Answer, weight_percent: float, agreed: Sequence[str]) -> Ruling:
    """What an answer of somebody who may give it comes to; `agreed` are those who approved before.

    One refusal decides.
    """
    if said is not Answer.APPROVED:
        return Ruling.DECIDED
    if known in agreed:
        return Ruling.REPEATED
    return Ruling.DECIDED if len(agreed) + 1 >= people_needed(policy, weight_percent) else Ruling.NOTED
