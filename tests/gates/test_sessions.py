"""What a unit does between two pauses is one event, whenever somebody looks."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.gates.observations import NO_EVENTS, Events
from softlaunch.gates.sessions import SessionRule, Sessions
from softlaunch.policy.units import SessionPolicy

RULE = SessionRule(timeout=10.0, longest=25.0)
METRICS = (Metric.ERRORS, Metric.LATENCY, Metric.QUALITY)


def asked(*requests: tuple[float, int, bool], **values: Sequence[float]) -> Events:
    """Requests as (when, by whom, of the candidate), in order of time, with a value each of some metrics."""
    at, units, arms = zip(*requests, strict=True) if requests else ((), (), ())
    return Events(
        np.array(at, np.float64),
        np.array(units, np.int64),
        np.array(arms, np.bool_),
        {Metric(name): np.array(column, np.float64) for name, column in values.items()},
    )


def closed(events: Events, now: float = math.inf, rule: SessionRule = RULE) -> list[tuple[float, int, bool]]:
    """The sessions that are over: when, whose, and on which arm."""
    over = Sessions(rule, METRICS).take(events, now)
    return list(zip(over.at.tolist(), over.units.tolist(), over.candidate.tolist(), strict=True))


def test_a_session_is_over_a_timeout_after_its_last_request() -> None:
    """At that moment, and not before; then the next one begins."""
    events = asked((0, 1, True), (8, 1, True), (18, 1, True), (19, 2, False))
    assert closed(events, 18.1) == [(18, 1, True)]
    assert closed(events, 18.0) == []
    assert closed(events) == [(18, 1, True), (28, 1, True), (29, 2, False)]


def test_a_session_without_an_end_is_over_when_it_is_old() -> None:
    """A bot that asks every five seconds has sessions of 25, each from its own first request."""
    events = asked(*((5.0 * k, 1, False) for k in range(12)))
    assert closed(events) == [(25, 1, False), (50, 1, False), (65, 1, False)]


def test_a_session_ends_where_its_unit_changes_arm() -> None:
    """With the request on the other arm, which begins another one."""
    events = asked((0, 1, True), (3, 1, True), (5, 1, False), (6, 1, False))
    assert closed(events) == [(5, 1, True), (16, 1, False)]


def test_per_user_only_the_period_ends_it() -> None:
    """However long the pauses are in between."""
    rule = SessionRule.of(SessionPolicy(user_period=100.0), Per.USER)
    events = asked((0, 1, True), (60, 1, True), (99, 1, True), (150, 1, True))
    assert closed(events, rule=rule) == [(100, 1, True), (250, 1, True)]


def test_what_a_session_counts() -> None:
    """Whether anything failed, the whole latency, the mean rating; what was measured nowhere isn't known."""
    nan = math.nan
    over = Sessions(RULE, METRICS).take(
        asked(
            (0, 1, True),
            (1, 1, True),
            (2, 1, True),
            (3, 2, False),
            (4, 2, False),
            errors=[0, 1, nan, 0, 0],
            latency=[200, nan, 300, nan, nan],
            quality=[1.0, 0.5, nan, nan, nan],
        ),
        math.inf,
    )
    assert over.units.tolist() == [1, 2]
    np.testing.assert_equal(over.values[Metric.ERRORS], [1, 0])
    np.testing.assert_equal(over.values[Metric.LATENCY], [500, nan])
    np.testing.assert_equal(over.values[Metric.QUALITY], [0.75, nan])


def test_a_metric_that_nobody_measures_is_unknown() -> None:
    """In a window that has no column for it, too."""
    over = Sessions(RULE, METRICS).take(asked((0, 1, True), errors=[1]), math.inf)
    np.testing.assert_equal(over.values[Metric.LATENCY], [math.nan])
    assert len(Sessions(RULE, METRICS).take(NO_EVENTS, math.inf)) == 0


