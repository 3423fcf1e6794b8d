"""What was asked foretells part of latency and cost, so that it doesn't pass for what an arm does.

A covariate is known before an arm can have changed it, and what it foretells is learnt from stable's requests of before
the release. A value divided by what was foretold is then evidence as valid as the value itself, with less spread
(CUPED: Deng, Xu, Kohavi and Walker 2013; foretold by a regression on several: Poyarkov et al. 2016).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from softlaunch.gates.observations import Events, Flags, Floats
from softlaunch.policy.gating import Adjustment

COVARIATES = (Adjustment.REQUEST_SIZE, Adjustment.STREAMED)
"""The adjustments that are columns of events."""
_ENOUGH = 200
_RIDGE = 20.0
"""The penalty on standardised slopes, in requests: a history of so many foretells half of what it shows."""
_KNOTS = (0.005, 0.25, 0.5, 0.75, 0.995)
_ODD_VALUES = (0.005, 0.995)
_LARGEST_FACTOR = 10.0
_CONSTANT = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A broken line of the logarithm of one plus a covariate that bends at `knots` and is level beyond the outer ones.

    `knots` are ascending, shape (k + 1,); `centre` and `slopes`, shape (k,), are the mean of each hinge where the
    covariate was known, and how much steeper the line is from its knot on.
    """

    knots: Floats
    centre: Floats
    slopes: Floats

    @classmethod
    def over(cls, values: Floats) -> Self:
        """A level line that may bend at quantiles of values, shape (n,), of which enough aren't NaN."""
        known = np.log1p(np.maximum(values[~np.isnan(values)], 0.0))
        knots = np.unique(np.quantile(known, _KNOTS))
        level = cls(knots, np.zeros(len(knots) - 1), np.zeros(len(knots) - 1))
        return cls(knots, level.hinges(np.expm1(known)).mean(axis=0), level.slopes)

    def hinges(self, values: Floats) -> Floats:
        """How far values are beyond each knot but the last, off the centre, shape (n, k); zero where NaN."""
        size = np.clip(np.log1p(np.maximum(values, 0.0)), self.knots[0], self.knots[-1])
        beyond = np.maximum(size[:, None] - self.knots[:-1], 0.0) - self.centre
        return np.where(np.isnan(beyond), 0.0, beyond)

    def bent(self, slopes: Floats) -> Self:
        """The same with slopes."""
        return type(self)(self.knots, self.centre, slopes)

    def heights(self, values: Floats) -> Floats:
        """The line at values, shape (n,); zero where NaN."""
        return np.asarray(self.hinges(values) @ self.slopes)


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """What covariates foretell of the logarithm of a magnitude: the sum of the `curves`, zero on average."""

    curves: Mapping[Adjustment, Curve] = field(default_factory=dict)

    @classmethod
    def learn(cls, values: Floats, covariates: Mapping[Adjustment, Floats]) -> Self:
        """From magnitudes of requests and their covariates, shape (n,), by ridge regression.

        What is NaN is unknown. A covariate of which fewer than 200 requests with a magnitude above zero tell foretells
        nothing. That it is unknown may foretell something too, which is nobody's to divide by.
        """
        measured: Flags = values > 0
        known = {
            name: column[measured]
            for name, column in covariates.items()
            if np.count_nonzero(~np.isnan(column[measured])) >= _ENOUGH
        }
        if not known:
            return cls()
        logarithms = np.log(values[measured])
        logarithms = np.clip(logarithms, *np.quantile(logarithms, _ODD_VALUES))
        curves = {name: Curve.over(column) for name, column in known.items()}
        absent = [np.isnan(column)[:, None].astype(np.float64) for column in known.values()]
        hinges = [curves[name].hinges(column) for name, column in known.items()]
        slopes = _ridge(np.concatenate([*hinges, *absent], axis=1), logarithms)
        ends = np.cumsum([len(curve.slopes) for curve in curves.values()])
        each = np.split(slopes, ends)
        return cls({name: curve.bent(own) for (name, curve), own in zip(curves.items(), each, strict=False)})

    def divide(self, values: Floats, covariates: Mapping[Adjustment, Floats]) -> Floats:
        """Values, shape (n,), each divided by what was foretold of it, from a tenth to ten times the usual.

        Where a covariate is NaN it foretells the usual.
        """
        height = np.zeros(len(values))
        for name, curve in self.curves.items():
            if name in covariates:
                height += curve.heights(covariates[name])
        return np.asarray(values / np.clip(np.exp(height), 1 / _LARGEST_FACTOR, _LARGEST_FACTOR))


def _ridge(table: Floats, values: Floats) -> Floats:
    """Slopes of values, shape (n,), on a table's columns, shape (n, k); zero for a column that never varies."""
    spread = table.std(axis=0)
    varies = spread > _CONSTANT
    standard = (table[:, varies] - table[:, varies].mean(axis=0)) / spread[varies]
    penalty = _RIDGE * np.eye(standard.shape[1])
    slopes = np.zeros(table.shape[1])
    slopes[varies] = np.linalg.solve(standard.T @ standard + penalty, standard.T @ (values - values.mean()))
    slopes[varies] /= spread[varies]
    return slopes


def covariates_of(events: Events, names: tuple[Adjustment, ...]) -> dict[Adjustment, Floats]:
    """Those of events' covariates that are asked for."""
    return {name: events.covariates[name] for name in names if name in events.covariates}
