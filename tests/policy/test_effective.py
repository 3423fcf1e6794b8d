"""A policy spelled out for people."""

import pytest

from softlaunch.core.quantities import written_duration
from softlaunch.policy.effective import settings
from softlaunch.policy.model import Policy


def test_every_setting_is_shown_with_its_origin() -> None:
    """Written values and defaults can be told apart, and values are in the form that the file takes."""
    policy = Policy.model_validate(
        {
            "app": "support-bot",
            "eval": {"golden_set": "g.jsonl"},
            "stages": [{"weight_percent": 100, "approval": True, "minimum_time": "90 min"}],
            "shadow": None,
        }
    )
    shown = {one.key: (one.value, one.is_default) for one in settings(policy)}
    assert shown["stages[0].minimum_time"] == ("90 min", False)
    assert shown["stages[0].approval"] == ("yes", False)
    assert shown["stages[0].deadline"] == ("1 d", True)
    assert shown["eval.tolerance"] == ("2 points", True)
    assert shown["gates[1].margin"] == ("10 %", True)
    assert shown["shadow"] == ("none", False)
    assert shown["unit.source"] == ("user", True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(600, "10 min"), (90, "90 s"), (86400, "1 d"), (5400, "90 min"), (0.25, "0.25 s"), (0, "0 s"), (172800, "2 d")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """A duration is written in the largest unit without a remainder."""
    assert written_duration(seconds) == text
