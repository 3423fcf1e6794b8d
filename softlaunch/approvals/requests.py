"""What a person on call fills in: to roll a release back, or to decide about an approval."""

from pydantic import BaseModel, ConfigDict, Field

from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.variant import Name
from softlaunch.ledger.releases import Actor


class RollbackRequest(BaseModel):
    """Roll back what an app is releasing, or released last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: Name = Field(
        title="App",
        description="The app to roll back, as clients call it, such as support-bot.",
        examples=["support-bot"],
    )
    reason: str = Field(
        title="Why",
        description="What you saw; kept in the ledger and told to everybody who follows the app.",
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
    origin: str = Field(
        default="prefect",
        title="From where",
        description="Where the request came from; kept in the ledger. Leave it as it is in a form.",
        examples=["prefect"],
    )

    @property
    def by(self) -> Actor:
        """Who asks, and from where."""
        return Actor(self.actor, self.origin)


class DecisionRequest(BaseModel):
    """Answer what a live release asks: to enter a stage, to go on past a deadline, to pass an eval that is unclear.

    A large cleanup of the registry asks, too; its question has a number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: Name = Field(
        title="App", description="The app whose release asks, such as support-bot.", examples=["support-bot"]
    )
    question: int | None = Field(
        default=None,
        title="Question",
        description="The number of the question, where it isn't about a release; left out: what its live release asks.",
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
        default="", title="Why", description="Kept in the ledger.", examples=["looked at the ten cases that changed"]
    )
    origin: str = Field(
        default="prefect",
        title="From where",
        description="Where the answer came from; kept in the ledger. Leave it as it is in a form.",
        examples=["prefect"],
    )

    @property
    def by(self) -> Actor:
        """Who decides, and from where."""
        return Actor(self.actor, self.origin)
