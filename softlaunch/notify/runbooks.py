"""The runbook pages, wherever softlaunch is installed."""

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.resources import find_resource


class NoRunbookError(SoftlaunchError):
    """The installation lacks the pages."""


def read_runbook(kind: IncidentKind) -> str:
    """The page of a kind: from inside an installed package, or from the checkout beside it."""
    page = find_resource(kind.runbook)
    if page is None:
        raise NoRunbookError(f"this installation lacks {kind.runbook}; install softlaunch again")
    return page.read_text(encoding="utf-8")
