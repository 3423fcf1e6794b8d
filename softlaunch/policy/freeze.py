"""The part of a policy that is about freeze windows: times in which no stage begins and nothing is promoted."""

import re
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from softlaunch.core.documents import KeyedError
from softlaunch.policy.part import Part

_MIDNIGHT = "24:00"
_CLOCK = r"(([01]\d|2[0-3]):[0-5]\d|24:00)"
_DATE = r"\d{4}-\d{2}-\d{2}([ T]([01]\d|2[0-3]):[0-5]\d)?"
_FORM = re.compile(f"{_CLOCK}|{_DATE}")


def _as_text(value: object) -> object:
    """A date that YAML has read already, as it was written."""
    if isinstance(value, datetime) and value.tzinfo is None and not value.second:
        return f"{value:%Y-%m-%d %H:%M}"
    return value.isoformat() if isinstance(value, date) else value


def _check_form(value: str) -> str:
    if not _FORM.fullmatch(value):
        raise ValueError(
            f'expected a time such as "16:00", or a date such as 2026-12-20 or 2026-12-20 18:00, not {value!r}'
        )
    return value


_Moment = Annotated[
    str,
    BeforeValidator(_as_text),
    AfterValidator(_check_form),
    WithJsonSchema({"type": "string", "pattern": f"^({_CLOCK}|{_DATE})$"}),
]


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


class FreezePolicy(Part):
    """A window in which no stage starts and nothing is promoted, every week or once. Rollbacks are always possible."""

    model_config = ConfigDict(serialize_by_alias=True)

    days: tuple[Weekday, ...] = ()
    """The days of the week on which it starts. Left out, it happens once, from one date until another."""
    from_: Annotated[_Moment | None, Field(alias="from")] = None
    """When it starts, in its time zone. With `days` a time such as `"16:00"`; left out, the start of the day. Without
    `days` a date such as `2026-12-20` or `2026-12-20 18:00`, where a date alone means the start of that day.
    """
    until: _Moment | None = None
    """When it ends; this moment isn't part of it. With `days` the first such time after `from`, so it may cross
    midnight; left out, the end of the day. Without `days` a date: with `2027-01-03` it ends when that day starts.
    """
    time_zone: str
    """Its time zone: a name such as `Europe/Berlin`. Daylight saving time is taken into account."""
    reason: str = ""
    """The reason, shown to people whose release is held."""

    @field_validator("time_zone", mode="after")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError) as error:  # the last two for names that are no names of files
            raise ValueError(f"there is no time zone {name!r}; expected a name such as 'Europe/Berlin'") from error
        return name

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.days:
            self._check_clocks()
        else:
            self._check_dates()
        return self

    def _check_clocks(self) -> None:
        for key, written in (("from", self.from_), ("until", self.until)):
            if written is not None and "-" in written:
                raise KeyedError(f'with days it is a time such as "16:00", not {written!r}; leave days out', key)
        if self.from_ == _MIDNIGHT:
            raise KeyedError('a day starts at "00:00"', "from")
        if self.clock_from == self.clock_until:
            said = "it ends at the moment when it starts; leave both out for whole days, or name the next day too"
            raise KeyedError(said, "until")

    def _check_dates(self) -> None:
        for key, written in (("from", self.from_), ("until", self.until)):
            if written is None:
                raise KeyedError("is missing: a date such as 2026-12-20; or name 'days' for every week", key)
            if "-" not in written:
                said = f"found {written!r}, and a time alone needs days, such as 'days: [fri]'; or write a date"
                raise KeyedError(said, key)
            try:
                datetime.fromisoformat(written)
            except ValueError as error:
                raise KeyedError(f"there is no such date: {written!r}", key) from error
        if self.date_until <= self.date_from:
            raise KeyedError(f"{self.until} doesn't come after {self.from_}", "until")

    @property
    def zone(self) -> ZoneInfo:
        """By whose clocks it is read."""
        return ZoneInfo(self.time_zone)

    @property
    def clock_from(self) -> time:
        """When it begins on a day."""
        return time.fromisoformat(self.from_ or "00:00")

    @property
    def clock_until(self) -> time | None:
        """When it is over on the same day or the next; None for the day's end."""
        return None if self.until in {None, _MIDNIGHT} else time.fromisoformat(str(self.until))

    @property
    def date_from(self) -> datetime:
        """When it begins, where it is there once, by the zone's clocks."""
        return datetime.fromisoformat(self.from_ or date.min.isoformat())

    @property
    def date_until(self) -> datetime:
        """When it is over, where it is there once, by the zone's clocks."""
        return datetime.fromisoformat(self.until or date.max.isoformat())
