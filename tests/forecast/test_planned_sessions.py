"""Gates that count sessions, foreseen: from sessions that were seen, and from what is said of them."""

from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Per
from softlaunch.forecast.gate_paths import observations
from softlaunch.forecast.outlook import Planner
from softlaunch.forecast.plans import GatePlan
from softlaunch.forecast.sessions import foresee_sessions
from softlaunch.forecast.stated import rate_values, spread_values
from softlaunch.forecast.traffic import Traffic, Users
from softlaunch.forecast.user_habits import Habits
from softlaunch.forecast.wording import in_a_sentence, rows, to_json
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events
from softlaunch.gates.rules import rules
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, plan
from tests.support.builders import make_policy
from tests.support.sessions import Guests, no_harm


def policy(**more: Any) -> Policy:
    """Half of the users on the candidate; errors and latency per session of twenty seconds' pauses."""
    gates = [
        {"metric": "errors", "margin": "8 points", "per": "session"},
        {"metric": "latency", "margin": "30 %", "per": "session"},
    ]
    stages = [{"weight_percent": 50, "minimum_time": 5, "deadline": "1 d"}, {"weight_percent": 100}]
    session = {"timeout": 20, "longest": 300, "user_period": 400}
    return make_policy(**{"shadow": None, "stages": stages, "gates": gates, "session": session, **more})


def half(of: Policy) -> Stage:
    """The canary stage of 50 %."""
    return next(stage for stage in plan(of) if stage.weight_percent == 50)


def guests(seed: int) -> Guests:
    """Two thousand users, each of whom comes every five minutes for four requests."""
    return Guests(np.random.default_rng(seed), users=2000)


def traffic(past: Events, seconds: float, *, seen: bool = True) -> Traffic:
    """What a log tells of this past."""
    values = {metric: observations(column) for metric, column in past.values.items()}
    counts = np.unique(np.geomspace(1, len(past), 40).astype(int)).tolist()
    distinct = tuple((float(count), float(len(np.unique(past.units[:count])))) for count in counts)
    return Traffic(
        len(past) / seconds,
        users=Users(distinct),
        stable={**values, Metric.UNUSABLE: observations(rate_values(0.0))},
        habits=Habits(comes_back=True, requests_per_visit=4.0, correlation=0.7),
        past=past if seen else None,
    )


def gate_plan(of: Policy, known: Traffic, metric: Metric) -> GatePlan:
    """What the plan says of a gate at 50 %."""
    stage = Planner(of, known).plan().stages[0]
    return next(gate for gate in stage.gates if gate.metric is metric)


def seconds_to_pass(of: Policy, seed: int, metric: Metric) -> float:
    """How long a fine candidate takes; infinite where ten minutes aren't enough."""
    people = guests(seed)
    panel = GateSet.begin(of, half(of), people.history())
    for window in people.stage(600.0, no_harm, look=5.0):
        panel.update(window)
        verdict = next(one for one in panel.verdicts() if one.gate == metric)
        if verdict.outcome is Outcome.PASS:
            return window.until
    return float("inf")


@pytest.mark.long
@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.LATENCY])
def test_gates_per_session_pass_about_when_the_plan_says(metric: Metric) -> None:
    """Most of which is waiting for the first sessions to be over."""
    foreseen = gate_plan(policy(), traffic(guests(0).requests(-1200, 0), 1200), metric).seconds_median
    took = float(np.median([seconds_to_pass(policy(), seed, metric) for seed in range(1, 12)]))
    assert foreseen == pytest.approx(took, rel=0.35)
    assert foreseen > 25


def test_sessions_are_taken_from_the_log_where_they_were_seen_whole() -> None:
    """Their failures, what they took in all, and how long they last; what is imagined from requests is like it."""
    of, past = policy(), guests(1).requests(-1200, 0)
    judged = rules(of, half(of))
    seen, imagined = (foresee_sessions(traffic(past, 1200, seen=known), judged, of.session) for known in (True, False))
    assert seen.keys() == imagined.keys() == {Metric.ERRORS, Metric.LATENCY, Metric.UNUSABLE}
    errors, latency = seen[Metric.ERRORS], seen[Metric.LATENCY]
    assert errors.values.values.mean() == pytest.approx(0.02, abs=0.01)
    assert np.median(latency.values.values) == pytest.approx(3200, rel=0.15)
    assert np.median(imagined[Metric.LATENCY].values.values) == pytest.approx(3200, rel=0.15)
    assert errors.requests == pytest.approx(4.0, abs=0.3)
    assert 20 < errors.seconds < 40
    assert errors.share == 1.0


def test_users_periods_take_as_long_as_they_are() -> None:
    """Whatever happens in them."""
    per_user = [{"metric": "errors", "margin": "20 points", "per": "user"}]
    judged = rules(policy(gates=per_user), half(policy()))
    known = foresee_sessions(traffic(guests(1).requests(-1200, 0), 1200), judged, policy().session)
    assert known[Metric.ERRORS].seconds == 400.0
    gate = gate_plan(policy(gates=per_user), traffic(guests(1).requests(-1200, 0), 1200), Metric.ERRORS)
    assert gate.seconds_median > 400
    assert gate.per is Per.USER


def test_a_plan_from_stated_figures_says_per_what_it_is() -> None:
    """Longer sessions fail more often, and take longer."""
    stable = {
        Metric.ERRORS: observations(rate_values(0.01)),
        Metric.UNUSABLE: observations(rate_values(0.0)),
        Metric.LATENCY: observations(spread_values(1000, 2300)),
    }
    known = [Traffic(20.0, stable=stable, requests_per_session=each) for each in (1.0, 8.0)]
    short, long = (foresee_sessions(one, rules(policy(), half(policy())), policy().session) for one in known)
    rates = [one[Metric.ERRORS].values.values.mean() for one in (short, long)]
    assert rates == [pytest.approx(0.01, abs=0.005), pytest.approx(0.08, abs=0.025)]
    assert np.median(long[Metric.LATENCY].values.values) > 7 * np.median(short[Metric.LATENCY].values.values)
    foreseen = Planner(policy(), known[1]).plan()
    first, last = foreseen.stages
    assert [row[0] for row in rows(first)][:2] == ["errors per session", "latency per session"]
    assert [row[0] for row in rows(last)][:2] == ["errors", "latency"]
    assert [one.name for one in foreseen.let_through][:1] == ["errors per session"]
    assert "catches errors per session +" in in_a_sentence(foreseen)
    assert to_json(foreseen)["stages"][0]["gates"][0]["per"] == "session"
