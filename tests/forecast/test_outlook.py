"""The plan of a release: what it says of every stage, and that its promises hold."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.forecast.gate_paths import observations
from softlaunch.forecast.outlook import MINIMUM_REQUESTS, MINIMUM_TIME, MINIMUM_UNITS, Planner
from softlaunch.forecast.plans import ReleasePlan
from softlaunch.forecast.stage_clock import StageClock
from softlaunch.forecast.stated import rate_values, score_values, spread_values
from softlaunch.forecast.traffic import Traffic, Users
from softlaunch.forecast.user_habits import Habits
from softlaunch.forecast.wording import in_a_sentence, show_let_through, to_json
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Flags, Floats, Window
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan as stages_of

pytestmark = pytest.mark.long

LEVELS = {
    Metric.ERRORS: rate_values(0.02),
    Metric.UNUSABLE: rate_values(0.0),
    Metric.LATENCY: spread_values(1000, 2300),
    Metric.SATISFACTION: rate_values(0.8),
}


def make_policy(**changes: Any) -> Policy:
    """Two stages of at least ten seconds, errors and latency required."""
    return Policy.model_validate(
        {
            "app": "bot",
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": None,
            "stages": [
                {"weight_percent": weight, "minimum_time": "10 s", "minimum_requests": 20, "deadline": "1 d"}
                for weight in (10, 100)
            ],
            "gates": [{"metric": "errors", "margin": "3 points"}, {"metric": "latency", "margin": "10 %"}],
            **changes,
        }
    )


def make_traffic(per_second: float = 20.0, without: Metric | None = None, **fields: Any) -> Traffic:
    """Requests of as many users."""
    stable = {metric: observations(values) for metric, values in LEVELS.items() if metric is not without}
    return Traffic(per_second, stable=stable, shares={Metric.SATISFACTION: 0.1}, **fields)


def planned(policy: Policy | None = None, traffic: Traffic | None = None) -> ReleasePlan:
    """A plan on the usual traffic."""
    return Planner(policy or make_policy(), traffic or make_traffic()).plan()


def values(metric: Metric, harm: Floats, rng: np.random.Generator) -> Floats:
    """Requests like LEVELS, each made worse by its harm."""
    known = LEVELS[metric]
    if metric in {Metric.ERRORS, Metric.UNUSABLE}:
        failed: Flags = rng.random(len(harm)) < known.mean() + harm
        return failed.astype(np.float64)
    return rng.choice(known, len(harm)) * (1 + harm)


def requests(policy: Policy, candidate: Flags, worse: Metric | None, harm: float, rng: np.random.Generator) -> Events:
    """As many users as there are flags, who ask once each in the second before zero."""
    at, units = np.sort(rng.uniform(-1, 0, len(candidate))), rng.integers(0, 2**62, len(candidate))
    harms = {gate.metric: np.where(candidate, harm if gate.metric is worse else 0.0, 0.0) for gate in policy.gates}
    return Events(at, units, candidate, {metric: values(metric, one, rng) for metric, one in harms.items()})


def is_caught(policy: Policy, metric: Metric, harm: float, seed: int, per_second: float) -> bool:
    """Whether the first stage of a real panel fails before it would pass."""
    rng = np.random.default_rng([9, seed])
    stage = stages_of(policy)[1]
    past = requests(policy, np.zeros(3000, np.bool_), None, 0.0, rng)
    panel = GateSet.begin(policy, stage, Window(0.5, requests=past, until=0.0))
    for second in range(1, 4000):
        arms = rng.random(rng.poisson(per_second)) < stage.candidate_share
        seen = requests(policy, arms, metric, harm, rng)
        now = replace(seen, at=seen.at + second)
        panel.update(Window(stage.candidate_share, requests=now, until=float(second)))
        outcomes = {verdict.outcome for verdict in panel.verdicts()}
        if Outcome.FAIL in outcomes:
            return True
        if outcomes == {Outcome.PASS} and second >= stage.minimum_time:
            return False
    return False


@pytest.mark.parametrize("metric", [Metric.ERRORS, pytest.param(Metric.LATENCY, marks=pytest.mark.soak)])
def test_the_smallest_harm_caught_with_80_percent_is_caught_about_so_often(metric: Metric) -> None:
    """By the real panel of the whole policy, in at least 70 and at most 95 of a hundred releases."""
    policy = make_policy(stages=[{"weight_percent": weight, "minimum_time": 1} for weight in (10, 100)])
    gate = next(one for one in planned(policy, make_traffic(400)).stages[0].gates if one.metric is metric)
    assert gate.catches_80 is not None
    caught = np.mean([is_caught(policy, metric, gate.catches_80.harm, seed, 400) for seed in range(100)])
    assert 0.7 <= caught <= 0.95


def test_a_harm_caught_more_surely_is_larger() -> None:
    """What is caught with 95 % is at least what is caught with 80 %, and no smaller than what is material."""
    for stage in planned().stages:
        for gate in stage.gates:
            assert gate.catches_80 is not None
            assert gate.catches_95 is not None
            assert gate.catches_80.harm <= gate.catches_95.harm


@pytest.mark.parametrize(
    ("stage", "bottleneck"),
    [
        pytest.param({"minimum_time": "5 h"}, MINIMUM_TIME, id="a long minimum time"),
        pytest.param({"minimum_requests": 50_000}, MINIMUM_REQUESTS, id="many minimum requests"),
        pytest.param({"minimum_units": 50_000}, MINIMUM_UNITS, id="many minimum units"),
        pytest.param({"minimum_time": 1, "minimum_requests": 1}, "errors", id="nothing but evidence"),
    ],
)
def test_the_bottleneck_is_what_is_waited_for_longest(stage: dict[str, Any], bottleneck: str) -> None:
    """A gate or one of the minima."""
    policy = make_policy(
        stages=[{"weight_percent": 10, **stage}, {"weight_percent": 100}],
        gates=[{"metric": "errors", "margin": "1 point"}, {"metric": "latency", "margin": "40 %"}],
    )
    assert planned(policy).stages[0].bottleneck == bottleneck


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [
        pytest.param({"deadline_requests": 4000}, 2000, id="of the candidate's requests"),
        pytest.param({"deadline_units": 400}, 1000, id="of its users, who ask five times each"),
        pytest.param({"deadline_units": 400, "deadline_requests": 1000}, 500, id="of either"),
        pytest.param({"deadline_units": 10**9}, 86400, id="of more users than there are in a day"),
    ],
)
def test_a_deadline_in_numbers_comes_as_soon_as_the_traffic_brings_them(stage: dict[str, Any], seconds: float) -> None:
    """At 20 requests a second and 10 %."""
    policy = make_policy(stages=[{"weight_percent": 10, "deadline": "1 d", **stage}, {"weight_percent": 100}])
    plan = planned(policy, make_traffic(20.0, users=Users.at_a_rate(5)))
    assert plan.stages[0].deadline == pytest.approx(seconds, rel=0.01)


def test_a_guard_is_not_waited_for_but_catches() -> None:
    """Its few ratings would take longer than everything else."""
    gates = [
        {"metric": "latency", "margin": "10 %"},
        {"metric": "satisfaction", "margin": "4 points", "role": "guard"},
    ]
    first = planned(make_policy(gates=gates)).stages[0]
    assert first.gates[1].seconds_median > first.seconds_median
    assert first.bottleneck == "latency"


def test_less_traffic_takes_longer() -> None:
    """In proportion, where evidence is the bottleneck."""
    busy, quiet = (planned(traffic=make_traffic(rate)).seconds_median for rate in (200.0, 20.0))
    assert 5 < quiet / busy < 15


def test_a_stage_that_can_not_pass_says_what_would_help() -> None:
    """A longer deadline, a wider margin or the role of a guard; the release is never through."""
    policy = make_policy(
        stages=[{"weight_percent": 10, "minimum_time": 1, "deadline": "5 min"}, {"weight_percent": 100}]
    )
    plan = planned(policy, make_traffic(0.5))
    assert plan.stages[0].undecided > 0.9
    assert "a deadline of" in plan.stages[0].advice
    assert "a margin of" in plan.stages[0].advice
    assert "the role 'guard'" in plan.stages[0].advice
    assert in_a_sentence(plan).startswith("canary 10 % will probably stay undecided")
    assert to_json(plan)["seconds_median"] is None


def test_a_required_gate_without_data_says_how_to_state_it() -> None:
    """Rather than a figure that nobody can know."""
    plan = planned(traffic=make_traffic(without=Metric.LATENCY))
    assert not plan.stages[0].gates[1].is_known
    assert "--latency-ms" in plan.stages[0].advice
    assert in_a_sentence(plan).startswith("canary 10 % can't be forecast: too little is known of latency")


def test_too_few_users_can_never_give_enough_evidence() -> None:
    """A user is evidence once a stage, however often they ask."""
    forty = Users(((1, 1), (40, 40), (1000, 40), (2000, 40)))
    plan = planned(traffic=make_traffic(users=forty))
    assert plan.stages[0].undecided == 1.0
    assert plan.stages[0].gates[0].seconds_median == np.inf


def regulars(users: float) -> Traffic:
    """Ten requests a second of so many regular users, one a visit."""
    return make_traffic(10.0, users=Users.regulars(users, 1.0), habits=Habits(comes_back=True, regular_users=users))


def test_a_stage_of_too_few_people_says_where_to_begin() -> None:
    """One percent of 4,000 users are 40, which is not enough to pass errors and latency."""
    policy = make_policy(
        gates=[{"metric": "errors", "margin": "2 points"}, {"metric": "latency", "margin": "10 %"}],
        stages=[
            {"weight_percent": 1, "minimum_time": 1, "deadline": "1 d", "margin_factor": 2},
            {"weight_percent": 50, "minimum_time": 1, "deadline": "1 d"},
            {"weight_percent": 100},
        ],
    )
    first, half = planned(policy, regulars(4000)).stages[:2]
    assert first.people == pytest.approx(40)
    assert first.undecided > 0.9
    assert first.advice.startswith("1 % of 4,000 regular users are 40: begin at ")
    assert half.undecided < 0.5
    assert half.advice == ""


def test_people_who_can_t_show_any_harm_are_told_of() -> None:
    """Three can't, even where nobody waits for a gate."""
    gates = [{"metric": "errors", "margin": "3 points"}, {"metric": "latency", "margin": "10 %", "role": "guard"}]
    policy = make_policy(
        gates=gates, stages=[{"weight_percent": 1, "minimum_time": 1, "deadline": "1 d"}, {"weight_percent": 100}]
    )
    first = planned(policy, regulars(300)).stages[0]
    assert first.people_needed is not None
    assert 3 < first.people_needed < 10
    assert "1 % of 300 regular users are 3, and it takes about" in first.advice
    assert "to show even the largest harm" in first.advice
    assert {gate.catches_80 for gate in first.gates} == {None}


