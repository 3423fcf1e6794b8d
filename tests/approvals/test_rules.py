"""Who may decide, as a pure rule over policies and people."""

from typing import Any

import pytest

from softlaunch.approvals.rules import Person, VoteResult, known_as, people_needed, refusal, tally, who_else_is_needed
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.policy.model import Policy
from tests.support.builders import make_policy

ANNA = {"name": "anna", "slack": "U0ANNA00"}
ONCALL = {"slack_group": "S0ONCALL"}


def policy(*approvers: dict[str, Any], **approval: Any) -> Policy:
    """A policy that names approvers."""
    return make_policy(approvers=approvers, approval=approval)


@pytest.mark.parametrize(
    ("person", "name"),
    [
        pytest.param(Person("anna", "command line"), "anna", id="by login name"),
        pytest.param(Person("annie", "slack", "U0ANNA00"), "anna", id="by Slack id, whatever the handle"),
        pytest.param(Person("anna", "slack", "U0OTHER0"), None, id="a handle that looks like her name"),
        pytest.param(Person("cem", "slack", "U0CEM000", frozenset({"S0ONCALL"})), "U0CEM000", id="by group"),
        pytest.param(Person("cem", "slack", "U0CEM000", frozenset({"S0TEAM00"})), None, id="in another group"),
        pytest.param(Person("mallory", "prefect"), None, id="nobody named"),
        pytest.param(Person("", "prefect"), None, id="without a name"),
    ],
)
def test_who_may_decide(person: Person, name: str | None) -> None:
    """One person has one name, however they come."""
    assert known_as(policy(ANNA, ONCALL), person) == name


@pytest.mark.parametrize(
    ("person", "name"),
    [
        pytest.param(Person("anna", "command line"), "anna", id="at the command line"),
        pytest.param(Person("anna", "slack", "U0ANNA00"), None, id="in Slack"),
    ],
)
def test_where_nobody_is_named_the_ledger_is_what_protects(person: Person, name: str | None) -> None:
    """Whoever reaches the ledger could write it anyway; a channel's members can't."""
    assert known_as(policy(), person) == name


@pytest.mark.parametrize(
    ("person", "said", "allowed"),
    [
        pytest.param(Person("anna", "command line"), ApprovalChoice.APPROVE, False, id="the starter approves"),
        pytest.param(
            Person("x", "slack", "U0ANNA00"), ApprovalChoice.APPROVE, False, id="the starter approves from Slack"
        ),
        pytest.param(Person("anna", "command line"), ApprovalChoice.REJECT, True, id="the starter rejects"),
        pytest.param(Person("ben", "command line"), ApprovalChoice.APPROVE, True, id="somebody else approves"),
        pytest.param(
            Person("anna", "slack", "U0CEM000", frozenset({"S0ONCALL"})),
            ApprovalChoice.APPROVE,
            False,
            id="a group's member with the starter's handle",
        ),
    ],
)
def test_who_starts_a_release_needs_somebody_else(person: Person, said: ApprovalChoice, allowed: bool) -> None:  # noqa: FBT001
    """They may stop it, though, at any time."""
    rules = policy(ANNA, {"name": "ben"}, ONCALL)
    assert (refusal(rules, person, "anna", said) is None) is allowed


@pytest.mark.parametrize(
    ("starter", "person", "allowed"),
    [
        pytest.param("anna", Person("anna", "command line"), False, id="the starter"),
        pytest.param("anna", Person("ben", "command line"), True, id="somebody else"),
        pytest.param("Anna ", Person("anna", "prefect"), False, id="as a form was filled in"),
        pytest.param("anna@example.com", Person("anna", "prefect"), False, id="with the domain of a mail address"),
        pytest.param("anna", Person("EXAMPLE\\anna", "command line"), False, id="with the domain of a login"),
        pytest.param("unknown", Person("unknown", "command line"), False, id="nobody knows either"),
    ],
)
def test_a_starter_needs_somebody_else_where_nobody_is_named_too(
    starter: str,
    person: Person,
    allowed: bool,  # noqa: FBT001
) -> None:
    """A policy without approvers lets whoever reaches the ledger approve, but for who started; it may be lifted."""
    said = refusal(policy(), person, starter, ApprovalChoice.APPROVE)
    assert (said is None) is allowed
    assert allowed or "starter_may_approve: true" in str(said)
    assert refusal(policy(), person, starter, ApprovalChoice.REJECT) is None
    assert refusal(policy(starter_may_approve=True), person, starter, ApprovalChoice.APPROVE) is None


def test_an_entry_ties_a_slack_id_to_a_login_name() -> None:
    """Who started by a Slack id doesn't approve at the command line."""
    assert refusal(policy(ANNA), Person("anna", "command line"), "U0ANNA00", ApprovalChoice.APPROVE) is not None


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param({"stages": [{"weight_percent": 100, "approval": True}]}, "before 100 %", id="a stage asks"),
        pytest.param({}, "should it ask", id="only a deadline may"),
        pytest.param({"approvers": [ANNA]}, None, id="approvers are named"),
        pytest.param({"approval": {"starter_may_approve": True}}, None, id="the starter may"),
    ],
)
def test_a_starter_is_told_beforehand(parts: dict[str, Any], said: str | None) -> None:
    """That somebody else must approve, and what lifts it, is known before the release waits for it."""
    told = who_else_is_needed(make_policy(**parts))
    assert told is None if said is None else said in str(told)


def test_a_policy_may_let_the_starter_approve() -> None:
    """For teams of one."""
    rules = policy(ANNA, starter_may_approve=True)
    assert refusal(rules, Person("anna", "command line"), "anna", ApprovalChoice.APPROVE) is None


@pytest.mark.parametrize(
    ("weight", "agreed", "choice", "outcome"),
    [
        pytest.param(49, [], ApprovalChoice.APPROVE, VoteResult.DECIDED, id="one is enough below"),
        pytest.param(50, [], ApprovalChoice.APPROVE, VoteResult.NOTED, id="the first of two"),
        pytest.param(50, ["ben"], ApprovalChoice.APPROVE, VoteResult.DECIDED, id="the second"),
        pytest.param(50, ["anna"], ApprovalChoice.APPROVE, VoteResult.REPEATED, id="the first one again"),
        pytest.param(50, [], ApprovalChoice.REJECT, VoteResult.DECIDED, id="one rejection decides"),
    ],
)
def test_two_people_from_a_weight_on(
    weight: float, agreed: list[str], choice: ApprovalChoice, outcome: VoteResult
) -> None:
    """Half of the users are not put at risk by one person's click."""
    rules = policy(ANNA, {"name": "ben"}, two_people_from_percent=50)
    assert tally(rules, "anna", choice, weight, agreed) is outcome
    assert people_needed(rules, weight) == (2 if weight >= 50 else 1)
