"""Bets that aim at a deadline: as likely as can be to have reached what a pass needs when the time is up.

An e-value that follows the value of a digital option, `goal x P(S > s at the deadline, given S now)` under the null,
begins at one and ends at the goal or at nothing; of all bets it reaches the goal by the deadline with the highest
probability, near that of a test planned for that sample size (Browne 1999, Adv. Appl. Prob. 31, "Reaching goals by a
deadline").
The bet fraction is chosen before each window from the e-value and the time left, so the e-process is as valid as with
any other: a wrong deadline, or a spread that is not as usual, costs power alone.
"""

import numpy as np
from scipy.special import ndtri

from softlaunch.gates.observations import Floats

_LEAST, _MOST = 1e-9, 1 - 1e-6
_LAST_PART = 0.003
_EARLIEST, _FEWEST = 0.01, 20.0


def units_left(units: float, progress: float | None) -> float | None:
    """How many more units a stage will bring that brought so many in a share `progress` of its time; None if unknown.

    Never less than three in a thousand of all, so that the last bet fractions stay finite.
    """
    if progress is None or progress < _EARLIEST or units < _FEWEST:
        return None
    return units / min(progress, 1.0) * max(1 - progress, _LAST_PART)


def aimed_fractions(log_e_values: Floats, goal: float, deviation: Floats, left: float) -> Floats:
    """Bet fractions for each unit of what is won or lost; shape (nulls,).

    `log_e_values`, shape (nulls,), is what these bets have grown to, `goal` above one what they are to reach,
    `deviation`, shape (nulls,), the standard deviation of what a unit wins or loses, and `left` the units to come.
    """
    value = np.clip(np.exp(np.minimum(log_e_values, np.log(goal))) / goal, _LEAST, _MOST)
    z = ndtri(value)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(density / value / (np.maximum(deviation, 1e-12) * np.sqrt(left)))