def test_no_share_of_too_few_users_is_enough() -> None:
    """A fine candidate can't pass among twenty."""
    advice = planned(traffic=regulars(20)).stages[0].advice
    assert "even half of all are too few" in advice
    assert "unless arms are drawn afresh (unit.redraw)" in advice


def test_arms_that_are_drawn_afresh_let_a_few_users_be_enough() -> None:
    """Twenty users in each of the 288 epochs of a day are six hundred of the candidate."""
    few = planned(make_policy(unit={"source": "user", "redraw": "5 min"}), regulars(20)).stages[0]
    assert few.people is None
    assert few.undecided < 0.5


def test_what_the_margins_let_through_is_told() -> None:
    """Half a point of errors lies within a margin of three and is promoted often; three points hardly are."""
    errors, latency, _ = planned().let_through
    assert (errors.metric, errors.margin) == (Metric.ERRORS, 0.03)
    assert errors.promoted is not None
    assert errors.caught is not None
    assert 0.005 < errors.promoted < 0.03
    assert errors.promoted < errors.caught
    assert "within the margin of 3.0 points, at least one in five is promoted" in show_let_through(errors)
    assert "on four in five are rolled back" in show_let_through(latency)


def test_a_guard_lets_through_what_is_beyond_its_margin() -> None:
    """Its few ratings show too little until the others have passed."""
    gates = [
        {"metric": "latency", "margin": "10 %"},
        {"metric": "satisfaction", "margin": "4 points", "role": "guard"},
    ]
    guard = next(gate for gate in planned(make_policy(gates=gates)).let_through if gate.metric is Metric.SATISFACTION)
    assert guard.promoted is not None
    assert guard.promoted > guard.margin
    assert "beyond the margin of 4.0 points" in show_let_through(guard)