def busy(rng: np.random.Generator, count: int = 500) -> Events:
    """Few units, pauses of all lengths, several things at one moment, and strays to the other arm."""
    at = np.sort(np.round(rng.uniform(0, 400, count), 1))
    units = rng.integers(0, 25, count)
    return Events(
        at,
        units,
        (units % 3 == 0) ^ (rng.random(count) < 0.05),
        {
            Metric.ERRORS: (rng.random(count) < 0.1).astype(np.float64),
            Metric.LATENCY: np.where(rng.random(count) < 0.8, 800 * rng.lognormal(0, 0.5, count), np.nan),
            Metric.QUALITY: np.where(rng.random(count) < 0.3, rng.random(count), np.nan),
        },
    )


def one_by_one(events: Events, rule: SessionRule) -> list[tuple[float, int, bool, int]]:
    """When sessions are over, whose, on which arm and of how many requests, by the plainest of programs."""
    open_, over = dict[int, tuple[float, float, bool, int]](), list[tuple[float, int, bool, int]]()
    for at, unit, arm in zip(events.at.tolist(), events.units.tolist(), events.candidate.tolist(), strict=True):
        began, latest, side, count = open_.get(unit, (at, at, arm, 0))
        end = min(latest + rule.timeout, began + rule.longest)
        if at >= end or arm is not side:
            over.append((min(at, end), unit, side, count))
            began, side, count = at, arm, 0
        open_[unit] = began, at, side, count + 1
    for unit, (began, latest, side, count) in open_.items():
        over.append((min(latest + rule.timeout, began + rule.longest), unit, side, count))
    return sorted(over)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", [RULE, SessionRule(3.0, 7.0), SessionRule(math.inf, 60.0)], ids=str)
def test_sessions_are_those_of_a_program_that_takes_one_request_after_the_other(seed: int, rule: SessionRule) -> None:
    """To the last request."""
    events = busy(np.random.default_rng(seed))
    counting = Events(events.at, events.units, events.candidate, {Metric.COST: np.ones(len(events))})
    over = Sessions(rule, (Metric.COST,)).take(counting, math.inf)
    found = zip(
        over.at.tolist(), over.units.tolist(), over.candidate.tolist(), over.values[Metric.COST].tolist(), strict=True
    )
    assert sorted(found) == one_by_one(events, rule)


@pytest.mark.parametrize("seed", range(10))
def test_sessions_are_the_same_however_time_is_cut(seed: int) -> None:
    """To the last digit and in the same order, also where nothing happened in a window; and so is what goes on."""
    rng = np.random.default_rng(seed)
    events, told = busy(rng), []
    for edges in ([400.0], *(np.sort(rng.choice(np.arange(4000) / 10, rng.integers(1, 80))).tolist() for _ in "ab")):
        sessions, over = Sessions(RULE, METRICS), NO_EVENTS
        ends = [*edges, 400.0]
        for early, late in zip([-math.inf, *ends], ends, strict=False):
            closed_now = sessions.take(events.only((events.at >= early) & (events.at < late)), late)
            assert (closed_now.at < late).all()
            assert (closed_now.at >= early).all()
            over = Events(
                np.concatenate([over.at, closed_now.at]),
                np.concatenate([over.units, closed_now.units]),
                np.concatenate([over.candidate, closed_now.candidate]),
                {
                    metric: np.concatenate([over.values.get(metric, np.empty(0)), closed_now.values[metric]])
                    for metric in METRICS
                },
            )
        told.append((over.at, over.units, over.candidate, over.values, sessions.open.tolist()))
    assert len(told[0][0]) > 100
    assert len(told[0][4]) > 3
    np.testing.assert_equal(told[1], told[0])
    np.testing.assert_equal(told[2], told[0])


def test_of_the_past_only_whole_sessions_are_known() -> None:
    """One that may have begun before what is known, or goes on at its end, isn't what a session is like."""
    events = asked(*((at, unit, False) for at, unit in [(0, 1), (9, 2), (11, 1), (12, 3), (13, 3), (30, 4), (35, 5)]))
    whole = Sessions(RULE, METRICS).whole(events)
    assert list(zip(whole.at.tolist(), whole.units.tolist(), strict=True)) == [(21, 1), (23, 3)]
    assert len(Sessions(RULE, METRICS).whole(NO_EVENTS)) == 0
