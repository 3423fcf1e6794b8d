"""The remarks of a check, each with its weight."""

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """What a remark asks for: an alert opens an incident, a notice is only in the report."""

    ALERT = "alert"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Remark:
    """One result of a check, about a metric or another subject, in a sentence."""

    weight: Weight
    subject: str
    sentence: str
