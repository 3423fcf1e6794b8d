"""The forms of a person on call: a rollback, and the decision of an approval."""

from pydantic import BaseModel, ConfigDict, Field

from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.content import Name
from softlaunch.ledger.releases import Actor, Origin


class RollbackRequest(BaseModel):
    """Roll back an app's live release, or the newest promoted one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: Name = Field(
        title="App",
        description="The app to roll back, as clients call it, such as support-bot.",
        examples=["support-bot"],
    )
    reason: str = Field(
        title="Why",
        description="What you saw; kept in the ledger and sent to everybody who follows the app.",
        examples=["customers report wrong prices"],
        min_length=1,
    )
    to: str | None = Field(
        default=None,
        title="To which version",
        description="One that has served before: a prompt version, or a variant's name, alias or digest. Left out: one "
        "step, which is never taken twice.",
        examples=["support@1.0.0"],
    )
    untried: bool = Field(
        default=False, title="Even one that never served", description="Allow a version that has never served."
    )
    actor: str = Field(
        default="unknown",
        title="Who",
        description="Who rolls it back, such as anna; kept in the ledger.",
        examples=["anna"],
    )
    origin: Origin = "prefect"

    @property
    def by(self) -> Actor:
        """Who asks, and from where."""
        return Actor(self.actor, self.origin)


class DecisionRequest(BaseModel):
    """Decide a pending approval: to enter a stage, to continue past a deadline, to pass an eval that is unclear.

    A large cleanup of the registry needs an approval, too, which is named by its number, `question`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: Name = Field(
        title="App",
        description="The app whose release waits for the approval, such as support-bot.",
        examples=["support-bot"],
    )
    question: int | None = Field(
        default=None,
        title="Approval",
        description="The approval's number, where it isn't a release's; left out: the approval of the live release.",
        examples=[12],
    )
    decision: ApprovalChoice = Field(
        title="Decision",
        description="'approve' lets the release go on; 'reject' ends it, and stable serves alone.",
    )
    actor: str = Field(
        title="Who", description="Who decides, such as anna; kept in the ledger.", examples=["anna"], min_length=1
    )
    reason: str = Field(
        default="", title="Why", description="Kept in the ledger.", examples=["checked the ten cases that changed"]
    )
    origin: Origin = "prefect"

    @property
    def by(self) -> Actor:
        """Who decides, and from where."""
        return Actor(self.actor, self.origin)
