"""Round values for axes, and labels that tell them apart."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, log10

_STEPS = (1, 2, 5, 10)


def round_values(start: float, end: float, most: int) -> list[float]:
    """At most about so many round values within a range, ascending and evenly spaced; the range must not be empty."""
    rough = (end - start) / most
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in _STEPS if size * factor >= rough * (1 - 1e-9))
    return [number * step for number in range(ceil(start / step - 1e-9), floor(end / step + 1e-9) + 1)]


def labels(values: Sequence[float]) -> list[str]:
    """Evenly spaced values as texts with as many decimals as tell them apart."""
    step = min((after - before for before, after in pairwise(values)), default=1.0)
    decimals = max(0, -floor(log10(step) + 1e-9))
    return [f"{value + 0.0:.{decimals}f}" for value in values]
