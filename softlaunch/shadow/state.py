"""What a shadow stage has learnt from the texts of its copies, as a stage's evidence keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from softlaunch.shadow.similarity import NONE, Sums


@dataclass(frozen=True, slots=True)
class CopyState:
    """Sums of similarity and of judges' preference: of the candidate's copies, and of stable's own second answers.

    `judged` is the id of the last judgement that was counted, `unreadable` how many of them said nothing; `judging`
    says in a sentence why no more are asked for, where that is so.
    """

    agreement: Sums = NONE
    agreement_floor: Sums = NONE
    preference: Sums = NONE
    preference_floor: Sums = NONE
    judged: int = 0
    unreadable: int = 0
    judging: str = ""

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        sums = {name: getattr(self, name) for name in _SUMS}
        return {
            **{name: [one.count, round(one.total, 6), round(one.squares, 6)] for name, one in sums.items()},
            "judged": self.judged,
            "unreadable": self.unreadable,
            "judging": self.judging,
        }

    def figures(self) -> dict[str, Any]:
        """What people may want to read: means with their errors, null where nothing was compared."""
        found = {name: getattr(self, name).similarity for name in _SUMS}
        return {name: None if one is None else asdict(one) for name, one in found.items()}

    @classmethod
    def load(cls, held: Mapping[str, Any]) -> Self:
        """The state that was dumped; one that knows nothing where there was none."""
        known: dict[str, Any] = {name: Sums(*held[name]) for name in _SUMS if name in held}
        known |= {name: held[name] for name in ("judged", "unreadable", "judging") if name in held}
        return cls(**known)


_SUMS = ("agreement", "agreement_floor", "preference", "preference_floor")
EVIDENCE = "copies"
"""Where a stage's evidence keeps it."""


def state_in(evidence: Mapping[str, Any]) -> CopyState:
    """What a stage's evidence says of its copies."""
    return CopyState.load(evidence.get(EVIDENCE, {}))
