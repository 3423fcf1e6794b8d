"""Visits: which requests belong together, and that each unit is booked once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import NO_EVENTS, Events
from softlaunch.gates.visits import ByUnit, Entries, VisitRule, Visits, returning

RULE = VisitRule(most=3, pause=10.0, age=25.0)
COLUMN = Metric.ERRORS
CANDIDATES = frozenset({2, 5})


def events_of(
    *requests: tuple[float, int], values: list[float] | None = None, strays: frozenset[int] = frozenset()
) -> Events:
    """Requests as (moment, unit), in order of time; those at the places `strays` fell on the unit's other arm."""
    at = np.array([moment for moment, _ in requests], dtype=np.float64)
    units = np.array([unit for _, unit in requests], dtype=np.int64)
    arm = np.array([(unit in CANDIDATES) ^ (place in strays) for place, unit in enumerate(units.tolist())], np.bool_)
    column = np.arange(len(at), dtype=np.float64) if values is None else np.array(values)
    return Events(at, units, arm, {COLUMN: column})


def take(visits: Visits, events: Events, until: float) -> dict[int, tuple[bool, float]]:
    """Arm and mean of each unit that was booked in a window."""
    before = visits.booked.all
    entries = visits.take(ByUnit.of(events, events.values.get(COLUMN, np.empty(0))[:, None]), until)
    booked = np.setdiff1d(visits.booked.all, before)
    assert len(booked) == len(entries)
    return {
        unit: (bool(arm), float(mean))
        for unit, arm, mean in zip(booked.tolist(), entries.candidate, entries.means[:, 0], strict=True)
    }


def in_windows(visits: Visits, events: Events, edges: list[float]) -> dict[int, tuple[bool, float]]:
    """The same over windows that end at these moments, each without its end."""
    booked: dict[int, tuple[bool, float]] = {}
    for early, late in zip([-np.inf, *edges], edges, strict=False):
        now = take(visits, events.only((events.at >= early) & (events.at < late)), late)
        assert not booked.keys() & now.keys()
        booked.update(now)
    return booked


@st.composite
def streams(draw: st.DrawFn) -> tuple[Events, list[float], list[float]]:
    """Requests of a few units, with ties, missing values and strays, and two ways of cutting their time."""
    tenths = draw(st.lists(st.integers(0, 600), max_size=40).map(sorted))
    units = draw(st.lists(st.integers(0, 6), min_size=len(tenths), max_size=len(tenths)))
    values = draw(st.lists(st.sampled_from([0.1, 0.2, 1 / 3, 1.0, np.nan]), min_size=len(tenths), max_size=len(tenths)))
    strays = draw(st.frozensets(st.integers(0, max(len(tenths) - 1, 0)), max_size=3))
    requests = zip((moment / 10 for moment in tenths), units, strict=True)
    cuts = [[*sorted(one / 10 for one in draw(st.sets(st.integers(0, 600), max_size=12))), 60.1] for _ in range(2)]
    return events_of(*requests, values=values, strays=strays), cuts[0], cuts[1]


@given(streams(), st.sampled_from([RULE, VisitRule(1, 2.0, 8.0), VisitRule(40, 5.0, 40.0)]))
@settings(deadline=None, max_examples=200)
def test_which_requests_a_visit_holds_does_not_depend_on_how_windows_are_cut(
    stream: tuple[Events, list[float], list[float]], rule: VisitRule
) -> None:
    """What is booked, what goes on and every sum are the same to the last digit."""
    events, *cuts = stream
    one, other, whole = (Visits(rule, 1) for _ in range(3))
    booked = [in_windows(one, events, cuts[0]), in_windows(other, events, cuts[1]), in_windows(whole, events, [60.1])]
    for visits, seen in zip((one, other), booked, strict=False):
        np.testing.assert_equal(seen, booked[2])
        np.testing.assert_equal(visits.booked.all, whole.booked.all)
        np.testing.assert_equal(visits.open.tolist(), whole.open.tolist())


