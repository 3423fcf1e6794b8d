"""Whether a histogram's buckets are fine enough to tell what a gate asks."""

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Units
from softlaunch.telemetry.sources.counts import Buckets, Pieces

COARSE = 0.5
"""With more than this share of stable's requests in one bucket, what happens within it could hide a change."""
BEYOND = 0.05
"""With more than this share beyond the last bound, an arm's 95th percentile isn't known."""
_ENOUGH = 100


def too_coarse(metric: Metric, pieces: Pieces) -> str:
    """Why the buckets can't tell a relative change, in words; empty where they can, or too little was seen.

    Values are taken to lie evenly within their bucket, by their logarithm. For log-normal values with at most half of
    them in one bucket that misjudges a change of 10 % by less than a point.
    """
    if not metric.is_relative or pieces.seen is None:
        return ""
    stable, candidate = pieces.seen.counts.stable, pieces.seen.counts.candidate
    if min(stable.sum(), candidate.sum()) < _ENOUGH:
        return ""
    worst = int(stable[:-1].argmax())
    if stable[worst] > COARSE * stable.sum():
        share = 100 * stable[worst] / stable.sum()
        return (
            f"{share:.0f} % of stable's values are in one bucket, {_between(pieces.buckets, worst)}: add bounds there"
        )
    beyond = max(_beyond(stable), _beyond(candidate))
    if beyond > BEYOND:
        last = pieces.buckets.lower[-1]
        return f"{100 * beyond:.0f} % of an arm's values are beyond the last bound of {last:g}: add bounds above it"
    return ""


def _beyond(counts: Units) -> float:
    return float(counts[-1] / counts.sum())


def _between(buckets: Buckets, place: int) -> str:
    return f"from {0 if place == 0 else buckets.lower[place]:g} to {buckets.upper[place]:g}"
