"""What the wording of refusals in one language is."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """How refusals are worded in one language, in lower case, where one of `tell_tales` occurs.

    What `begins` the text or stands `within` it refuses. What does so `softly` refuses unless the text `goes_on` and
    answers all the same.
    """

    tell_tales: frozenset[bytes]
    begins: re.Pattern[str]
    within: re.Pattern[str]
    begins_softly: re.Pattern[str]
    within_softly: re.Pattern[str]
    goes_on: re.Pattern[str]

    def find(self, opening: str) -> str | None:
        """The words that refuse."""
        found = self.begins.match(opening) or self.within.search(opening)
        if found is None:
            found = self.begins_softly.match(opening) or self.within_softly.search(opening)
            if found is not None and self.goes_on.search(opening, found.start()):
                return None
        return None if found is None else found[0].strip()


_NEVER = r"(?!)"


def wording(
    tell_tales: str,
    begins: str,
    within: str,
    begins_softly: str = _NEVER,
    within_softly: str = _NEVER,
    goes_on: str = _NEVER,
) -> Wording:
    """From words that are separated by spaces, and verbose patterns."""
    first = (rf"\W*(?:{pattern})" for pattern in (begins, begins_softly))
    begin, begin_softly, inside, inside_softly, further = (
        re.compile(pattern, re.VERBOSE) for pattern in (*first, within, within_softly, goes_on)
    )
    return Wording(frozenset(tell_tales.encode().split()), begin, inside, begin_softly, inside_softly, further)
