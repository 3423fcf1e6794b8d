"""What is foreseen of a stage's outlook is what a panel then does, whether simulated users come back or not."""

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.forecast.first_visits import FirstVisits, seconds_until_over
from softlaunch.forecast.unit_gates import UnitOutlook
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Floats, Window
from softlaunch.gates.rules import GateRule, rules
from softlaunch.gates.visits import VisitRule
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage
from softlaunch.policy.release import plan as stages_of

PER_SECOND, STEP, BEGUN, PAUSE = 20.0, 2.0, 1.7e9, 20.0
HISTORY = 3000
POLICY = Policy.model_validate(
    {
        "app": "bot",
        "eval": {"golden_set": "golden.jsonl"},
        "shadow": None,
        "stages": [
            {"weight_percent": weight, "minimum_time": 1, "minimum_requests": 1, "deadline": "1 d"}
            for weight in (10, 100)
        ],
        "gates": [{"metric": "errors", "margin": "1 point"}, {"metric": "latency", "margin": "10 %"}],
    }
)
STAGE: Stage = stages_of(POLICY)[1]


def make_rule(metric: Metric, **changes: Any) -> GateRule:
    """A required gate with the material harm of POLICY."""
    material = {Metric.ERRORS: 0.01, Metric.LATENCY: 0.1, Metric.QUALITY: 0.02}[metric]
    fields = {"margin": material, "material": material, "alpha": 0.001, "confidence": 0.95, **changes}
    return GateRule(metric, Role.REQUIRED, **fields)


def requests(rng: np.random.Generator, seconds: float, a_visit: int, harms: dict[Metric, float]) -> Events:
    """So many requests a user, alike by 0.3, a second's latency and 1 % errors, made worse on the candidate."""
    users = rng.poisson(PER_SECOND / a_visit * seconds)
    begun = rng.uniform(0, seconds, users)
    waits = np.concatenate([np.zeros((users, 1)), rng.exponential(PAUSE, (users, a_visit - 1))], axis=1)
    at = (begun[:, None] + waits.cumsum(axis=1)).ravel()
    similarity = 0.3 if a_visit > 1 else 0.0
    units = np.repeat(rng.integers(0, 2**62, users), a_visit)
    candidate = np.repeat(rng.random(users) < STAGE.candidate_share, a_visit)

    def noise() -> Floats:
        own, usual = np.repeat(rng.normal(size=users), a_visit), rng.normal(size=users * a_visit)
        return np.asarray(np.sqrt(similarity) * own + np.sqrt(1 - similarity) * usual)

    worse = {metric: candidate * harms.get(metric, 0.0) for metric in (Metric.ERRORS, Metric.LATENCY)}
    values = {
        Metric.ERRORS: (ndtr(noise()) > 0.99 - worse[Metric.ERRORS]).astype(np.float64),
        Metric.UNUSABLE: np.zeros(len(at)),
        Metric.LATENCY: 1000 * np.exp(0.5 * noise()) * (1 + worse[Metric.LATENCY]),
    }
    every = Events(at, units, candidate, values)
    return every.only(np.argsort(at, kind="stable")[: int((at < seconds).sum())])


def stable_past(rng: np.random.Generator, count: int, a_visit: int) -> Events:
    """About so many requests of stable, up to the stage's beginning."""
    seconds = count / PER_SECOND
    past = requests(rng, seconds, a_visit, {})
    return Events(past.at + BEGUN - seconds, past.units, np.zeros(len(past), np.bool_), past.values)


def seconds_until(outcome: Outcome, metric: Metric, harm: float, a_visit: int, seed: int, longest: float) -> float:
    """When the real panel's gate fails or passes; infinite where it does neither in time."""
    rng = np.random.default_rng([6, seed])
    panel = GateSet.begin(POLICY, STAGE, Window(0.5, requests=stable_past(rng, HISTORY, a_visit), until=BEGUN))
    seen = requests(rng, longest, a_visit, {metric: harm})
    for look in np.arange(STEP, longest, STEP):
        first, last = np.searchsorted(seen.at, [look - STEP, look])
        part = seen.only(np.arange(first, last))
        now = Events(part.at + BEGUN, part.units, part.candidate, part.values)
        panel.update(Window(STAGE.candidate_share, requests=now, until=BEGUN + look))
        if any(verdict.gate == metric.value and verdict.outcome is outcome for verdict in panel.verdicts()):
            return float(look)
    return np.inf


