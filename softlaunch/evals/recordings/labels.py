"""Answers that decide between a few labels: which label an answer settles on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_LABELS = 20
_LONGEST_LABEL = 40
_CASES_PER_LABEL = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """A closed set of labels, such as yes and no. `bracketed` ones count only in brackets, as the questions ask."""

    names: tuple[str, ...]
    bracketed: bool = False

    @classmethod
    def among(cls, references: Sequence[str], questions: Sequence[str] = ()) -> "Labels | None":
        """The labels, where references are a few short words that come again and again; None where they aren't."""
        names = tuple(sorted({reference.strip().casefold() for reference in references}))
        few = 2 <= len(names) <= _MOST_LABELS and len(references) >= _CASES_PER_LABEL * len(names)
        short = all(0 < len(name) <= _LONGEST_LABEL and re.search(r"\w", name) for name in names)
        asked_for = bool(questions) and all(f"[{name}]" in text.casefold() for text in questions for name in names)
        return cls(names, asked_for) if few and short else None

    def settled(self, answer: str) -> str | None:
        """The label that an answer ends up with: the last in brackets, quotes or bold, else the last that it names."""
        names = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        bracketed = rf"\[\s*({names})\s*\]"
        marked = rf"""(?:\[|\(|\*\*|")\s*({names})\s*(?:\]|\)|\*\*|"|\.)"""
        named = rf"(?<!\w)({names})(?!\w)"
        for pattern in (bracketed,) if self.bracketed else (marked, named):
            found = re.findall(pattern, answer, re.IGNORECASE)
            if found:
                return str(found[-1]).casefold()
        return None

    def agrees(self, answer: str, reference: str) -> bool:
        """Whether the answer settles on the reference."""
        return self.settled(answer) == reference.strip().casefold()
