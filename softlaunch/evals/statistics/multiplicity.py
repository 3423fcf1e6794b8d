"""Keeping an error rate over several claims: Holm over metrics, Pocock over two looks at growing data."""

from typing import NamedTuple

import numpy as np
from scipy import special

from softlaunch.evals.statistics.paired import Floats, root

_NOTHING = 1e-9
_FAR = 8.0  # standard deviations; beyond is less than 1e-15
_PARTS = 2000


class Levels(NamedTuple):
    """The error rates of both claims: that harm is within the margin, and that it is beyond it."""

    passing: float
    failing: float


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Adjusted p-values (Holm 1979): claims below `level` after adjustment hold together at that level."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted


def level_of_a_look(level: float, first_share: float) -> float:
    """The level to use at each of two looks at growing data so that both together keep `level`.

    `first_share` is the part of the repeats that the first look sees. The two statistics correlate by at least its
    square root, because repeating a case again changes only what varies within cases (Pocock 1977, two looks).
    """
    correlation, rest = np.sqrt(first_share), np.sqrt(1 - first_share)
    if rest < _NOTHING:
        return level

    def excess(each: float) -> float:
        bound = -float(special.ndtri(each))
        first, width = _grid(-_FAR, bound)
        density = np.exp(-(first**2) / 2) / np.sqrt(2 * np.pi)
        return float(1 - (density * special.ndtr((bound - correlation * first) / rest)).sum() * width - level)

    return root(excess, level / 2, level)


def _grid(start: float, end: float) -> tuple[Floats, float]:
    """Midpoints of equal parts, for integrals of smooth functions, and the parts' width."""
    width = (end - start) / _PARTS
    return start + width * (np.arange(_PARTS, dtype=np.float64) + 0.5), width
