"""A plan is made for whatever policy may be written and whatever traffic there may be: random ones, seeded."""

import json
import random

import numpy as np
import pytest

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.formatting import show_duration
from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.gate_paths import SampledPaths, observations
from softlaunch.forecast.outlook import Planner
from softlaunch.forecast.stated import Stated, rate_values, score_values, spread_values
from softlaunch.forecast.traffic import Traffic, Users
from softlaunch.forecast.user_habits import Habits
from softlaunch.forecast.wording import (
    in_a_sentence,
    rows,
    show_caught,
    show_count,
    show_let_through,
    show_users,
    stage_row,
    to_json,
)
from softlaunch.gates.observations import Observations
from softlaunch.policy.model import Policy
from softlaunch.reports.plan_plot import render_plan

SHOWN = (Metric.ERRORS, Metric.LATENCY, Metric.COST, Metric.QUALITY, Metric.HALLUCINATION, Metric.SATISFACTION)


def any_stage(rng: random.Random, **fields: object) -> dict[str, object]:
    """A stage of seconds to decades, with any minimum."""
    deadline = rng.choice([1, 30, 35, 40, 600, 86400 * 30, 86400 * 365 * 50])
    return {
        "minimum_time": f"{rng.choice([1, deadline / 2, deadline])} s",
        "minimum_requests": rng.choice([1, 10, 200, 10**6, 10**9]),
        "deadline_requests": rng.choice([None, None, 10**9, 10**12]),
        "deadline": f"{deadline} s",
        "at_deadline": rng.choice(["ask", "extend", "roll_back"]),
        "margin_factor": rng.choice([1, 4, 50]),
        **fields,
    }


def any_policy(rng: random.Random) -> Policy:
    """Up to four stages and any gates, but for one that is required."""
    weights = [*sorted(rng.sample([0.01, 1, 5, 50, 99, 99.99], rng.randint(0, 3))), 100]
    others = [metric for metric in SHOWN[1:] if rng.random() < 0.5]
    gates = [{"metric": "errors", "margin": f"{rng.choice([0.001, 1, 50])} points"}]
    for metric in others:
        margin = f"{rng.choice([0.001, 0.1, 2, 50, 99])} {'%' if metric.is_relative else 'points'}"
        gate = {"metric": metric, "margin": margin, "role": rng.choice(["required", "guard", "muted"])}
        per = "request" if gate["role"] == "required" else rng.choice(["request", "session"])
        gates.append({**gate, "per": per})  # what is required per session needs long stages
    return Policy.model_validate(
        {
            "app": "bot",
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": rng.choice([None, any_stage(rng, sample_percent=rng.choice([0.01, 100]))]),
            "stages": [any_stage(rng, weight_percent=weight) for weight in weights],
            "control_percent": rng.choice([0.1, 50, 100]),
            "unit": {"redraw": rng.choice([None, None, 60, "conversation"])},
            "gates": gates,
            "session": {"timeout": rng.choice([1, 30]), "longest": rng.choice([30, 86400 * 365])},
        }
    )


def any_values(rng: random.Random, metric: Metric) -> Observations:
    """None, one, all alike, zeros, huge, tiny, or spread over ten orders of magnitude."""
    count = rng.choice([0, 1, 2, 5, 100, 1000])
    if metric.is_relative:
        spread = spread_values(10 ** rng.uniform(-9, 6), 10 ** rng.uniform(6, 12))
        level = rng.choice([0.0, 5.0, 1e300, 1e-300])
        return observations(rng.choice([np.full(count, level), np.append(np.zeros(count), 1e9), spread]))
    shares = [rate_values(rng.choice([0.0, 1.0, rng.random() ** 4])), np.zeros(count), np.ones(count)]
    return observations(rng.choice([*shares, score_values(rng.choice([0.0, 1e-9, 0.5, 1.0]))]))


