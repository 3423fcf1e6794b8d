"""Two texts side by side with the words marked that only one of them has."""

from markupsafe import Markup, escape

from softlaunch.core.visible import visible
from softlaunch.core.word_diff import Op, Piece, diff_words, words_of

_MOST_WORDS = 2000
_TAGS = {Op.REMOVED: Markup("del"), Op.ADDED: Markup("ins")}


def mark_words(first: str, second: str) -> tuple[Markup, Markup]:
    """Both texts as escaped markup: `<del>` around what only the first has, `<ins>` around what only the second has.

    Texts of more than two thousand words each are left unmarked, because nobody reads such a difference.
    """
    first, second = visible(first), visible(second)
    if max(len(words_of(first)), len(words_of(second))) > _MOST_WORDS:
        return escape(first), escape(second)
    pieces = diff_words(first, second)
    left = [_marked(piece) for piece in pieces if piece.op is not Op.ADDED]
    right = [_marked(piece) for piece in pieces if piece.op is not Op.REMOVED]
    return Markup("").join(left), Markup("").join(right)


def _marked(piece: Piece) -> Markup:
    if piece.op is Op.SAME or not piece.text.strip():
        return escape(piece.text)
    return Markup("<{0}>{1}</{0}>").format(_TAGS[piece.op], piece.text)
