"""What the demo says at its end."""

import time

import pytest

from softlaunch.cli.demo.story import ACTS, conclude
from softlaunch.ledger.exposure import Exposure
from softlaunch.policy.release import State
from softlaunch.releases.views import ReleaseView
from tests.support.builders import make_release


def test_results_are_words_without_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever colour they have."""
    ends = (State.PROMOTED, State.ROLLED_BACK, State.REJECTED, State.ROLLED_BACK)
    views = [ReleaseView(make_release(end), (), (), Exposure(0, 0, 0, 0), ()) for end in ends[: len(ACTS)]]
    conclude(views, time.monotonic())
    printed = capsys.readouterr().out
    assert all(end.value in printed for end in ends)
    assert "[red]" not in printed
    assert "[green]" not in printed
