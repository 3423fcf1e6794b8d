"""When an app is frozen: weekly and by dates, over midnight, over months, and where clocks change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from softlaunch.policy.freeze import FreezePolicy
from softlaunch.policy.freeze_windows import after_unfrozen, frozen_at, leaves_no_time, next_freeze

BERLIN = "Europe/Berlin"
CHRISTMAS = {"from": "2026-12-20", "until": "2027-01-03", "time_zone": BERLIN, "reason": "Christmas"}
NIGHTS = {"days": ["fri", "sat", "sun"], "from": "16:00", "until": "08:00", "time_zone": BERLIN}
WEEKEND = (
    {"days": ["fri"], "from": "16:00", "time_zone": BERLIN},
    {"days": ["sat", "sun"], "time_zone": BERLIN},
    {"days": ["mon"], "until": "08:00", "time_zone": BERLIN, "reason": "nobody is in"},
)


def windows(*written: dict[str, Any]) -> tuple[FreezePolicy, ...]:
    """Freeze windows as a policy has them."""
    return tuple(FreezePolicy.model_validate(one) for one in written)


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def until(text: str, *written: dict[str, Any]) -> str | None:
    """Until when a moment is frozen, in UTC."""
    found = frozen_at(windows(*written), at(text))
    return None if found is None else f"{found.until.astimezone(UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param("2026-11-27 14:59", None, id="a minute before Friday, 16:00"),
        pytest.param("2026-11-27 15:00", "2026-11-28 07:00", id="the moment at which it begins belongs to it"),
        pytest.param("2026-11-28 06:59", "2026-11-28 07:00", id="after midnight"),
        pytest.param("2026-11-28 07:00", None, id="the moment at which it is over doesn't"),
        pytest.param("2026-11-29 23:00", "2026-11-30 07:00", id="Sunday's reaches into Monday"),
        pytest.param("2026-11-30 15:30", None, id="Monday isn't among the days"),
    ],
)
def test_a_weekly_window_may_cross_midnight(moment: str, expected: str | None) -> None:
    """It begins on each of its days and is over at the first such time after that."""
    assert until(moment, NIGHTS) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param("2026-12-19 22:59", None, id="the evening before, in Berlin"),
        pytest.param("2026-12-19 23:00", "2027-01-02 23:00", id="midnight in Berlin"),
        pytest.param("2027-01-02 22:59", "2027-01-02 23:00", id="its last minute"),
        pytest.param("2027-01-02 23:00", None, id="over as the third begins"),
    ],
)
def test_a_window_by_dates_is_half_open(moment: str, expected: str | None) -> None:
    """From the start of one day until the start of another, by the zone's clocks."""
    assert until(moment, CHRISTMAS) == expected


def test_of_windows_that_touch_or_overlap_the_latest_end_is_told() -> None:
    """A weekend of three windows is one freeze, with the words of the one that ends it."""
    found = frozen_at(windows(*WEEKEND), at("2026-11-27 20:00"))
    assert found is not None
    assert found.words == "frozen until Mon 2026-11-30 08:00 Europe/Berlin (nobody is in)"
    assert until("2026-12-18 20:00", *WEEKEND, CHRISTMAS) == "2027-01-04 07:00"


def test_windows_may_be_in_zones_of_their_own() -> None:
    """Two teams, one release."""
    tokyo = {"days": ["mon"], "from": "08:00", "until": "18:00", "time_zone": "Asia/Tokyo"}
    assert until("2026-11-30 06:30", *WEEKEND, tokyo) == "2026-11-30 09:00"


@pytest.mark.parametrize(
    ("written", "inside", "over"),
    [
        pytest.param(
            {"days": ["sun"], "from": "01:00", "until": "04:00"}, "2026-03-29 00:30", "2026-03-29 02:00", id="spring"
        ),
        pytest.param(
            {"days": ["sun"], "from": "01:00", "until": "02:30"}, "2026-03-29 00:30", "2026-03-29 01:00", id="skipped"
        ),
        pytest.param(
            {"days": ["sun"], "from": "01:00", "until": "04:00"}, "2026-10-25 02:30", "2026-10-25 03:00", id="autumn"
        ),
        pytest.param(
            {"days": ["sun"], "from": "01:00", "until": "02:30"}, "2026-10-25 01:00", "2026-10-25 01:30", id="twice"
        ),
    ],
)
def test_a_window_is_over_by_the_clocks_where_they_change(written: dict[str, Any], inside: str, over: str) -> None:
    """Four hours of a Sunday in spring are two; what is shown twice in autumn is over the second time."""
    assert until(inside, {**written, "time_zone": BERLIN}) == over
    assert until(over, {**written, "time_zone": BERLIN}) is None


@pytest.mark.parametrize(
    ("written", "before", "begins"),
    [
        pytest.param("02:30", "2026-03-29 00:59", "2026-03-29 01:00", id="an hour that is skipped: when clocks jump"),
        pytest.param("02:30", "2026-10-25 00:29", "2026-10-25 00:30", id="an hour that comes twice: the first time"),
    ],
)
def test_a_window_begins_by_the_clocks_where_they_change(written: str, before: str, begins: str) -> None:
    """Never later than what the clocks show."""
    window = {"days": ["sun"], "from": written, "until": "06:00", "time_zone": BERLIN}
    assert until(before, window) is None
    assert until(begins, window) is not None


def test_the_next_freeze_is_found_a_year_ahead() -> None:
    """And none where all are over."""
    found = next_freeze(windows(CHRISTMAS), at("2026-02-01 12:00"))
    assert found is not None
    assert (found.shown_begins, found.shown_until) == (
        "Sun 2026-12-20 00:00 Europe/Berlin",
        "Sun 2027-01-03 00:00 Europe/Berlin",
    )
    assert next_freeze(windows(CHRISTMAS), at("2027-02-01 12:00")) is None
    within = next_freeze(windows(NIGHTS), at("2026-11-27 20:00"))
    assert within is not None
    assert within.begins == at("2026-11-28 15:00")


def test_time_in_a_freeze_does_not_count() -> None:
    """Twelve hours from Friday at 14:00 are over on Monday; without windows nothing is added."""
    friday = at("2026-11-27 13:00")
    assert after_unfrozen(windows(*WEEKEND), friday, 12 * 3600) == at("2026-11-30 17:00")
    assert after_unfrozen((), friday, 3600) == friday + timedelta(hours=1)


def test_windows_that_leave_no_time_are_known() -> None:
    """Seven whole days are; a single free hour a week is enough."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat"]
    whole = {"days": [*days, "sun"], "time_zone": BERLIN}
    but_an_hour = ({"days": days, "time_zone": BERLIN}, {"days": ["sun"], "until": "23:00", "time_zone": BERLIN})
    assert leaves_no_time(windows(whole))
    assert not leaves_no_time(windows(*but_an_hour))
    assert not leaves_no_time(windows(CHRISTMAS))
