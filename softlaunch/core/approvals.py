"""What people can be asked to decide, and how a question to them stands."""

from enum import StrEnum


class Question(StrEnum):
    """What a person can be asked: about a release, or about a large cleanup of the registry."""

    REVIEW_EVAL = "review_eval"
    ENTER_STAGE = "enter_stage"
    DEADLINE = "deadline"
    CLEANUP = "cleanup"


class Answer(StrEnum):
    """How a question to a person stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The release went on, or ended, before anybody answered."""
