"""Texts of models and people in the formats of a check: nothing in them is a heading, a link, a mention or a command.

GitHub turns `@name`, `#12` and addresses into links after it has rendered Markdown, so an escape of Markdown's own is
not enough: an invisible word joiner (U+2060) keeps such words from being what they look like. Code stays as it is.
"""

import re
from html import escape

from softlaunch.core.visible import one_line, visible

_JOINER = "\u2060"
_MARKS = re.compile(r"[\\`*_\[\]<>#|~&$]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|(?<=^\d{3})[.)]")
"""Signs that mean something anywhere in a line of Markdown, and those that begin a list or a rule at its beginning."""
_LINKS = re.compile(r"[@#]|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bGH)(?=-)", re.IGNORECASE)
_BACKTICKS = re.compile("`+")
_RUNNER_MARK = "##["


def prose(text: str) -> str:
    """Words of others within a line of Markdown, shown as they are."""
    marked = _LINKS.sub(lambda found: f"{found[0]}{_JOINER}", one_line(text))
    return _MARKS.sub(r"\\\g<0>", marked)


def code(text: str, *, in_table: bool = False) -> str:
    """A name of others as code within a line of Markdown: between more backticks than it has in a row."""
    shown = one_line(text) or " "
    fence = "`" * (1 + max((len(run) for run in _BACKTICKS.findall(shown)), default=0))
    shown = shown.replace("|", r"\|") if in_table else shown
    padding = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def html(text: str) -> str:
    """A text of others within `<pre>` or `<code>`, on one physical line: an empty one would end the block of HTML."""
    return escape(visible(text), quote=True).replace("\n", "&#10;").replace("\t", "&#9;")


def shortened(text: str, longest: int) -> str:
    """The beginning of a text, and how much is left out."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def on_terminal(text: str) -> str:
    """A text of others on lines of their own, none of which a runner of GitHub's Actions takes for a command.

    Such a runner looks behind white space at the beginning of a line, and for `##[` anywhere.
    """
    return "\n".join(f"| {line}" for line in neutral(visible(text)).split("\n"))


def neutral(text: str) -> str:
    """Without the mark that a runner of GitHub's Actions looks for within lines."""
    return text.replace(_RUNNER_MARK, "## [")


def annotation(text: str) -> str:
    """What a workflow command says."""
    shown = neutral(visible(text))
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def annotation_property(text: str) -> str:
    """A value of a workflow command's property."""
    return annotation(one_line(text)).replace(":", "%3A").replace(",", "%2C")