@given(streams())
@settings(deadline=None, max_examples=100)
def test_a_visit_holds_what_a_reader_of_the_rule_would_put_into_it(
    stream: tuple[Events, list[float], list[float]],
) -> None:
    """Request by request: as the docstrings say it, unit for unit."""
    events, cuts, _ = stream
    visits = Visits(RULE, 1)
    booked = in_windows(visits, events, cuts)
    for unit in np.unique(events.units).tolist():
        arm, members, is_over = by_hand(events.only(events.units == unit), cuts[-1])
        known = [value for value in members if not np.isnan(value)]
        if is_over:
            assert booked[unit][0] == arm
            np.testing.assert_allclose(booked[unit][1], np.mean(known) if known else np.nan)
        else:
            assert unit not in booked


def by_hand(own: Events, now: float) -> tuple[bool, list[float], bool]:
    """A unit's arm, the values of its first visit, and whether that is over."""
    began, latest, arm = own.at[0], own.at[0], bool(own.candidate[0])
    members: list[float] = []
    for at, candidate, value in zip(own.at, own.candidate, own.values[COLUMN], strict=True):
        if len(members) == RULE.most or at - latest >= RULE.pause or at - began >= RULE.age or candidate != arm:
            return arm, members, True
        members.append(float(value))
        latest = at
    return arm, members, len(members) == RULE.most or now - latest >= RULE.pause or now - began >= RULE.age


@pytest.mark.parametrize(
    ("requests", "until", "mean"),
    [
        pytest.param([(0, 1), (1, 1)], 10.9, None, id="it goes on while the last request is recent"),
        pytest.param([(0, 1), (1, 1)], 11.0, 0.5, id="a pause ends it"),
        pytest.param([(0, 1), (1, 1), (2, 1)], 2.0, 1.0, id="the last of its requests ends it at once"),
        pytest.param([(0, 1), (1, 1), (2, 1), (3, 1)], 3.0, 1.0, id="a request more is left out"),
        pytest.param([(0, 1), (9, 1), (19, 1)], 19.1, 0.5, id="a request after a pause is left out"),
        pytest.param([(0, 1), (9, 1), (18, 1)], 18.1, 1.0, id="one just before it isn't"),
    ],
)
def test_a_visit_ends_by_pause_or_number(requests: list[tuple[float, int]], until: float, mean: float | None) -> None:
    """At most three requests, with less than ten seconds between two."""
    booked = take(Visits(RULE, 1), events_of(*requests), until)
    assert booked == ({} if mean is None else {1: (False, mean)})


def test_a_visit_ends_by_age() -> None:
    """However steadily requests come; what comes later is left out."""
    visits = Visits(VisitRule(most=100, pause=10.0, age=25.0), 1)
    steady = events_of(*((float(second), 1) for second in range(0, 40, 5)))
    assert take(visits, steady.only(steady.at < 24), 24.9) == {}
    assert take(visits, steady.only(steady.at >= 24), 40.0) == {1: (False, 2.0)}


def test_a_unit_is_booked_once() -> None:
    """However often it returns, until everybody may be booked again."""
    visits = Visits(RULE, 1)
    booked = 0
    for look in range(50):
        booked += len(take(visits, events_of((look * 20.0, 1), (look * 20.0 + 1, 2)), look * 20.0 + 20))
    assert booked == 2
    visits.restart()
    assert take(visits, events_of((1000.0, 1)), 1020.0) == {1: (False, 0.0)}


def test_a_restart_forgets_the_visits_that_go_on() -> None:
    """What such a unit does next begins a visit."""
    visits = Visits(RULE, 1)
    take(visits, events_of((0.0, 1), values=[5.0]), 1.0)
    visits.restart()
    assert take(visits, events_of((2.0, 1), values=[7.0]), 20.0) == {1: (False, 7.0)}


