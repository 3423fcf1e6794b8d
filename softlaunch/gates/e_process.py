"""E-processes: values that can't grow in expectation under their null, so that each request may be followed by a look.

By Ville's inequality it ever exceeds 1/alpha with probability at most alpha (Ville 1939; Howard, Ramdas,
McAuliffe & Sekhon 2021, arXiv 1810.08240). A mean of e-processes over effect sizes is one too. Everything here is in
natural logarithms.
"""

import math
from dataclasses import dataclass

import numpy as np

from softlaunch.gates.observations import Floats

FRACTIONS = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
"""Bets, as fractions of the largest that can't lose everything; mixed evenly, so that no effect size is guessed."""
RATIOS = np.array([1.5, 2.0, 3.0, 5.0, 10.0, 20.0])
"""Rate ratios that the event counts are tested against, mixed evenly."""
_CHOICES = np.round(np.linspace(0.04, 1.0, 25), 2)
_CHUNK = 4096
_IMPOSSIBLE = np.log(1e6)


def mixture(log_e_values: Floats, weights: Floats | None = None) -> Floats:
    """Log of the mixture over the last axis; even, or with weights that add up to one."""
    top = log_e_values.max(axis=-1)
    grown = np.exp(log_e_values - top[..., None])
    mean = grown.mean(axis=-1) if weights is None else grown @ weights
    return np.asarray(top + np.log(mean))


def settled(log_e_values: Floats) -> Floats:
    """The log e-value as it is kept: to seven digits, so that what is stored is what is held."""
    return log_e_values.round(7)


def fits_share(candidate_count: float, stable_count: float, share: float) -> bool:
    """Whether a window can have been split with this share, by Chernoff's bound: chance alone says no once in 1e6."""
    total = candidate_count + stable_count
    if not total:
        return True
    seen = np.array([candidate_count, stable_count]) / total
    meant = np.array([share, 1 - share])
    divergence = np.sum(seen * np.log(np.where(seen > 0, seen / meant, 1.0)))
    return bool(total * divergence < _IMPOSSIBLE)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One arm's values of a window: centred harm by null and bucket, shape (nulls, n) or (1, n), and weights (n,)."""

    values: Floats
    weights: Floats

    def negative(self) -> "Side":
        """The same with gains for harms."""
        return Side(-self.values, self.weights)

    def times(self, factor: float) -> "Side":
        """The same with weights that add up to a factor."""
        return Side(self.values, self.weights * (factor / self.weights.sum()))


def largest_stake(share: float, low: Floats, high: Floats | float) -> Floats:
    """The largest bet that can't lose everything, of bounds as `bet_growth` takes them; shape (nulls,)."""
    return np.asarray(0.999 / np.maximum(np.maximum(low, share / (1 - share) * high), 1e-9))


def payoff_deviation(candidate: Side, stable: Side, share: float) -> Floats:
    """Standard deviation of what a unit wins or loses of a bet of one, if arms are distributed so; shape (nulls,).

    The sides' weights add up to the probabilities of the arms.
    """
    odds = share / (1 - share)
    mean = candidate.values @ candidate.weights - odds * (stable.values @ stable.weights)
    square = candidate.values**2 @ candidate.weights + odds**2 * (stable.values**2 @ stable.weights)
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0.0)))


def bet_growth(
    candidate: Side, stable: Side, share: float, low: Floats, high: Floats | float, fractions: Floats = FRACTIONS
) -> Floats:
    """Growth of the log e-value when betting that the candidate's mean is above stable's; shape (nulls, bets).

    Values are harm less a centre, the candidate's also less the null's shift. `low`, shape (nulls,), bounds minus the
    candidate's values, and `high`, of the same shape or a scalar, bounds stable's. With `share` the probability that an
    observation is the candidate's, the factors `1 + eta x` for the candidate and `1 - eta share/(1-share) x` for stable
    have mean at most one under the null by inverse-probability weighting (Waudby-Smith & Ramdas 2023, arXiv 2010.09686,
    section 4).
    `fractions`, shape (bets,) or (nulls, bets), are those of the largest bet that can't lose everything.
    """
    odds = share / (1 - share)
    eta = largest_stake(share, low, high)[:, None] * fractions
    growth = np.zeros(eta.shape)
    for side, factor in ((candidate, 1.0), (stable, -odds)):
        amounts = (factor * eta)[:, :, None]
        for start in range(0, len(side.weights), _CHUNK):
            block = slice(start, start + _CHUNK)
            growth += np.log1p(amounts * side.values[:, None, block]) @ side.weights[block]
    return growth


def best_fraction(candidate: Side, stable: Side, share: float, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The bet fraction that would grow fastest if the arms were distributed like this, and its growth; (nulls,) each.

    Betting so is growth-rate optimal against exactly this alternative (Kelly 1956; Grunwald, de Heide & Koolen 2024,
    arXiv 1906.07801), and as valid as any other bet fraction that is chosen before the window is seen.
    """
    growth = bet_growth(candidate, stable, share, low, high, _CHOICES)
    return np.asarray(_CHOICES[np.argmax(growth, axis=-1)]), np.asarray(growth.max(axis=-1))


def event_growth(candidate_events: float, stable_events: float, candidate_count: float, stable_count: float) -> Floats:
    """Growth of the log e-value against equal rates, from how many events fell on the candidate; shape (ratios,).

    Given an event, it is the candidate's with probability `p = n_c / (n_c + n_s)` when the rates are equal, and
    `q = p r / (p r + 1 - p)` when the candidate's is r times as high (Lindon & Malek 2020, arXiv 2011.03567).
    """
    if candidate_count <= 0 or stable_count <= 0:
        return np.zeros(len(RATIOS))
    p = candidate_count / (candidate_count + stable_count)
    q = p * RATIOS / (p * RATIOS + 1 - p)
    return np.asarray(candidate_events * np.log(q / p) + stable_events * np.log((1 - q) / (1 - p)))


def split_evidence(candidate_units: int, stable_units: int, share: float) -> float:
    """Log of the e-value against "each unit fell on the candidate with this share".

    Beta-binomial mixtures around the share, of four concentrations, mixed evenly (Lindon & Malek 2020, section 4).
    """
    prior = np.array([10.0, 100.0, 1000.0, 10000.0])
    a, b = prior * share, prior * (1 - share)
    log_mixture = _log_beta(a + candidate_units, b + stable_units) - _log_beta(a, b)
    log_null = candidate_units * np.log(share) + stable_units * np.log(1 - share)
    return float(mixture(log_mixture - log_null))


def _log_beta(a: Floats, b: Floats) -> Floats:
    return np.array([math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y) for x, y in zip(a, b, strict=True)])
