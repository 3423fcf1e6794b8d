"""AlpacaEval 2: the win rate of a model against a reference, and the one that is controlled for length.

The length-controlled rate (Dubois, Galambosi, Liang & Hashimoto 2024, arXiv 2404.04475, section 3) fits a logistic
model of the judge's preference, theta + phi tanh(difference in length / its standard deviation) + psi difficulty, and
predicts the preference at no difference in length. The difficulty of instructions comes from many models; where it
isn't given its term is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.judges.agreement import Estimate
from softlaunch.metrics import Sample
from softlaunch.metrics.recorded import Preference

Floats = NDArray[np.float64]
_RIDGE = 1e-3  # keeps the fit finite where every preference is on one side
_Z95 = 1.959963984540054


class AnnotationsError(SoftlaunchError):
    """Annotations that make no win rate; the message names the row."""


@dataclass(frozen=True, slots=True)
class WinRates:
    """Of one model; shares in [0, 1] with 95 % intervals. `unreadable` annotations are counted and left out.

    `length_effect` is phi: above zero where the judge likes longer answers. `is_shorter` is the share of outputs that
    are shorter than the reference's.
    """

    model: str
    instructions: int
    unreadable: int
    draws: int
    win_rate: Estimate
    length_controlled: Estimate
    length_effect: float
    is_shorter: float


def win_rates(rows: Sequence[Mapping[str, Any]], difficulty: Mapping[str, float] | None = None) -> WinRates:
    """Win rates from annotations in AlpacaEval's form: instruction, output, reference_output, preference (1 to 2).

    Raises AnnotationsError without at least ten that can be read, and for rows of several models.
    """
    models = sorted({str(row.get("generator", "")) for row in rows})
    if len(models) > 1:
        raise AnnotationsError(f"the annotations are of {len(models)} models, such as {models[0]} and {models[1]}")
    scored = [(row, value) for row in rows if (value := _preference(row)) is not None]
    if len(scored) < 10:
        raise AnnotationsError(
            f"{len(scored)} of {len(rows)} rows can be read; each needs output, reference_output and a preference from "
            "1 (the reference is better) to 2"
        )
    preferences = np.array([value for _, value in scored])
    lengths = np.array([len(str(row["output"])) - len(str(row["reference_output"])) for row, _ in scored], dtype=float)
    hardness = np.array([(difficulty or {}).get(str(row.get("instruction")), 0.0) for row, _ in scored])
    controlled, effect = length_controlled(preferences, lengths, hardness if difficulty else None)
    return WinRates(
        model=models[0] if models else "",
        instructions=len(scored),
        unreadable=len(rows) - len(scored),
        draws=int(np.sum(preferences == 0.5)),
        win_rate=_mean(preferences),
        length_controlled=controlled,
        length_effect=effect,
        is_shorter=float(np.mean(lengths < 0)),
    )


def length_controlled(preferences: Floats, lengths: Floats, difficulty: Floats | None = None) -> tuple[Estimate, float]:
    """The preference at no difference in length with its interval, and the effect of length.

    `preferences` in [0, 1] and differences in `lengths` are arrays of the same length. The interval is that of the
    delta method on the sandwich variance of a fractional logit (Papke & Wooldridge 1996, J. Appl. Econ. 11:619).
    """
    spread = float(np.std(lengths))
    columns = [np.ones_like(preferences), np.tanh(lengths / spread) if spread else np.zeros_like(lengths)]
    if difficulty is not None:
        columns.append(difficulty)
    design = np.column_stack(columns)
    weights = _fit(design, preferences)
    neutral = design.copy()
    neutral[:, 1] = 0.0
    predicted = special.expit(neutral @ weights)
    slope = (predicted * (1 - predicted)) @ neutral / len(preferences)
    error = float(np.sqrt(slope @ _sandwich(design, preferences, weights) @ slope))
    return _around(float(predicted.mean()), error), float(weights[1])


def _fit(design: Floats, preferences: Floats) -> Floats:
    """The weights of largest quasi-likelihood, held near zero by a small ridge."""

    def loss(weights: Floats) -> tuple[float, Floats]:
        linear = design @ weights
        lost = np.logaddexp(0, linear) - preferences * linear
        slope = design.T @ (special.expit(linear) - preferences)
        return float(lost.sum() + _RIDGE * weights @ weights), slope + 2 * _RIDGE * weights

    found = optimize.minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-6})
    return np.asarray(found.x, dtype=np.float64)


def _sandwich(design: Floats, preferences: Floats, weights: Floats) -> Floats:
    chances = special.expit(design @ weights)
    ridge = 2 * _RIDGE * np.eye(design.shape[1])
    bread = np.linalg.inv(design.T @ (design * (chances * (1 - chances))[:, None]) + ridge)
    meat = design.T @ (design * ((preferences - chances) ** 2)[:, None])
    return np.asarray(bread @ meat @ bread, dtype=np.float64)


def _mean(values: Floats) -> Estimate:
    return _around(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def _around(value: float, error: float) -> Estimate:
    return Estimate(value, max(0.0, value - _Z95 * error), min(1.0, value + _Z95 * error))


def _preference(row: Mapping[str, Any]) -> float | None:
    if not isinstance(row.get("output"), str) or not isinstance(row.get("reference_output"), str):
        return None
    return Preference().score(Sample(answer="", fields=row)).value
