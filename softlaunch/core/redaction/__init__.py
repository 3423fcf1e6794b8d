"""What is cut out of texts before they are written: personal data and secrets, by patterns and by functions of apps."""

from softlaunch.core.redaction.patterns import PatternName
from softlaunch.core.redaction.rules import (
    ENTRY_POINTS,
    Loaded,
    Rules,
    UnknownRedactorError,
    find_redactor,
    prepared,
    redact,
    redact_all,
)

__all__ = [
    "ENTRY_POINTS",
    "Loaded",
    "PatternName",
    "Rules",
    "UnknownRedactorError",
    "find_redactor",
    "prepared",
    "redact",
    "redact_all",
]
