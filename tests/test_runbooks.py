"""Incidents and their runbooks belong together."""

from pathlib import Path

import pytest

from softlaunch.policy.model import Metric
from softlaunch.store.news import IncidentKind

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", IncidentKind)
def test_every_kind_has_a_page(kind: IncidentKind) -> None:
    """The link in a message leads to a page with the parts that a person on call looks for."""
    page = (ROOT / kind.runbook).read_text(encoding="utf-8")
    assert [part for part in ("Symptom", "## Check", "## Act", "## Verify", "## Prevent") if part not in page] == []


def test_every_page_has_a_kind() -> None:
    """No page is left that nothing links to."""
    assert {path.stem for path in (ROOT / "runbooks").glob("*.md")} == set(IncidentKind)


def test_every_metric_that_can_roll_back_has_a_kind() -> None:
    """Whatever gate fails, there is something to open."""
    assert {f"gate_{metric}" for metric in Metric} <= set(IncidentKind)
