"""The request log's clock: it follows the wall clock, and never goes back."""

from itertools import pairwise

from softlaunch.gateway.log import LogClock

HOUR = 3600.0


class Hands:
    """A wall clock that may be set, and one that only counts; time passes for both."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.ticks = 0.0

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.ticks += seconds


def clock_of(hands: Hands) -> LogClock:
    """A log's clock by these hands."""
    return LogClock(lambda: hands.wall, lambda: hands.ticks)


def test_it_shows_the_wall_clock_and_jumps_forward_with_it() -> None:
    """Nothing is different while clocks behave; a jump forward is taken at once."""
    hands = Hands()
    clock = clock_of(hands)
    hands.go(5)
    assert clock() == hands.wall
    hands.wall += HOUR
    assert clock() == hands.wall


def test_set_back_it_goes_on_at_half_speed_until_the_wall_clock_has_caught_up() -> None:
    """No reading lies before an earlier one, and they move on, so that gates go on seeing."""
    hands = Hands()
    clock = clock_of(hands)
    before = clock()
    hands.wall -= HOUR
    readings = []
    for _ in range(int(2 * HOUR)):
        hands.go(1)
        readings.append(clock())
    assert readings[0] == before + 0.5
    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(readings))
    assert readings[-1] == hands.wall
    hands.go(1)
    assert clock() == hands.wall
