"""Who may decide, and what a decision comes to. Pure."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from softlaunch.core.approvals import ApprovalChoice
from softlaunch.ledger.releases import Actor
from softlaunch.policy.evals import OnInconclusive
from softlaunch.policy.model import Policy
from softlaunch.policy.release import asks_somebody_else
from softlaunch.policy.stages import AtDeadline


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


class VoteResult(StrEnum):
    """What became of a decision."""

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


def refusal(
    policy: Policy, person: Person, starter: str, choice: ApprovalChoice, *, somebody_else: bool = False
) -> str | None:
    """Why a person may not choose this for what somebody started; None when they may.

    Who started something may always stop it, and never approves it unless the policy says so, whether or not it names
    approvers; never at all where `somebody_else` is asked for. To tell that a starter approves, a handle is reason
    enough.
    """
    known = known_as(policy, person)
    started = is_same(policy, starter, person)
    if started and known is not None and choice is not ApprovalChoice.APPROVE:
        return None
    if known is None:
        whom = "its policy names no approvers" if not policy.approvers else "you are not among its approvers"
        return f"{whom}; add yourself under 'approvers' in the policy of {policy.app}, or ask one of them"
    if started and somebody_else:
        return (
            "you started this emergency release, and the policy asks for two people, so somebody else must approve it"
        )
    if started and not policy.approval.starter_may_approve:
        return f"you started this, so somebody else must approve it; {how_to_lift(policy.app)}"
    return None


def how_to_lift(app: str) -> str:
    """What lets people approve what they started themselves, for messages."""
    return (
        f"'approval: {{starter_may_approve: true}}' in the policy of {app} allows it (a release keeps the policy "
        "that it started with)"
    )


def who_else_is_needed(policy: Policy) -> str | None:
    """What a starter should know where a policy names no approvers: that their own yes won't count, and how it would.

    None where they may approve, where approvers are named, or where nothing is ever asked.
    """
    asked = [f"{stage.weight_percent:g} %" for stage in policy.stages if stage.approval]
    deadlines = [stage.at_deadline for stage in (*policy.stages, *((policy.shadow,) if policy.shadow else ()))]
    may_ask = policy.eval.on_inconclusive is OnInconclusive.ASK or AtDeadline.ASK in deadlines
    if policy.approvers or policy.approval.starter_may_approve or not (asked or may_ask):
        return None
    what = f"before {', '.join(asked)}" if asked else "should it ask"
    return f"Somebody else must approve it {what}, because you start it; {how_to_lift(policy.app)}."


def who_else_in_an_emergency(policy: Policy) -> str | None:
    """What the starter of an emergency release should know: that the policy asks for a second person."""
    if not asks_somebody_else(policy):
        return None
    return (
        f"The policy of {policy.app} requires two people: once the candidate has answered, another one must approve it "
        f"('softlaunch approve {policy.app}'). 'emergency: {{approvals: 1}}' in the policy makes one person enough."
    )


def is_same(policy: Policy, starter: str, person: Person) -> bool:
    """Whether a person can't be distinguished from who started something, by any name that either is known by.

    Names differ in case and in the domain that some ways in put around them (`Anna`, `anna@example.com`,
    `EXAMPLE\\anna`); an approver's entry ties a login name to a Slack id.
    """
    theirs = {_plain(name) for name in (known_as(policy, person), person.name, person.slack) if name}
    started_as = {_plain(starter)}
    for entry in policy.approvers:
        names = {_plain(name) for name in (entry.name, entry.slack) if name}
        if names & started_as:
            started_as |= names
    return bool(theirs & started_as)


def _plain(name: str) -> str:
    """A name without what differs between the ways in: case, spaces around it, its domain."""
    folded = unicodedata.normalize("NFKC", name).strip().casefold()
    return folded.rsplit("\\", 1)[-1].split("@", 1)[0] or folded


def people_needed(policy: Policy, weight_percent: float) -> int:
    """How many people must approve before a stage with this weight begins."""
    asked = policy.approval.two_people_from_percent
    return 2 if asked is not None and weight_percent >= asked else 1


def tally(
    policy: Policy, known: str, choice: ApprovalChoice, weight_percent: float, agreed: Sequence[str]
) -> VoteResult:
    """What a decision of somebody who may decide comes to; `agreed` are those who approved before.

    One rejection decides.
    """
    if choice is not ApprovalChoice.APPROVE:
        return VoteResult.DECIDED
    if known in agreed:
        return VoteResult.REPEATED
    return VoteResult.DECIDED if len(agreed) + 1 >= people_needed(policy, weight_percent) else VoteResult.NOTED
