"""What becomes of a judgement that is wanted."""

from enum import StrEnum


class JudgementState(StrEnum):
    """What becomes of a judgement that is wanted."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    """An evaluator has it and hasn't asked yet: it goes back when the claim runs out."""
    ASKED = "asked"
    """Judges are being asked, and may have to be paid: when the claim runs out it is over, without an answer."""
    OVER = "over"
