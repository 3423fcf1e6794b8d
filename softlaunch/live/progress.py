"""What live judging has come to, as a stage's evidence keeps it and people are told: counts, and why nothing comes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from softlaunch.live.tallies import NOTHING, Tally

EVIDENCE = "live"
"""Where a stage's evidence keeps how judging stands."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What live judging has come to in a stage, or on this day where no release is live.

    `waiting` judgements wait. `spent` is which budget is used up, and `away` why judges give nothing, in words; both
    are empty where there is nothing to say.
    """

    tally: Tally = NOTHING
    waiting: int = 0
    spent: str = ""
    away: str = ""

    def dump(self) -> dict[str, Any]:
        """It as JSON values."""
        return {**asdict(self.tally), "waiting": self.waiting, "spent": self.spent, "away": self.away}

    @property
    def sentences(self) -> str:
        """It for people."""
        one = self.tally
        told = [
            f"Live judges: {one.judged:,} judgements made, {self.waiting:,} waiting",
            *([f"{one.unreadable:,} can't be read"] if one.unreadable else []),
            *([f"{one.unanswered:,} got no answer"] if one.unanswered else []),
            *([f"{one.let_go:,} were dropped"] if one.let_go else []),
            f"{one.calls:,} calls" + (f", ${one.cost_usd:.4g}" if one.cost_usd else ""),
        ]
        more = [f"Judges are no longer asked: {self.spent}."] if self.spent else []
        away = [f"{self.away[0].upper()}{self.away[1:]}."] if self.away else []
        return " ".join([f"{'; '.join(told)}.", *more, *away])

    @classmethod
    def load(cls, held: Mapping[str, Any]) -> "Progress":
        """What was dumped."""
        counts = {name: held[name] for name in asdict(Tally())}
        return cls(Tally(**counts), held["waiting"], held["spent"], held["away"])


def progress_in(evidence: Mapping[str, Any]) -> Progress | None:
    """How judging stood when a stage was last looked at; None where nobody judges."""
    held = evidence.get(EVIDENCE)
    return None if held is None else Progress.load(held)
