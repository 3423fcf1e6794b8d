"""The lease: no sign of life, no candidate."""

import pytest

from softlaunch.gateway.lease import Lease

LEASE = 10.0


def lease_after(*looks: tuple[float, int]) -> Lease:
    """A lease that has read these beats at these times."""
    lease = Lease()
    for now, beat in looks:
        lease.look(beat, LEASE, now)
    return lease


@pytest.mark.parametrize(
    ("looks", "now", "holds"),
    [
        pytest.param([], 0.0, False, id="never looked"),
        pytest.param([(0, 7)], 0.1, False, id="just started: a first beat may be old"),
        pytest.param([(0, 7), (1, 7), (2, 7)], 2.1, False, id="the beat never changed"),
        pytest.param([(0, 7), (1, 8)], 1.1, True, id="the beat changed"),
        pytest.param([(0, 7), (1, 8)], 10.9, True, id="nearly a lease later"),
        pytest.param([(0, 7), (1, 8)], 11.0, False, id="a lease later"),
        pytest.param([(0, 7), (1, 8), (20, 8), (21, 9)], 21.1, True, id="a new beat after the lease ran out"),
        pytest.param([(0, 7), (5, 8)], 5.1, True, id="a change within half a lease is proof"),
        pytest.param([(0, 7), (5.1, 8)], 5.2, False, id="a change in a longer gap is none"),
        pytest.param([(0, 7), (30, 8)], 30.1, False, id="a change somewhere in a long gap is no proof"),
        pytest.param([(0, 7), (30, 8), (31, 9)], 31.1, True, id="the next change after a gap is"),
        pytest.param([(0, 7), (1, 3)], 1.1, True, id="a beat that went back has changed too"),
    ],
)
def test_holds(looks: list[tuple[float, int]], now: float, *, holds: bool) -> None:
    """Only a change between two looks close together keeps the candidate in service, for one lease."""
    assert lease_after(*looks).holds(LEASE, now) is holds
