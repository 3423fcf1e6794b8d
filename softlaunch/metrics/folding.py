"""Texts without the differences that nobody sees: normal forms, quotes, dashes, spaces, and characters of no width."""

import unicodedata
from collections.abc import Mapping

_ALIKE = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\u0060\uff07",
    '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d",
}
_UNSEEN = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f"
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_FOLDED: Mapping[int, str | None] = {
    **{ord(one): plain for plain, others in _ALIKE.items() for one in others},
    **{ord(one): None for one in _UNSEEN},
    **dict.fromkeys(_DIRECTIONS),
}


def normalise(text: str, *, case: bool = False) -> str:
    """The text as it is compared: without differences of normal form (NFKC), quotes, dashes and, usually, case.

    Characters that have no width are taken out, and every run of whitespace is one space, none at the ends.
    """
    if text.isascii():
        text = text.replace("`", "'")
        return " ".join((text if case else text.casefold()).split())
    folded = unicodedata.normalize("NFKC", text.translate(_FOLDED))
    if not case:
        folded = unicodedata.normalize("NFKC", folded.casefold())
    return " ".join(folded.translate(_FOLDED).split())