def test_users_come_back() -> None:
    """Between and beyond what was seen the count of distinct users goes on as it did."""
    users = Users(((1, 1), (100, 50), (10_000, 500)))
    assert users.among(np.array([1.0, 100.0, 1000.0, 1e6])) == pytest.approx([1, 50, 158.1, 5000], rel=1e-3)
    assert users.needed(np.array([50.0, 5000.0])) == pytest.approx([100, 1e6], rel=1e-3)
    assert Users.at_a_rate(4).among(np.array([400.0])) == pytest.approx([100], rel=0.01)


def test_copies_show_the_candidate_to_nobody() -> None:
    """In the shadow no user sees it; at 100 % everybody does, though few requests are compared."""
    policy = make_policy(shadow={"sample_percent": 10})
    shadow, _, everybody = (StageClock(stage, make_traffic()) for stage in stages_of(policy)[1:])
    minute = np.array([60.0])
    assert (shadow.requests(minute)[0], shadow.users(minute)[0]) == (0, 0)
    assert everybody.requests(minute)[0] == pytest.approx(1200)
    assert everybody.seconds(Metric.ERRORS, np.array([60.0]))[0] == pytest.approx(60)


def test_stated_scores_have_their_mean() -> None:
    """Graded, in [0, 1]."""
    for mean in (0.5, 0.85, 0.99):
        scores = score_values(mean)
        assert scores.mean() == pytest.approx(mean, abs=0.002)
        assert 0 <= scores.min() <= scores.max() <= 1
    assert set(score_values(1.0)) == {1.0}


def test_a_muted_gate_is_planned_but_catches_nothing() -> None:
    """It can't roll back."""
    gates = [{"metric": "errors", "margin": "3 points"}, {"metric": "latency", "margin": "10 %", "role": "muted"}]
    muted = planned(make_policy(gates=gates)).stages[0].gates[1]
    assert (muted.catches_80, muted.harms) == (None, ())
