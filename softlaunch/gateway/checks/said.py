"""What one answer said, as far as it is checked: never more than a few kilobytes of a stream's text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

BEGINNING = 4096
ENDING = 1024
"""Characters of a text that are looked at, and of a stream kept until it is over, from its beginning and its end."""

Document = tuple[object, str]
"""A JSON schema, and the JSON that should fit it."""


@dataclass(slots=True)
class Said:
    """The text of an answer's first choice, and what was seen of its form; forgotten when its row is logged.

    `size` is in characters. `refuses`: in the API's own field for that. `is_cut`: by
    the limit of tokens. `is_off_form`: not the JSON or the tools that were asked for, as far as that shows at once;
    `documents` have still to be held against their schemas, and `fits` says whether they do, None while nobody knows.
    """

    beginning: str = ""
    ending: str = ""
    size: int = 0
    refuses: bool = False
    is_cut: bool = False
    is_off_form: bool = False
    documents: Sequence[Document] = ()
    fits: bool | None = None

    @classmethod
    def whole(cls, text: str) -> "Said":
        """A text that came in one piece."""
        return cls(text[:BEGINNING], text[-ENDING:], len(text))


@dataclass(slots=True)
class Listener:
    """Hears a text piece by piece, and keeps its beginning and its end."""

    beginning: list[str] = field(default_factory=list)
    ending: str = ""
    size: int = 0

    def hear(self, piece: str) -> None:
        """One more piece."""
        self.size += len(piece)
        if self.size <= BEGINNING:
            self.beginning.append(piece)
        else:
            self.ending = (self.ending + piece)[-ENDING:]

    def said(self) -> Said:
        """What was heard."""
        beginning = "".join(self.beginning)
        return Said(beginning, (beginning[-ENDING:] + self.ending)[-ENDING:], self.size)
