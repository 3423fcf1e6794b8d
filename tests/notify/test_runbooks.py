"""Incidents and their runbooks belong together."""

import re
from pathlib import Path

import pytest

from softlaunch.core.incident_kinds import IncidentKind, Severity
from softlaunch.core.live_metrics import Metric
from tests.support.paths import ROOT
from tests.support.runbook_pages import Step, steps_of

PAGES = sorted((ROOT / "runbooks").glob("*.md"))
PARTS = [
    "**Symptom.**",
    "**What users notice.**",
    "**How urgent.**",
    "## Check",
    "## Act",
    "## Verify",
    "## Prevent",
    "## Escalate",
]
URGENCY = {Severity.PAGE: "Page: act now.", Severity.TICKET: "Ticket: it can wait for the next working day."}


@pytest.mark.parametrize("kind", IncidentKind)
def test_every_kind_has_a_page(kind: IncidentKind) -> None:
    """The link in a message leads to a page with the parts that a person on call looks for, in this order."""
    page = (ROOT / kind.runbook).read_text(encoding="utf-8")
    assert page.startswith(f"# {kind.words}\n")
    places = [page.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    assert f"**How urgent.** {URGENCY[kind.severity]}" in page


def test_every_page_has_a_kind() -> None:
    """No page is left that nothing links to."""
    assert {path.stem for path in PAGES} == set(IncidentKind)


def test_every_metric_that_can_roll_back_has_a_kind() -> None:
    """Whatever gate fails, there is something to open."""
    assert [IncidentKind.of_metric(metric).metric for metric in Metric] == list(Metric)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_a_page_resolves(page: Path) -> None:
    """A link leads to a file that is there."""
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_commands_to_paste_with_what_they_print(page: Path) -> None:
    """Each of them is run by a longer test, on an installation that has the page's incident."""
    steps = steps_of(page)
    assert steps
    assert [step.command for step in steps if not step.expected] == []


@pytest.mark.parametrize(
    ("printed", "missed"),
    [
        pytest.param("bot-1  a → b\n\nrolled_back:   latency\n", "", id="all of it"),
        pytest.param("bot-1  a → b\n", "rolled_back: ...", id="a line is missing"),
        pytest.param("rolled_back: x\nbot-1  a → b\n", "rolled_back: ...", id="in another order"),
    ],
)
def test_what_a_page_shows_is_compared_line_by_line(printed: str, missed: str) -> None:
    """An ellipsis stands for anything, and blanks don't count."""
    assert Step("softlaunch release status bot", "...\nbot-1 ... → ...\nrolled_back: ...").missed(printed) == missed
