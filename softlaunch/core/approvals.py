"""Approvals: what people can be asked to approve, what they can choose, and how an approval stands."""

from enum import StrEnum


class ApprovalKind(StrEnum):
    """What a person can be asked to approve: a step of a release, or a large cleanup of the registry."""

    REVIEW_EVAL = "review_eval"
    ENTER_STAGE = "enter_stage"
    DEADLINE = "deadline"
    ADVANCE = "advance"
    """To begin the next stage before the one in force has passed. A person asks for it, never the driver."""
    CLEANUP = "cleanup"


class ApprovalState(StrEnum):
    """How an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The release went on, or ended, before anybody decided."""


class ApprovalChoice(StrEnum):
    """What a person can choose."""

    APPROVE = "approve"
    REJECT = "reject"

    @property
    def state(self) -> ApprovalState:
        """How the approval stands afterwards."""
        return ApprovalState.APPROVED if self is ApprovalChoice.APPROVE else ApprovalState.REJECTED
