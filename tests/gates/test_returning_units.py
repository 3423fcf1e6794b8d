"""What users show who come back: which book a metric is in, and what its evidence allows."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.gates.observations import NO_EVENTS, Events, Window
from softlaunch.gates.returning_units import Returning
from softlaunch.gates.rules import rules
from softlaunch.gates.sessions import Stream
from softlaunch.gates.unit_entries import PASSING_BY, RETURNING, Way, round_part
from softlaunch.policy.release import plan
from tests.support.builders import make_policy
from tests.support.regulars import Harm, Regulars, no_harm, slower

POLICY = make_policy(
    gates=[
        {"metric": "errors", "margin": "2 points"},
        {"metric": "latency", "margin": "20 %"},
        {"metric": "satisfaction", "margin": "5 points"},
        {"metric": "quality", "margin": "5 points"},
    ]
)
TENTH = plan(POLICY)[2]
RULES = {rule.metric: rule for rule in rules(POLICY, TENTH)}


def begin(people: Regulars) -> Returning:
    """Without evidence, of a stage at 10 %."""
    return Returning.begin(tuple(RULES.values()), people.share, people.history())


def filled(seed: int, seconds: float = 200.0, harm: Harm = no_harm) -> Returning:
    """After some time with regular users."""
    people = Regulars(np.random.default_rng(seed))
    returning = begin(people)
    for window in people.stage(seconds, harm):
        returning.update(window)
    return returning


def test_what_is_known_with_a_request_is_in_one_book_and_each_rated_metric_in_its_own() -> None:
    """Ratings come later, of some requests, so their visits are others."""
    returning = begin(Regulars(np.random.default_rng(1)))
    assert {stream.name for stream in returning.evidence} == {"requests", "satisfaction", "quality"}
    assert (
        returning.evidence_of(Metric.ERRORS)
        is returning.evidence_of(Metric.LATENCY)
        is returning.evidence[Stream(Per.REQUEST)]
    )
    assert returning.evidence_of(Metric.QUALITY) is returning.evidence[Stream(Per.REQUEST, Metric.QUALITY)]


def test_rounds_have_more_of_the_budget_where_users_come_back() -> None:
    """Whether they do is what stable's past says."""
    assert begin(Regulars(np.random.default_rng(1))).parts(Metric.ERRORS) == RETURNING
    rng = np.random.default_rng(1)
    passing = Events(np.arange(1000.0), np.arange(1000), np.zeros(1000, np.bool_), {Metric.ERRORS: rng.random(1000)})
    returning = Returning.begin(tuple(RULES.values()), 0.1, Window(0.1, requests=passing))
    assert returning.parts(Metric.ERRORS) == PASSING_BY


def test_alike_arms_show_nothing() -> None:
    """No gate's evidence comes near one over its alpha."""
    returning = filled(2, 400.0)
    for metric, rule in RULES.items():
        assert returning.harmed(rule) is None
        assert returning.log_evidence(metric) < 2 < -math.log(rule.alpha)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("e_value", [0.99, 1.01], ids=["just short", "enough"])
def test_each_way_needs_one_over_its_own_part(way: Way, e_value: float) -> None:
    """The gate's alpha times the way's part, times the round's."""
    returning = filled(3, 600.0 if way is Way.LONG else 200.0, slower(2.0))
    rule = replace(RULES[Metric.LATENCY], alpha=1e-12)
    for one, (bets, part) in returning.evidence_of(Metric.LATENCY).processes(Metric.LATENCY).items():
        needed = 1e12 / RETURNING[one] / part
        for kind in bets.weights:
            bets.log_e_values[kind] = np.full(7, math.log(needed * e_value) if one is way else 0.0)
    assert returning.log_evidence(Metric.LATENCY) == pytest.approx(math.log(1e12 * e_value))
    found = returning.harmed(rule)
    assert (found is not None) is (e_value > 1)
    if found is not None:
        assert (found.way, found.is_tail) == (way, False)
        assert found.harm == pytest.approx(1.0, abs=0.4)


def test_a_later_round_needs_more() -> None:
    """Its part is smaller."""
    book = filled(3, 400.0).evidence_of(Metric.LATENCY)
    assert book.processes(Metric.LATENCY)[Way.ROUND][1] == round_part(book.short.number) < round_part(1)


def test_harm_that_is_not_material_is_none() -> None:
    """However sure it is: less than the margin is no reason to roll back."""
    returning = filled(4, 200.0, slower(1.5))
    assert returning.harmed(RULES[Metric.LATENCY]) is not None
    for bets, _ in returning.evidence_of(Metric.LATENCY).processes(Metric.LATENCY).values():
        del bets.sums["beyond"]
    assert returning.harmed(replace(RULES[Metric.LATENCY], material=5.0)) is None


def heavy_tail(metric: Metric, values: np.ndarray, at: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Each twelfth request of a unit is ten times as slow, which moves its typical request by less than the margin."""
    return values * np.where(before % 12 == 5, 10, 1) if metric is Metric.LATENCY else values


def test_a_slow_tail_is_harm_too() -> None:
    """Said as such, where the typical request is within the margin."""
    people = Regulars(np.random.default_rng(5), users=600, share=0.5)
    returning = begin(people)
    rule = replace(RULES[Metric.LATENCY], material=1.0)
    found = None
    for window in people.stage(600.0, heavy_tail):
        returning.update(window)
        found = found or returning.harmed(rule)
    assert found is not None
    assert found.is_tail


def test_windows_without_requests_are_no_evidence() -> None:
    """Nor is a source that can't tell them apart: the stage goes on without."""
    returning = filled(6)
    before = returning.dump()
    for window in (Window(0.1), Window(0.1, requests=NO_EVENTS)):
        assert len(returning.update(window).candidate[Metric.ERRORS]) == 0
    assert returning.dump() == before


def test_what_is_stored_is_the_same() -> None:
    """With all its books."""
    returning = filled(7, 300.0, slower(1.3))
    again = Returning.load(json.loads(json.dumps(returning.dump(), allow_nan=False)), tuple(RULES.values()))
    assert again.dump() == returning.dump()
    assert again.parts(Metric.ERRORS) == returning.parts(Metric.ERRORS)
    for metric, rule in RULES.items():
        assert again.log_evidence(metric) == returning.log_evidence(metric)
        assert (again.harmed(rule) is None) is (returning.harmed(rule) is None)


def test_stables_past_visits_are_what_gates_begin_with() -> None:
    """One observation a user, none of the candidate."""
    people = Regulars(np.random.default_rng(8))
    history = people.history()
    past = begin(people).past_visits(Metric.LATENCY, history)
    assert past.candidate == {}
    assert len(past.stable[Metric.LATENCY]) == people.users
    assert np.median(past.stable[Metric.LATENCY].values) == pytest.approx(800, rel=0.15)
