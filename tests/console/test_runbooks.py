"""Runbooks as pages."""

import re

import pytest

from softlaunch.console.runbooks import kind_named, runbook_page
from softlaunch.core.errors import NotFoundError
from softlaunch.core.incident_kinds import IncidentKind


def test_every_kind_of_incident_has_a_page_whose_links_lead_somewhere() -> None:
    """Links between runbooks lead to their pages here, others to the list of them or to a whole address."""
    for kind in IncidentKind:
        page = runbook_page(kind)
        assert "<h1>" in page
        assert "<script" not in page
        for link in re.findall(r'href="([^"]+)"', page):
            assert link.startswith(("/runbooks", "#", "https://")), (kind, link)
    assert 'href="/runbooks/provider_down"' in "".join(runbook_page(kind) for kind in IncidentKind)


def test_a_name_that_is_no_kind_is_said() -> None:
    """With the names that there are; nothing of the file system is read by it."""
    with pytest.raises(NotFoundError, match="there are: gate_named_metric"):
        kind_named("../../etc/passwd")
