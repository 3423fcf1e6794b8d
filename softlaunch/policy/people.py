"""The part of a policy that is about people: where they are notified, who may decide, and what silence means."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration
from softlaunch.policy.part import Part, Percent


class ChatKind(StrEnum):
    """Where people are notified."""

    CONSOLE = "console"
    SLACK = "slack"


class SlackPolicy(Part):
    """Where in Slack people are notified and asked. Tokens come from the environment, never from the policy."""

    channel: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]{5,}$")]
    """The channel's id, such as C0123ABCDEF. Slack shows it at the end of the channel's details."""


class ApproverPolicy(Part):
    """Someone who may answer questions: a person, by name and Slack id, or a user group."""

    name: str = ""
    """Login name on the command line, and the name given in Prefect's form."""
    slack: Annotated[str, Field(pattern=r"^([UW][A-Z0-9]{5,})?$")] = ""
    """The person's Slack user id, such as U0123ABCDEF."""
    slack_group: Annotated[str, Field(pattern=r"^(S[A-Z0-9]{5,})?$")] = ""
    """A Slack user group's id, such as S0123ABCDEF. Each member may answer."""

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if self.slack_group and (self.name or self.slack):
            raise KeyedError("a person and a group are two entries", "slack_group")
        if not (self.name or self.slack or self.slack_group):
            raise KeyedError("give name, slack, or slack_group", "name")
        return self


class ApprovalPolicy(Part):
    """How people are asked, and what happens if nobody answers."""

    timeout: Duration = 86400.0
    """An approval that isn't given within this time counts as a refusal."""
    starter_may_approve: bool = False
    """Whether the person who started a release or a cleanup may approve it: for teams of one."""
    two_people_from_percent: Percent | None = None
    """From this weight on, two people must approve before a stage starts."""
