"""When an app is frozen: the moments of its freeze windows, right where clocks change. Pure.

Each window is half-open: the moment at which it begins belongs to it, the one at which it is over doesn't. It goes by
what the zone's clocks show: an hour that they skip is over at once, and of one that comes twice a window begins in the
first and ends in the second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from softlaunch.policy.freeze import FreezePolicy, Weekday

_DAY = timedelta(days=1)
_AHEAD = timedelta(days=400)
"""How far a next window is looked for: one that is there once, or every week, is found."""
_LONGEST_CHAIN = 1000
_DAYS = tuple(Weekday)
_SOME_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_ENDLESS = timedelta(days=15)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A time without a stage that begins: one window, or several that touch or overlap.

    `time_zone` and `reason` are those of the window that is over last.
    """

    begins: datetime
    until: datetime
    time_zone: str
    reason: str

    @property
    def words(self) -> str:
        """`frozen until Mon 2027-01-04 08:00 Europe/Berlin (Christmas)`."""
        return f"frozen until {self.shown_until}{f' ({self.reason})' if self.reason else ''}"

    @property
    def shown_until(self) -> str:
        """When it is over, by the clocks of its zone: `Mon 2027-01-04 08:00 Europe/Berlin`."""
        return self._shown(self.until)

    @property
    def shown_begins(self) -> str:
        """When it begins, by the same clocks."""
        return self._shown(self.begins)

    def _shown(self, moment: datetime) -> str:
        local = moment.astimezone(ZoneInfo(self.time_zone))
        return f"{_DAYS[local.weekday()].value.title()} {local:%Y-%m-%d %H:%M} {self.time_zone}"


def frozen_at(windows: Sequence[FreezePolicy], now: datetime) -> Frozen | None:
    """The freeze that a moment is in, with the latest end of all windows that follow without a gap; None in none."""
    found: Frozen | None = None
    reached = now
    for _ in range(_LONGEST_CHAIN):
        inside = [one for window in windows for one in _spans(window, reached, reached) if one.begins <= reached]
        last = max((one for one in inside if reached < one.until), key=lambda one: one.until, default=None)
        if last is None:
            return found
        begins = min(one.begins for one in inside if reached < one.until) if found is None else found.begins
        found = Frozen(begins, last.until, last.time_zone, last.reason)
        reached = last.until
    return found


def next_freeze(windows: Sequence[FreezePolicy], now: datetime) -> Frozen | None:
    """The freeze that begins next after a moment, however long it is until then; None where none is within a year."""
    begun = [one.begins for window in windows for one in _next_spans(window, now)]
    return frozen_at(windows, min(begun)) if begun else None


def after_unfrozen(windows: Sequence[FreezePolicy], begin: datetime, seconds: float) -> datetime:
    """The moment at which so much time outside of every window has passed."""
    at, left = begin, timedelta(seconds=seconds)
    for _ in range(_LONGEST_CHAIN):
        inside = frozen_at(windows, at)
        at = at if inside is None else inside.until
        following = next_freeze(windows, at)
        if following is None or following.begins - at >= left:
            break
        left -= following.begins - at
        at = following.begins
    return at + left


def leaves_no_time(windows: Sequence[FreezePolicy]) -> bool:
    """Whether weekly windows cover the whole week, so that nothing could ever be promoted."""
    weekly = [window for window in windows if window.days]
    found = frozen_at(weekly, _SOME_MONDAY)
    return found is not None and found.until - _SOME_MONDAY > _ENDLESS


def _next_spans(window: FreezePolicy, now: datetime) -> Iterator[Frozen]:
    until = now + (timedelta(days=9) if window.days else _AHEAD)
    yield from (one for one in _spans(window, now, until) if one.begins > now)


def _spans(window: FreezePolicy, first: datetime, last: datetime) -> Iterator[Frozen]:
    """The times of a window that may touch what lies between two moments."""
    zone = window.zone
    if not window.days:
        yield _span(window, window.date_from, window.date_until)
        return
    day, end = first.astimezone(zone).date() - 2 * _DAY, last.astimezone(zone).date() + _DAY
    while day <= end:
        if _DAYS[day.weekday()] in window.days:
            yield _span(window, datetime.combine(day, window.clock_from), _end_on(window, day))
        day += _DAY


def _end_on(window: FreezePolicy, day: date) -> datetime:
    """When a window is over that begins on a day, by its zone's clocks."""
    clock = window.clock_until
    if clock is None:
        return datetime.combine(day + _DAY, time())
    return datetime.combine(day if clock > window.clock_from else day + _DAY, clock)


def _span(window: FreezePolicy, begins: datetime, until: datetime) -> Frozen:
    zone = window.zone
    return Frozen(_moment(begins, zone, last=False), _moment(until, zone, last=True), window.time_zone, window.reason)


def _moment(clock: datetime, zone: ZoneInfo, *, last: bool) -> datetime:
    """The moment at which a zone's clocks show this: of two the first or the last, of none the one that skips it."""
    early, late = (clock.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early <= late:
        return late if last else early
    before, after = late, early  # the clock is skipped: what it shows is reached when the clocks jump
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < clock:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
