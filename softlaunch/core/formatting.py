"""Numbers as people read them: a value in its own unit, harm in points or percent, durations and moments."""

from datetime import datetime
from decimal import Decimal
from math import inf, isfinite, isinf
from typing import assert_never

from softlaunch.core.live_metrics import Metric, Quantity
from softlaunch.core.verdict import Interval

UNKNOWN = "not known yet"
_SECONDS_TELL = 100.0  # ms from which on hundredths of a second say enough
_CENTURY = 100 * 365.25 * 86400


def show_value(gate: str, value: float | None) -> str:
    """A metric's typical value: `1.2 s`, `$0.00031`, `84.0 %`; a dash where nothing was measured."""
    if value is None:
        return "-"
    quantity = _quantity(gate)
    match quantity:
        case Quantity.MILLISECONDS:
            return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms"
        case Quantity.US_DOLLARS:
            return show_cost(value)
        case Quantity.SECONDS:
            return show_duration(value)
        case Quantity.AMOUNT:
            return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        case Quantity.EVENT | Quantity.SCORE:
            return f"{value * 100:.1f} %"
        case _:
            assert_never(quantity)


def _quantity(gate: str) -> Quantity:
    """What a gate's values are; those of metrics that only evals know are scores."""
    metric = Metric.named(gate)
    return Quantity.SCORE if metric is None else metric.entry.quantity


def is_relative(gate: str) -> bool:
    """Whether a gate's harm is a share of stable's value; that of metrics that only evals know is in points."""
    metric = Metric.named(gate)
    return metric is not None and metric.is_relative


def show_cost(usd: float) -> str:
    """`$12.40`, `$0.00031`: cents from a dollar on, three digits that tell below it, never an exponent."""
    return f"${usd:,.2f}" if usd >= 1 else f"${Decimal(f'{usd:.3g}'):f}"


def show_harm(gate: str, value: float | None) -> str:
    """A change for the worse, signed: `+2.0 points`, `+25 %`; better is negative."""
    if value is None:
        return "-"
    if is_relative(gate):
        return f"{value * 100 + 0.0:+.3g} %"
    return f"{round(value * 100, 1) + 0.0:+.1f} points"  # adding zero takes the sign from what rounds to it


def show_interval(gate: str, interval: Interval | None) -> str:
    """`-1.0 to +2.5 points`; an open end is an ellipsis, two of them are no knowledge."""
    if interval is None:
        return "-"
    if interval.lower == -inf and interval.upper == inf:
        return UNKNOWN
    unit = " %" if is_relative(gate) else " points"
    ends = ["…" if isinf(end) else f"{end * 100 + 0.0:+.3g}" for end in (interval.lower, interval.upper)]
    return f"{ends[0]} to {ends[1]}{unit}"


def show_pair(gate: str, first: float | None, second: float | None) -> str:
    """`1.6/0.2 %`: two values, with one unit where they share it and each with its own elsewhere."""
    pair = tuple(value for value in (first, second) if value is not None)
    if _quantity(gate) is Quantity.MILLISECONDS and len(pair) == 2 and max(pair) >= 1000 and min(pair) >= _SECONDS_TELL:
        return f"{pair[0] / 1000:.2f}/{pair[1] / 1000:.2f} s"
    one, other = show_value(gate, first), show_value(gate, second)
    number, _, unit = other.rpartition(" ")
    if number and one.endswith(f" {unit}"):
        return f"{one.removesuffix(f' {unit}')}/{other}"
    return f"{one} / {other}" if pair else "-"


def show_duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `12 min`, `3 h 20 min`, `2 d 4 h`: to the precision that matters.

    `never` for what never comes, `more than 100 years` for what nobody waits for.
    """
    if not isfinite(seconds):
        return "never"
    if seconds > _CENTURY:
        return "more than 100 years"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 and seconds % 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, days = minutes // 60, minutes // 1440
    if minutes < 120:
        return f"{minutes} min"
    rest, unit, whole = (minutes % 60, "min", f"{hours} h") if hours < 48 else (hours % 24, "h", f"{days} d")
    return f"{whole} {rest} {unit}" if rest else whole


def show_moment(moment: datetime) -> str:
    """`2026-03-01 14:05:09`, in the time zone it has: UTC for everything that comes from the ledger."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def show_share(share: float | None) -> str:
    """`5.1 %` of a share in [0, 1]; a dash for none. Few are never shown as nobody."""
    if share is None:
        return "-"
    return "< 0.1 %" if 0 < share < 0.0005 else f"{share * 100:.1f} %"
