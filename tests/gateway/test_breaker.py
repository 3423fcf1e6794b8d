"""The breaker: massive failure within seconds, seen by one gateway."""

import pytest

from softlaunch.gateway.breaker import Breaker
from softlaunch.policy.model import BreakerPolicy

LONG_AGO = [(0.01 * i, False) for i in range(100)]
POLICY = BreakerPolicy(window=5.0, minimum_requests=10, failed_percent=50.0)


@pytest.mark.parametrize(
    ("outcomes", "trips"),
    [
        pytest.param([(0.1 * i, True) for i in range(9)], False, id="too few answers"),
        pytest.param([(0.1 * i, True) for i in range(10)], True, id="ten failures in a second"),
        pytest.param([(0.1 * i, i % 2 == 0) for i in range(10)], True, id="exactly half failed"),
        pytest.param([(0.1 * i, i % 3 == 0) for i in range(30)], False, id="a third failed"),
        pytest.param([(1.0 * i, True) for i in range(30)], False, id="never ten within the window"),
        pytest.param([*LONG_AGO, *((7 + 0.1 * i, True) for i in range(10))], True, id="old successes are forgotten"),
    ],
)
def test_trips(outcomes: list[tuple[float, bool]], *, trips: bool) -> None:
    """It trips at the first answer that makes the failed share too large among enough recent ones."""
    breaker = Breaker()
    tripped = [breaker.note(failed=failed, policy=POLICY, now=now) for now, failed in outcomes]
    assert any(tripped) is trips
    assert breaker.tripped is trips


def test_it_trips_once_and_stays_so() -> None:
    """Only one answer trips it, and later successes don't close it again."""
    breaker = Breaker()
    tripped = [breaker.note(failed=i < 10, policy=POLICY, now=0.1 * i) for i in range(50)]
    assert tripped.count(True) == 1
    assert breaker.tripped
    assert breaker.reason == "10 of the candidate's last 10 answers within 5 s failed"
