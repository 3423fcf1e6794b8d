"""Gates on what is told of answers without their texts: candidates without harm, and with it."""

import numpy as np
import pytest

from softlaunch.core.answer_checks import BITS
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Window
from softlaunch.policy.model import Policy
from tests.support.builders import make_policy

USUAL, HARMED = 0.02, 0.10
RUNS = 8


def policy_of(metric: Metric) -> Policy:
    """A gate of three points on one metric; the stages don't widen it."""
    return make_policy(
        gates=[{"metric": metric.value, "margin": "3 points"}, {"metric": "errors", "margin": "3 points"}]
    )


def run(metric: Metric, level: float, seed: int) -> dict[str, Outcome]:
    """Verdicts after 6,000 requests of users who come once, of which this share of the candidate's is found."""
    rng = np.random.default_rng(seed)
    policy = policy_of(metric)
    stage = StageNames(policy).by_name("50 %")
    gates = GateSet.begin(policy, stage, Window(0.5, {}, {}, requests=requests(metric, USUAL, rng, 0.0)))
    for minute in range(1, 31):
        seen = requests(metric, level, rng, minute * 60.0)
        gates.update(Window(0.5, {}, {}, requests=seen, until=(minute + 1) * 60.0))
    return {verdict.gate: verdict.outcome for verdict in gates.verdicts()}


def requests(metric: Metric, level: float, rng: np.random.Generator, after: float, count: int = 200) -> Events:
    """A minute of them."""
    candidate = (rng.random(count) < 0.5) & (after > 0)
    values = {kind: (rng.random(count) < 0.005).astype(np.float64) for kind in (Metric.ERRORS, Metric.UNUSABLE)}
    values[metric] = (rng.random(count) < np.where(candidate, level, USUAL)).astype(np.float64)
    units = rng.integers(1 << 60, size=count)
    return Events(after + np.sort(rng.random(count)) * 60, units, candidate, values)


@pytest.mark.long
@pytest.mark.parametrize("metric", BITS)
def test_answers_that_got_worse_are_caught_and_nothing_else_is(metric: Metric) -> None:
    """From 2 to 10 %: by that gate alone, each time. Where nothing has changed, never."""
    harmed = [run(metric, HARMED, seed) for seed in range(RUNS)]
    assert [verdicts[metric.value] for verdicts in harmed] == [Outcome.FAIL] * RUNS
    assert all(verdicts["errors"] is not Outcome.FAIL for verdicts in harmed)
    same = [run(metric, USUAL, 100 + seed) for seed in range(RUNS)]
    assert not any(Outcome.FAIL in verdicts.values() for verdicts in same)
    assert sum(verdicts[metric.value] is Outcome.PASS for verdicts in same) >= RUNS - 2