@pytest.mark.parametrize("edges", [[50.0], [1.0, 50.0], [1.0, 2.0, 50.0]], ids=["together", "apart", "each alone"])
def test_a_unit_that_strays_to_the_other_arm_is_booked_on_its_first(edges: list[float]) -> None:
    """Its visit ends there: what follows is neither arm's evidence."""
    strayed = events_of((0.0, 2), (1.0, 2), (2.0, 2), strays=frozenset({1}))
    assert in_windows(Visits(RULE, 1), strayed, edges) == {2: (True, 0.0)}


def test_requests_are_counted_as_used_or_ignored() -> None:
    """Ignored are those beyond a visit's end and those of units that were booked."""
    visits = Visits(RULE, 1)

    def counted(*requests: tuple[float, int], until: float) -> Entries:
        events = events_of(*requests)
        return visits.take(ByUnit.of(events, events.values[COLUMN][:, None]), until)

    first = counted((0, 1), (1, 1), (2, 1), (3, 1), (4, 2), until=5)
    assert (first.used, first.ignored, len(first)) == (4, 1, 1)
    second = counted((6, 1), (7, 2), (8, 3), until=9)
    assert (second.used, second.ignored, len(second)) == (2, 1, 0)


def test_what_was_not_measured_is_left_out_of_the_mean() -> None:
    """And a visit of which nothing was measured has none."""
    visits = Visits(RULE, 1)
    booked = take(visits, events_of((0, 1), (1, 1), (1, 3), values=[np.nan, 4.0, np.nan]), 20)
    assert booked[1] == (False, 4.0)
    assert np.isnan(booked[3][1])


def test_a_window_without_requests_ends_visits_too() -> None:
    """Time alone ends them; and it takes no columns to have none."""
    visits = Visits(RULE, 1)
    take(visits, events_of((0, 1)), 1.0)
    assert take(visits, NO_EVENTS, 10.0) == {1: (False, 0.0)}


def history(pauses: Any, units: int = 40) -> Events:
    """Units that each come back after these pauses."""
    moments = np.concatenate([[0.0], np.cumsum(pauses)])
    requests = [(float(moment) + unit / 1000, unit) for unit in range(units) for moment in moments]
    return events_of(*sorted(requests))


def test_a_pause_is_longer_than_19_in_20_of_an_apps_pauses() -> None:
    """A visit may last four of them."""
    rule = VisitRule.learn(history(np.arange(1, 101)))
    assert rule.pause == pytest.approx(95, abs=0.5)
    assert rule.most == 5
    assert rule.age == pytest.approx(4 * rule.pause)


@pytest.mark.parametrize(
    ("pauses", "pause"),
    [
        pytest.param([], 2.0, id="nobody comes back"),
        pytest.param([0.1] * 10, 2.0, id="at once"),
        pytest.param([86_400.0] * 3, 600.0, id="daily"),
    ],
)
def test_a_pause_is_between_two_seconds_and_ten_minutes(pauses: list[float], pause: float) -> None:
    """An app's pauses may be of any length, and without returns none is known."""
    assert VisitRule.learn(history(pauses)).pause == pause
    assert VisitRule.learn(NO_EVENTS) == VisitRule()


def test_few_returns_are_not_spoken_of() -> None:
    """One request in twenty that is a return is too little to learn from."""
    few = history([], units=95)
    back = events_of(*((500.0 + unit, unit) for unit in range(5)))
    assert returning(few.together(back)) == pytest.approx(0.05)
    assert VisitRule.learn(few.together(back)) == VisitRule()
    more = few.together(back).together(events_of((900.0, 6)))
    assert VisitRule.learn(more).pause > 2.0


def test_longer_visits_and_first_requests_follow_the_same_rule() -> None:
    """A first request is a visit of one; a longer one waits longer."""
    assert RULE.first.most == 1
    assert RULE.times(8) == VisitRule(24, 20.0, 200.0)