@pytest.mark.long
@pytest.mark.parametrize(
    ("metric", "harm", "a_visit"),
    [
        pytest.param(Metric.LATENCY, 0.25, 1, id="latency x1.25, one request a user"),
        pytest.param(Metric.LATENCY, 0.25, 5, id="latency x1.25, five requests a user", marks=pytest.mark.soak),
        pytest.param(Metric.ERRORS, 0.04, 1, id="errors +4 points, one request a user", marks=pytest.mark.soak),
        pytest.param(Metric.ERRORS, 0.04, 5, id="errors +4 points, five requests a user", marks=pytest.mark.soak),
        pytest.param(Metric.LATENCY, 0.0, 5, id="latency passes, five requests a user", marks=pytest.mark.soak),
    ],
)
def test_medians_are_those_of_panels(metric: Metric, harm: float, a_visit: int) -> None:
    """The median time until harm is found, or a fine candidate passes, is foreseen to within a factor of 1.3.

    The plan knows more of the past than a panel does, so that chance doesn't matter.
    """
    rule = next(rule for rule in rules(POLICY, STAGE) if rule.metric is metric)
    past = stable_past(np.random.default_rng(12), 10 * HISTORY, a_visit)
    learnt = VisitRule.learn(past)
    visits = FirstVisits.of_events(past, past.values[metric], learnt)
    per_second = PER_SECOND * STAGE.candidate_share / a_visit
    times = UnitOutlook(rule, visits, STAGE.candidate_share, per_second * STEP, comes_back=a_visit > 1).stopping_times(
        harm
    )
    over = seconds_until_over(past, learnt)
    units = times.visits_fail if harm else times.passes
    assert units is not None
    by_visits = units / per_second + over
    foreseen = float(np.median(np.minimum(times.fails / per_second, by_visits) if harm else by_visits))
    wanted = Outcome.FAIL if harm else Outcome.PASS
    median = float(np.median([seconds_until(wanted, metric, harm, a_visit, seed, 4000) for seed in range(60)]))
    assert median / 1.3 <= foreseen <= median * 1.3, f"foreseen {foreseen:.0f} s, simulated {median:.0f} s"


def visits_of(metric: Metric, length: int = 4) -> FirstVisits:
    """Visits of stable's, alike within."""
    rng = np.random.default_rng(3)
    lengths = np.full(600, length)
    own = np.repeat(rng.normal(size=600), lengths)
    noise = np.sqrt(0.3) * own + np.sqrt(0.7) * rng.normal(size=len(own))
    if metric is Metric.ERRORS:
        return FirstVisits.of_lengths((ndtr(noise) > 0.99).astype(np.float64), lengths)
    if metric is Metric.QUALITY:
        return FirstVisits.of_lengths(np.clip(0.8 + 0.15 * noise, 0, 1), lengths)
    return FirstVisits.of_lengths(1000 * np.exp(0.5 * noise), lengths)


@pytest.mark.parametrize("comes_back", [True, False])
@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.LATENCY, Metric.QUALITY])
def test_the_larger_the_harm_the_sooner_it_is_caught(metric: Metric, *, comes_back: bool) -> None:
    """And the later such a candidate passes, up to the largest harm there is."""
    outlook = UnitOutlook(make_rule(metric, margin=0.1), visits_of(metric), 0.05, comes_back=comes_back)
    foreseen_times = [outlook.stopping_times(harm) for harm in (0.05, 0.2, outlook.largest_harm)]
    fails = [float(np.median(one.soonest)) for one in foreseen_times]
    passes = [float(np.median(one.passes)) for one in foreseen_times]
    assert fails == sorted(fails, reverse=True)
    assert passes == sorted(passes)


def test_users_who_do_not_come_back_are_seen_by_their_first_requests_alone() -> None:
    """Most of the budget is there, so that such harm is found sooner."""
    visits = FirstVisits.alone(visits_of(Metric.LATENCY).values)
    passing, returning = (
        UnitOutlook(make_rule(Metric.LATENCY), visits, 0.1, comes_back=comes_back).stopping_times(0.5)
        for comes_back in (False, True)
    )
    assert passing.visits_fail is not None
    assert np.isinf(passing.visits_fail).all()
    assert np.median(passing.fails) < np.median(returning.fails)


def test_means_of_visits_need_fewer_users() -> None:
    """Five requests of a user that are alike by 0.3 tell more than one."""
    times = UnitOutlook(make_rule(Metric.LATENCY), visits_of(Metric.LATENCY, 5), 0.1, comes_back=True).stopping_times(
        0.25
    )
    assert times.visits_fail is not None
    assert np.median(times.visits_fail) < np.median(times.fails)


@pytest.mark.parametrize(("share", "fewest"), [(0.01, 2), (0.1, 4), (0.5, 8)])
def test_fewer_users_than_some_can_show_nothing(share: float, fewest: int) -> None:
    """However large the harm; the bound is not far from what is needed."""
    outlook = UnitOutlook(make_rule(Metric.LATENCY), visits_of(Metric.LATENCY), share, comes_back=True)
    assert outlook.fewest == fewest
    assert fewest <= np.quantile(np.ceil(outlook.stopping_times(outlook.largest_harm).soonest), 0.8) <= 3 * fewest


@pytest.mark.parametrize(("count", "known"), [(0, False), (30, False), (60, True)])
def test_nothing_is_foreseen_from_too_few_visits(count: int, *, known: bool) -> None:
    """The outlook itself bets on nothing before it knows fifty."""
    visits = FirstVisits.alone(np.linspace(100, 900, count))
    assert UnitOutlook(make_rule(Metric.LATENCY), visits, 0.5).is_known is known


def test_the_same_question_has_the_same_answer() -> None:
    """Sampled paths are seeded."""
    first, again = (
        UnitOutlook(make_rule(Metric.ERRORS), visits_of(Metric.ERRORS), 0.1, comes_back=True)
        .stopping_times(0.03)
        .soonest
        for _ in range(2)
    )
    assert np.array_equal(first, again)
