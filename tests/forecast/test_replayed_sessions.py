"""Recorded requests through gates that count sessions: what they find, and where sessions can't be told."""

from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.forecast.replay.conclusion import Conclusion, Replayed
from softlaunch.forecast.replay.replay import replay
from softlaunch.forecast.replay.rows import Rows
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.forecast.replay.windows import Looks
from softlaunch.gates.observations import Floats, Units
from tests.support.builders import make_policy
from tests.support.sessions import Guests, Harm, no_harm

SESSION = {"timeout": 20, "longest": 300}


def replayed(harm: Harm, *gates: dict[str, Any], named: float = 1.0, seconds: float = 900.0) -> Replayed:
    """What gates make of guests whose requests name them this often."""
    policy = make_policy(
        shadow=None, stages=[{"weight_percent": 50}, {"weight_percent": 100}], gates=gates, session=SESSION
    )
    rng = np.random.default_rng(31)
    asked = Guests(rng, users=2000).requests(0.0, seconds, harm)
    known = rng.random(len(asked)) < named
    rows = Rows(
        source="samples.csv",
        first=1,
        last=len(asked),
        stage=StageNames(policy).by_name("50 %"),
        ts=1_772_366_400.0 + asked.at,
        candidate=asked.candidate,
        units=np.where(known, asked.units, 10_000 + np.arange(len(asked))),
        named=known,
        values={metric: asked.values[metric] for metric in (Metric.ERRORS, Metric.LATENCY)},
    )
    return replay(policy, [rows], Looks(), {Metric.ERRORS, Metric.LATENCY})


def third_fails(metric: Metric, values: Floats, _at: Floats, rank: Units) -> Floats:
    """The third request of every session fails."""
    return np.where(rank == 2, 1.0, values) if metric is Metric.ERRORS else values


ERRORS = {"metric": "errors", "margin": "8 points", "per": "session"}
LATENCY = {"metric": "latency", "margin": "30 %", "per": "session"}


def test_harm_per_session_is_rolled_back() -> None:
    """And said so."""
    done = replayed(third_fails, ERRORS, LATENCY)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "errors")
    assert done.reason.startswith("errors per session: worse by ")


def test_a_fine_candidate_passes_per_session() -> None:
    """With what users met in as many sessions as were over by then."""
    done = replayed(no_harm, ERRORS, LATENCY)
    assert done.conclusion is Conclusion.PASS
    errors = done.gates[0].verdict
    assert errors.per is Per.SESSION
    assert errors.candidate_met is not None
    assert errors.candidate_met.requests >= errors.candidate_count > 100


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (0.0, "can't count per session: the samples have no column unit, or nothing in it"),
        (0.3, "can't count per session: 70% of the rows name no unit, and each would be a session of its own"),
    ],
)
def test_requests_of_nobody_are_not_taken_for_sessions(named: float, why: str) -> None:
    """Neither to roll back nor to pass."""
    done = replayed(third_fails, ERRORS, named=named, seconds=300.0)
    assert (done.conclusion, done.metric) == (Conclusion.INCONCLUSIVE, "errors")
    assert done.gates[0].verdict.reason == why
