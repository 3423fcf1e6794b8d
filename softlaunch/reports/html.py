"""What every page builds on: Jinja with autoescape, because texts are other people's, and texts with words marked."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from softlaunch.core import formatting
from softlaunch.core.visible import visible
from softlaunch.core.word_diff import Op, Piece, diff_words, words_of
from softlaunch.releases import wording


def _shown(value: object) -> object:
    """Whatever a page shows, with escapes in the place of characters that act; markup of ours stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def page_environment() -> Environment:
    """Templates of this package; every value is escaped, a missing one is an error, numbers are worded as elsewhere."""
    environment = Environment(
        loader=PackageLoader("softlaunch.reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {**vars(formatting), **vars(wording)}
    shown = {name: word for name, word in words.items() if name.startswith(("show_", "has_"))}
    environment.globals.update(shown)
    environment.filters.update(shown)
    return environment


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
