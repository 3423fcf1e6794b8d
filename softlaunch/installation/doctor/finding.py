"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """A release works, and may not tell what it should."""
    PROBLEM = "problem"
    """A release would fail, or wait for something that never comes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in words; `advice` says what to do, and is empty where nothing is."""

    check: str
    level: Level
    text: str
    advice: str = ""
    app: str = ""

    @property
    def sentence(self) -> str:
        """For people: what is, and what to do."""
        subject = f"{self.app}: " if self.app else ""
        return f"{subject}{self.text}; {self.advice}" if self.advice else f"{subject}{self.text}"
