"""Runbooks as pages: Markdown of ours, rendered without raw HTML, with links that lead somewhere here."""

import re
from functools import lru_cache

from markdown_it import MarkdownIt
from markupsafe import Markup

from softlaunch.core.errors import NotFoundError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.resources import find_resource

_NAME = re.compile(r"(?:.*/)?(\w+)\.md(#[\w-]+)?")


def kind_named(name: str) -> IncidentKind:
    """The kind of incident of a name; raises NotFoundError."""
    try:
        return IncidentKind(name)
    except ValueError as error:
        known = ", ".join(kind.value for kind in IncidentKind)
        raise NotFoundError(f"there is no runbook {name!r}; there are: {known}") from error


@lru_cache(maxsize=64)
def runbook_page(kind: IncidentKind) -> Markup:
    """A runbook's text as markup, from its first heading on. Raises NotFoundError where the page isn't installed."""
    path = find_resource(kind.runbook)
    if path is None:
        raise NotFoundError(f"{kind.runbook} isn't installed with the console; it is in softlaunch's repository")
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = renderer.parse(path.read_text(encoding="utf-8"))
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _address(str(child.attrGet("href") or "")))
    return Markup(renderer.renderer.render(tokens, renderer.options, {}))  # noqa: S704  (rendered without raw HTML)


def _address(link: str) -> str:
    """Where a link of a runbook leads: another runbook's page, or as it is written where it is a whole address."""
    if link.startswith(("http://", "https://", "#")):
        return link
    found = _NAME.fullmatch(link)
    if found is not None and found[1] in {kind.value for kind in IncidentKind}:
        return f"/runbooks/{found[1]}{found[2] or ''}"
    return "/runbooks"
