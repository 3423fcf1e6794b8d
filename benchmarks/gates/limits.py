"""What few ratings can show at best: how often satisfaction 8 points worse is caught within 6,000 candidate requests.

    python -m benchmarks.gates.limits

Only the bets on users' first ratings are run, on ratings whose scores are paired at once and whose slope is known, so
that many runs are quick. Everything else can only add a little: the other ways of looking have a quarter of the budget.
"""

import math

import numpy as np

from benchmarks.gates.answers import FROM_5
from benchmarks.gates.model import Gating
from benchmarks.gates.ours import policy
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.bets import fraction_growth
from softlaunch.gates.channels import ShareChannels
from softlaunch.gates.e_process import mixture
from softlaunch.gates.observations import Floats
from softlaunch.gates.rules import rules
from softlaunch.gates.unit_entries import PASSING_BY, Way
from softlaunch.policy.release import plan

_REQUESTS, _SHARE, _CONTENT = 6000, 0.05, 0.8
_RATES = (0.02, 0.05, 0.1, 0.15, 0.2)
_AGREEMENTS = (None, 0.3, 0.5, 0.7)
_RUNS = 100


def _needed(gating: Gating) -> tuple[float, float]:
    """Log of the evidence that rolls back by first ratings, and how far beyond [0, 1] these may lie."""
    known = policy(FROM_5, gating)
    rule = next(one for one in rules(known, plan(known)[1]) if one.metric is Metric.SATISFACTION)
    return -math.log(rule.alpha * PASSING_BY[Way.FIRST]), rule.reach


def _harm(rng: np.random.Generator, arm: Floats, harm: float, rate: float, agreement: float | None) -> Floats:
    """Harm of each rating, corrected where there is a judge; shape (n,)."""
    discontent = (rng.random(len(arm)) < 1 - _CONTENT + harm * arm).astype(np.float64)
    if agreement is None:
        return discontent
    others = round((1 - rate) / rate)
    slope = agreement * others / (others + 1)

    def scores(bad: Floats) -> Floats:
        return np.where(rng.random(bad.shape) < agreement, bad, rng.random(bad.shape) < 1 - _CONTENT)

    beside = scores((rng.random((others, len(arm))) < 1 - _CONTENT + harm * arm).astype(np.float64))
    return np.asarray(discontent - slope * (scores(discontent) - beside.mean(axis=0)))


def caught(rate: float, agreement: float | None, harm: float = 0.08, runs: int = _RUNS) -> float:
    """The share of runs in which the evidence is ever enough."""
    needed, reach = _needed(Gating.RATED if agreement is None else Gating.PREDICTED)
    weights = ShareChannels(Metric.SATISFACTION, reach).weights["mean"]
    found = 0
    for run in range(runs):
        rng = np.random.default_rng([run, round(1000 * rate), round(10 * (agreement or 0))])
        arm = (rng.random(int(_REQUESTS / _SHARE * rate)) < _SHARE).astype(np.float64)
        values = _harm(rng, arm, harm, rate, agreement)
        centre = 1 - _CONTENT + harm * _SHARE
        growth = fraction_growth(values, centre, arm > 0, _SHARE, reach).cumsum(axis=0)
        found += bool((mixture(growth, weights) >= needed).any())
    return found / runs


def main() -> None:
    """Print the table."""
    print("| rated | not predicted | correlation 0.3 | 0.5 | 0.7 |\n| ---: | ---: | ---: | ---: | ---: |")
    for rate in _RATES:
        shares = [f"{100 * caught(rate, agreement):.0f} %" for agreement in _AGREEMENTS]
        print(f"| {100 * rate:g} % | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
