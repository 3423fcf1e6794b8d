"""Whether an answer refuses to answer, by the words that it opens with, in the languages that models are asked in most.

A refusal says that *the speaker* won't or can't do what was asked, or that the question can't be answered because it
is a matter of opinion. A regret (`I'm sorry to hear that`), a fact (`parcels can't be delivered there`) and a
caveat before an answer (`I don't have opinions. However, here are ...`) are none.

Pure, and fast where nothing is refused: a language's patterns are only tried where one of its tell-tale words occurs.
How often it is right on recorded answers is held by `tests/core/test_refusal_wording.py`.
"""

from softlaunch.core.openings import Opening
from softlaunch.core.refusal_wording.english import ENGLISH
from softlaunch.core.refusal_wording.european import EUROPEAN
from softlaunch.core.refusal_wording.scripts import BY_SCRIPT
from softlaunch.core.text_language import script_of

_IN_LATIN_LETTERS = (ENGLISH, *EUROPEAN)
_TELL_TALES = frozenset[bytes]().union(*(wording.tell_tales for wording in _IN_LATIN_LETTERS))


def refusal_in(answer: str) -> str | None:
    """The words by which an answer refuses; None where it answers."""
    return refusal_of(Opening.of(answer))


def refusal_of(opening: Opening) -> str | None:
    """The same, of an answer's opening."""
    script = script_of(opening.text)
    if script is not None:
        wording = BY_SCRIPT.get(script)
        return None if wording is None else wording.find(opening.text)
    if _TELL_TALES.isdisjoint(opening.words):
        return None
    for wording in _IN_LATIN_LETTERS:
        if not wording.tell_tales.isdisjoint(opening.words):
            found = wording.find(opening.text)
            if found is not None:
                return found
    return None
