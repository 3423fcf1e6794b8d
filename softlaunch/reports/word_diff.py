"""Two texts side by side with the words marked that only one of them has."""

import re

from markupsafe import Markup, escape
from rapidfuzz.distance import Indel

_MOST_WORDS = 2000
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")


def word_diff(first: str, second: str) -> tuple[Markup, Markup]:
    """Both texts as escaped markup: `<del>` around what only the first has, `<ins>` around what only the second has.

    Texts of more than two thousand words each are left unmarked, because nobody reads such a difference.
    """
    one, other = _TOKEN.findall(first), _TOKEN.findall(second)
    if max(len(one), len(other)) > _MOST_WORDS:
        return escape(first), escape(second)
    left, right = Markup(""), Markup("")
    for step in Indel.opcodes(one, other):
        kind, start, end, other_start, other_end = (
            step.tag,
            step.src_start,
            step.src_end,
            step.dest_start,
            step.dest_end,
        )
        if kind != "insert":
            left += _piece("".join(one[start:end]), "del" if kind == "delete" else "")
        if kind != "delete":
            right += _piece("".join(other[other_start:other_end]), "ins" if kind == "insert" else "")
    return left, right


def _piece(text: str, tag: str) -> Markup:
    if not tag or not text.strip():
        return escape(text)
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), text)  # noqa: S704  (the tag is one of two names of ours)
