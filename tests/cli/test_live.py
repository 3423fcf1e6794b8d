"""A release in a terminal of eighty columns."""

from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from softlaunch.cli import live
from tests.support.builders import NOON
from tests.support.release_views import rolled_back


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a rolled-back release looks like an hour later."""
    monkeypatch.setattr(live, "utc_now", lambda: NOON + timedelta(hours=1))
    console = Console(width=80, record=True, file=StringIO())
    console.print(live.render(rolled_back()))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_since_is_a_time(lines: list[str]) -> None:
    """When a stage began stands beside how long it lasted."""
    (row,) = (line for line in lines if "canary 10 %" in line)
    assert "12:04:00     2 min" in row


def test_it_fits_the_terminal(lines: list[str]) -> None:
    """No line is wider, and why it ended is said once above the stages."""
    assert max(map(len, lines)) <= 80
    assert sum("latency: worse by 391 %" in line for line in lines) == 2  # once more with the gate's figures


def test_who_met_it_is_counted_as_on_the_page(lines: list[str]) -> None:
    """Users and requests, each with how many there were in all."""
    assert "151 of 2,934 users (5.1 %) were exposed to the candidate" in " ".join(" ".join(lines).split())
