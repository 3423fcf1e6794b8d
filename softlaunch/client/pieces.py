"""What is sent: records of calls, and feedback."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

RECORDS, FEEDBACK = "records", "feedback"
Piece = tuple[str, dict[str, Any]]
"""A kind, and a document of it."""


def apps_of(pieces: Sequence[Piece]) -> Counter[str]:
    """How many requests there are among pieces, by app; feedback is no request."""
    return Counter(str(document.get("app", "")) for kind, document in pieces if kind == RECORDS)
