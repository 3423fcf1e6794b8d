"""What becomes of a release that nobody drives."""

import pytest

from softlaunch.policy.release import State
from softlaunch.releases.orphans import Orphan, Remedy, judge_orphan
from tests.support.builders import make_policy, make_release


@pytest.mark.parametrize(
    ("policy", "silent", "deaths", "remedy", "reason"),
    [
        pytest.param({}, 40, 1, Remedy.RESUME, "it has had no driver for 40 s", id="its driver died"),
        pytest.param({}, 0, 1, Remedy.RESUME, "for 0 s", id="its driver let it go"),
        pytest.param(
            {"action": "roll_back"}, 40, 1, Remedy.ROLL_BACK, "policy says to roll it back", id="the policy says so"
        ),
        pytest.param({}, 3601, 1, Remedy.ROLL_BACK, "60 min, longer than the 60 min", id="it was forgotten"),
        pytest.param({"roll_back_after": "2 d"}, 90_000, 1, Remedy.RESUME, "25 h", id="the policy is patient"),
        pytest.param({}, 40, 6, Remedy.ROLL_BACK, "6 of its drivers died within an hour", id="it kills its drivers"),
    ],
)
def test_remedy(policy: dict[str, object], silent: float, deaths: int, remedy: Remedy, reason: str) -> None:
    """Resumed unless the policy, the time or the number of deaths speaks against it; the reason says which."""
    judged = judge_orphan(Orphan(make_release(State.CANARY, 2, policy=make_policy(orphaned=policy)), silent, deaths))
    assert judged.remedy is remedy
    assert reason in judged.reason
