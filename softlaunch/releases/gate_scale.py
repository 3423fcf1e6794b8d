"""A gate over time as coordinates: what a plot of its looks shows, wherever it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from softlaunch.core.axes import round_values
from softlaunch.ledger.looks import GateLook

_TICKS = 4
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's size and its margins, in whatever unit it is drawn."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    @property
    def end(self) -> float:
        """Where the plot ends on the right."""
        return self.width - self.right

    @property
    def base(self) -> float:
        """Where it ends below."""
        return self.height - self.bottom


@dataclass(frozen=True, slots=True)
class Scale:
    """Moments and values as coordinates within a frame."""

    frame: Frame
    begin: datetime
    seconds: float
    low: float
    high: float
    is_moment: bool = False

    @classmethod
    def over(cls, frame: Frame, looks: Sequence[GateLook], low: float, high: float) -> "Scale":
        """The scale of these looks, and of values from `low` to `high` with a little space."""
        begin = looks[0].looked_at
        space = (high - low) * 0.08 or abs(high) * 0.1 or 0.01
        seconds = max((looks[-1].looked_at - begin).total_seconds(), 1.0)
        return cls(frame, begin, seconds, low - (space if low < 0 else 0.0), high + space, len(looks) == 1)

    def x(self, at: datetime) -> float:
        """Where a moment is; the only one there is stands in the middle."""
        width = self.frame.end - self.frame.left
        if self.is_moment:
            return self.frame.left + width / 2
        return self.frame.left + width * (at - self.begin).total_seconds() / self.seconds

    def y(self, value: float) -> float:
        """Where a value is; what doesn't fit is at the edge."""
        held = min(max(value, self.low), self.high)
        return self.frame.base - (self.frame.base - self.frame.top) * (held - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values, at most so many that their texts don't touch."""
        return round_values(self.low, self.high, _TICKS)

    def moments(self) -> list[tuple[float, str]]:
        """The moments below a plot: where on its width, as a share, and their text."""
        brief = self.seconds < 600
        found = []
        for share in (0.5,) if self.is_moment else (0.0, 1.0):
            at = self.begin.timestamp() + (0.0 if self.is_moment else share * self.seconds)
            moment = datetime.fromtimestamp(at, self.begin.tzinfo)
            found.append((share, f"{moment:%H:%M:%S}" if brief else f"{moment:%d %b %H:%M}"))
        return found


def reach(looks: Sequence[GateLook]) -> tuple[float, float]:
    """The ends of the scale of harm: what matters, and as much of the later intervals as leaves that readable."""
    matters = [0.0, *(look.harm for look in looks if look.harm is not None)]
    matters += [look.margin for look in looks if look.margin is not None]
    low, high = min(matters), max(matters)
    room = 1.5 * (high - low) or 0.01
    late = [look.interval for look in looks[len(looks) // 2 :] if look.interval is not None]
    lowest = min((one.lower for one in late if isfinite(one.lower)), default=low - room)
    highest = max((one.upper for one in late if isfinite(one.upper)), default=high + room)
    return min(low, max(lowest, low - room)), max(high, min(highest, high + room))


def band(scale: Scale, looks: Sequence[GateLook], alone: float) -> Points:
    """The outline of the intervals; the only look there is has one that is `alone` wide to each side."""
    ends = [(scale.x(look.looked_at), look.interval) for look in looks]
    if len(ends) == 1:
        ends = [(ends[0][0] - alone, ends[0][1]), (ends[0][0] + alone, ends[0][1])]
    above = [(x, scale.y(one.upper)) for x, one in ends if one is not None]
    below = [(x, scale.y(one.lower)) for x, one in reversed(ends) if one is not None]
    return [*above, *below]
