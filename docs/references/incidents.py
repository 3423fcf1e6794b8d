"""The reference of incidents: what a person must know, and the page that says what to do."""

from collections.abc import Iterator

from references.markdown import NOTE, code, table
from softlaunch.core.incident_kinds import IncidentKind, Severity

_INTRODUCTION = """
An incident is a problem that a person must know about. This is the complete list. Each kind has a runbook: the symptom,
what users notice, how to check, act and verify, how to prevent it, and whom to call. A **page** needs someone now, at
any hour; a **ticket** can wait for the next working day. [People](../guide/people.md) explains where messages go.
"""
_URGENCY = {Severity.PAGE: "page", Severity.TICKET: "ticket"}


def lines() -> Iterator[str]:
    """The page."""
    yield NOTE
    yield "# Incidents"
    yield _INTRODUCTION
    rows = [
        (code(kind.value), f"[{kind.words}](../../{kind.runbook})", _URGENCY[kind.severity]) for kind in IncidentKind
    ]
    yield from table(("kind", "runbook", "urgency"), rows)