def any_traffic(rng: random.Random) -> Traffic:
    """From no requests to a billion a second, of one user or of many."""
    points = [((1.0, 1.0),), ((1.0, 1.0), (2.0, 1.0), (1000.0, 1.0)), ((1.0, 1.0), (100.0, 3.0))]
    users = [Users(), *(Users(known) for known in points), Users.at_a_rate(rng.choice([1, 1.5, 1e9]))]
    regular = rng.choice([None, 1.0, 7.5, 300.0, 1e9])
    habits = Habits(
        comes_back=rng.choice([False, True]), requests_per_visit=rng.choice([1.0, 4.2]), regular_users=regular
    )
    if regular is not None:
        users.append(Users.regulars(regular, habits.requests_per_visit))
    return Traffic(
        rng.choice([0.0, 5e-324, 10 ** rng.uniform(-12, 9), 10 ** rng.uniform(-3, 3)]),
        users=rng.choice(users),
        habits=habits,
        stable={metric: any_values(rng, metric) for metric in SHOWN if rng.random() < 0.9},
        shares={metric: rng.choice([0.0, 1e-9, 0.1, 1.0]) for metric in SHOWN if rng.random() < 0.5},
    )


def foresee_and_show(seed: int) -> None:
    """Plan, say, draw and write down; every number that is shown is one."""
    rng = random.Random(seed)
    planned = Planner(any_policy(rng), any_traffic(rng), sampled=SampledPaths(paths=10)).plan()
    said = in_a_sentence(planned)
    json.dumps(to_json(planned), allow_nan=False)
    shown = [said, show_users(planned.users), render_plan(planned)]
    shown += [show_let_through(gate) for gate in planned.let_through] + [stage.advice for stage in planned.stages]
    for stage in planned.stages:
        shown += [*stage_row(stage), *(cell for row in rows(stage) for cell in row)]
        shown += [show_caught(harm) for gate in stage.gates for harm in gate.harms]
    assert not [text for text in shown if " nan" in text.lower() or " inf" in text.lower()]


@pytest.mark.long
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("seed", range(15))
def test_a_plan_is_made_for_any_policy_and_traffic(seed: int) -> None:
    """Whatever can or can't be foreseen, nothing crashes."""
    foresee_and_show(seed)


@pytest.mark.long
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("first", [1000, *(pytest.param(one, marks=pytest.mark.soak) for one in (1050, 1100))])
def test_a_plan_is_made_for_many_more_policies(first: int) -> None:
    """The same for many more."""
    for seed in range(first, first + 50):
        foresee_and_show(seed)


@pytest.mark.parametrize("seconds", [30, 35, 40])
def test_stages_that_each_may_be_undecided_are_told_of_together(seconds: int) -> None:
    """Where each stage rather passes, but all of them rather don't, the sentence says so."""
    stage = {"minimum_time": "5 s", "minimum_requests": 10, "deadline": f"{seconds} s", "at_deadline": "roll_back"}
    policy = Policy.model_validate(
        {
            "app": "bot",
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": {**stage, "sample_percent": 100},
            "stages": [{**stage, "weight_percent": weight, "margin_factor": 1} for weight in (50, 100)],
            "gates": [{"metric": "latency", "margin": "10 %"}],
            "control_percent": 50,
        }
    )
    traffic = Traffic(60000 / 3600, stable={Metric.LATENCY: observations(spread_values(150, 280))})
    said = in_a_sentence(Planner(policy, traffic).plan())
    assert ("undecided" in said) or said.startswith("about")
    if seconds == 35:
        assert said.startswith("a stage will probably stay undecided even if the candidate is fine")
        assert "deadline there" in said


@pytest.mark.parametrize(
    ("seconds", "shown"), [(float("inf"), "never"), (float("nan"), "never"), (1e300, "more than 100 years")]
)
def test_times_that_nobody_waits_for_are_shown(seconds: float, shown: str) -> None:
    """Infinite and huge times are words, not tracebacks or three hundred digits."""
    assert show_duration(seconds) == shown


def test_counts_that_nobody_sees_are_shown() -> None:
    """A huge count is a word, and none is a dash."""
    assert (show_count(1e300), show_count(float("inf"))) == ("more than 1,000,000,000,000", "-")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_figures_that_no_traffic_has_are_refused(number: float) -> None:
    """What a person states is a number within its range, or an error that says which."""
    with pytest.raises(SoftlaunchError, match="--requests-per-hour"):
        Stated(requests_per_hour=number)
    with pytest.raises(SoftlaunchError, match="a rate is"):
        rate_values(number)
    with pytest.raises(SoftlaunchError, match="a mean score is"):
        score_values(number)
    with pytest.raises(SoftlaunchError, match="95th percentile"):
        spread_values(100, number)
