"""The runbook pages, wherever softlaunch is installed."""

from pathlib import Path

import softlaunch
from softlaunch.errors import SoftlaunchError
from softlaunch.store.news import IncidentKind


class NoRunbookError(SoftlaunchError):
    """The installation lacks the pages."""


def read_runbook(kind: IncidentKind) -> str:
    """The page of a kind: from inside an installed package, or from the checkout beside it."""
    package = Path(softlaunch.__file__).parent
    for folder in (package, package.parent):
        page = folder / kind.runbook
        if page.is_file():
            return page.read_text(encoding="utf-8")
    raise NoRunbookError(f"this installation lacks {kind.runbook}; install softlaunch again")
