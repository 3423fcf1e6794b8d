"""The worlds in which users come back, harm begins late, or the arms are seen unequally."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gates.judges import Decision
from benchmarks.gates.model import (
    STAGES,
    Crowd,
    Disturbance,
    Effect,
    Kind,
    Levels,
    Scenario,
    Stage,
    Watching,
    interval_seconds,
)
from benchmarks.gates.simulate import End, look_ends, release
from benchmarks.gates.traffic import EPOCH, Known, Look, Traffic
from benchmarks.gates.worlds import ALL, WANTED, WORLDS
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Window

HALF = STAGES[2]
HOUR = 3600.0
FIVE = Scenario("five", Kind.FINE, crowd=Crowd(visit_requests=5))
SAME = Scenario("same", Kind.FINE, crowd=Crowd(users=300), requests_per_hour=72_000)
HELD = (Stage(1, 0.1, None, deadline_seconds=900.0, minimum_seconds=600.0), Stage(2, 1.0, 600))


def _looks(scenario: Scenario, seconds: float = HOUR, steps: int = 20, seed: int = 1) -> list[Look]:
    stage = Traffic(scenario, (seed,)).stage(HALF, 0.0)
    return [stage.until(number * seconds / steps) for number in range(1, steps + 1)]


def _requests(looks: list[Look]) -> Events:
    every = _of(looks[0].window)
    for look in looks[1:]:
        every = every.together(_of(look.window))
    return every


def _of(window: Window) -> Events:
    assert window.requests is not None
    return window.requests


def _rate(seen: Events, metric: Metric, *, candidate: bool) -> float:
    return float(seen.values[metric][seen.candidate == candidate].mean())


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_window_holds_what_happened_in_it_in_order(world: Scenario) -> None:
    """Requests, scores and ratings lie between a window's ends, in order, and `until` is its end."""
    begin = EPOCH
    for look in _looks(world, 400.0, 4):
        window = look.window
        for events in (_of(window), *window.ratings.values()):
            assert np.all(np.diff(events.at) >= 0)
            assert np.all((events.at >= begin) & (events.at < window.until))
        begin = window.until


def test_worlds_are_described_and_wishes_name_worlds() -> None:
    """Names are unique, every new world has a line that says what it is, and nothing is wanted of a world unknown."""
    names = [world.name for world in ALL]
    assert len(set(names)) == len(names)
    assert all(world.about for world in WORLDS)
    assert set(WANTED) <= set(names)


def test_traffic_is_the_same_in_any_steps() -> None:
    """How often a judge looks changes neither who comes nor what happens to them, nor when a score arrives."""
    for world in (FIVE, SAME, replace(FIVE, watching=Watching(delay_seconds=300.0))):
        often, seldom = _looks(world, steps=40), _looks(world, steps=3)
        assert np.array_equal(_requests(often).values[Metric.LATENCY], _requests(seldom).values[Metric.LATENCY])
        score, other = (
            np.concatenate([look.window.ratings[Metric.QUALITY].values[Metric.QUALITY] for look in looks])
            for looks in (often, seldom)
        )
        assert np.array_equal(score, other)


def test_a_visit_is_five_requests_of_one_arm_within_its_time() -> None:
    """Visits that lie within the time seen have all their requests, and those resemble each other."""
    seen = _requests(_looks(FIVE, 4 * HOUR))
    order = np.argsort(seen.units, kind="stable")
    units, first, count = np.unique(seen.units[order], return_index=True, return_counts=True)
    at = seen.at[order] - EPOCH
    inside = (at[first] > 80) & (at[first] < 4 * HOUR - 80)
    assert np.all(count[inside] == 5)
    whole = first[inside][:, None] + np.arange(5)
    assert np.all(at[whole][:, -1] - at[whole][:, 0] <= 72.0)
    assert np.all(seen.candidate[order][whole].std(axis=1) == 0)
    values = np.log(seen.values[Metric.LATENCY][order][whole])
    assert np.corrcoef(values.T)[np.triu_indices(5, 1)].mean() == pytest.approx(0.3, abs=0.04)
    assert len(units) == pytest.approx(4 * 10_000 / 5, rel=0.05)


def test_levels_are_what_the_model_says_however_alike_requests_are() -> None:
    """Noise that users share leaves the averages as they are."""
    seen = _requests(_looks(FIVE, 6 * HOUR))
    assert _rate(seen, Metric.ERRORS, candidate=False) == pytest.approx(0.005, abs=0.002)
    assert np.median(seen.values[Metric.LATENCY]) == pytest.approx(1000, rel=0.03)


def test_units_that_came_back_are_in_requests_and_not_among_the_first() -> None:
    """`candidate` and `stable` hold who is new in the stage; `requests` and `ratings` hold everyone."""
    looks = _looks(SAME)
    assert min(len(_of(look.window)) for look in looks) > 500
    splits = [look.window.split for look in looks if look.window.split is not None]
    assert sum(split.candidate + split.stable for split in splits) == 300
    assert not len(looks[-1].window.candidate[Metric.ERRORS])
    assert not len(looks[-1].window.stable[Metric.QUALITY])
    assert len(looks[-1].window.ratings[Metric.QUALITY]) == len(_of(looks[-1].window))


def test_who_was_met_is_known_again() -> None:
    """All requests of a unit's first window are first ones, those of later windows are not."""
    known = Known()
    assert known.first_time(np.array([1, 1, 2])).tolist() == [True, True, True]
    assert known.first_time(np.array([2, 3, 3])).tolist() == [False, True, True]


def test_stables_past_has_times_too() -> None:
    """The history ends where the release begins, is stable's alone, and knows what was said by then."""
    late = replace(SAME, watching=Watching(delay_seconds=60.0))
    past = Traffic(late, (1,)).history()
    requests = _of(past)
    assert (len(requests), past.until) == (3000, EPOCH)
    assert not requests.candidate.any()
    assert requests.at.max() < EPOCH
    assert 0 < len(past.ratings[Metric.QUALITY]) < 3000
    assert past.ratings[Metric.QUALITY].at.max() < EPOCH
    assert len(past.stable[Metric.ERRORS]) == 3000


def test_harm_may_begin_late_or_with_a_users_second_request() -> None:
    """Before, the candidate is like stable."""
    late = replace(SAME, effect=Effect(errors=0.3, from_seconds=1800.0))
    looks = _looks(late)
    before, after = _requests(looks[:10]), _requests(looks[10:])
    assert _rate(before, Metric.ERRORS, candidate=True) < 0.02
    assert _rate(after, Metric.ERRORS, candidate=True) > 0.25
    second = replace(FIVE, effect=Effect(errors=0.3, from_request=2))
    assert _rate(_requests(_looks(second)), Metric.ERRORS, candidate=True) == pytest.approx(0.3 * 4 / 5, abs=0.03)


def test_what_is_known_of_the_arms_may_differ() -> None:
    """Shares of scores and ratings are those of the world, and late ones arrive in later windows."""
    uneven = replace(FIVE, watching=Watching(scored=(1.0, 0.25), rated=(0.4, 0.1)))
    seen = [look.window for look in _looks(uneven, 4 * HOUR)]
    for metric, wanted in ((Metric.QUALITY, (1.0, 0.25)), (Metric.SATISFACTION, (0.4, 0.1))):
        for candidate, share in zip((True, False), wanted, strict=True):
            asked = sum(int((_of(window).candidate == candidate).sum()) for window in seen)
            heard = sum(int((window.ratings[metric].candidate == candidate).sum()) for window in seen)
            assert heard / asked == pytest.approx(share, abs=0.03)
    late = [look.window for look in _looks(replace(FIVE, watching=Watching(delay_seconds=600.0)))]
    first, last = (len(window.ratings[Metric.QUALITY]) / len(_of(window)) for window in (late[0], late[-1]))
    assert first < 0.4
    assert last > 0.8


def test_a_disturbance_befalls_both_arms_for_its_time() -> None:
    """More requests, errors and time from the middle of each period on, for as long as it lasts."""
    rough = Disturbance(1200.0, 300.0, rate=4.0, errors=0.4, latency=3.0)
    seen = _requests(_looks(replace(FIVE, crowd=Crowd(), disturbance=rough)))
    disturbed = ((seen.at - EPOCH) % 1200.0 >= 600.0) & ((seen.at - EPOCH) % 1200.0 < 900.0)
    assert disturbed.sum() / (~disturbed).sum() == pytest.approx(4 * 300 / 900, rel=0.05)
    for candidate in (True, False):
        arm = seen.only(disturbed & (seen.candidate == candidate))
        assert arm.values[Metric.ERRORS].mean() == pytest.approx(0.405, abs=0.03)
        assert np.median(arm.values[Metric.LATENCY]) == pytest.approx(3000, rel=0.05)


def test_a_bot_is_one_unit_with_its_share() -> None:
    """Three requests in ten, in one arm."""
    seen = _requests(_looks(replace(FIVE, crowd=Crowd(bot_share=0.3))))
    units, counts = np.unique(seen.units, return_counts=True)
    assert counts.max() / len(seen) == pytest.approx(0.3, abs=0.02)
    assert len(np.unique(seen.candidate[seen.units == units[counts.argmax()]])) == 1


def test_users_levels_may_wander() -> None:
    """A user's hour resembles the next one less if levels wander, and users still differ."""

    def alike(crowd: Crowd) -> float:
        seen = _requests(_looks(replace(SAME, crowd=crowd), 4 * HOUR))
        hour = ((seen.at - EPOCH) // HOUR).astype(np.int64)
        log = np.log(seen.values[Metric.LATENCY])
        means = np.array([np.bincount(seen.units[hour == one], log[hour == one], 300) for one in (0, 3)])
        counts = np.array([np.bincount(seen.units[hour == one], minlength=300) for one in (0, 3)])
        return float(np.corrcoef(means / counts)[0, 1])

    assert alike(Crowd(users=300)) > 0.95
    assert 0.4 < alike(Crowd(users=300, wander_seconds=1800.0)) < 0.9


def test_slow_requests_are_a_tail() -> None:
    """The candidate has five times as many of them; the middle stays where it was."""
    tail = replace(FIVE, levels=Levels(slow=0.01), effect=Effect(slow=0.04))
    seen = _requests(_looks(tail, 4 * HOUR))
    mine, theirs = (seen.values[Metric.LATENCY][seen.candidate == arm] for arm in (True, False))
    assert np.median(mine) == pytest.approx(np.median(theirs), rel=0.06)
    assert (mine > 5000).mean() / (theirs > 5000).mean() > 3


class _Says:
    """A judge that says the same at every look."""

    at_intervals = False
    blamed = "errors"

    def __init__(self, decision: Decision, *, after: float = 0.0) -> None:
        self.decision, self.after, self.firsts = decision, after, 0

    def look(self, seen: Look) -> Decision:
        self.firsts += seen.first
        return self.decision if seen.window.until - EPOCH > self.after else Decision.CONTINUE


def test_a_held_stage_is_watched_after_it_was_passed() -> None:
    """Passing counts once the stage has lasted long enough; whoever measures at intervals measures afresh meanwhile."""
    held = replace(SAME, stages=HELD)
    judge = _Says(Decision.PASS)
    result = release(held, judge, Traffic(held, (1,)))
    assert (result.end, judge.firsts) == (End.PROMOTED, 2)
    assert 600 <= result.seconds < 650
    at_intervals = _Says(Decision.PASS)
    at_intervals.at_intervals = True
    release(held, at_intervals, Traffic(held, (1,)))
    assert at_intervals.firsts == round(600 / interval_seconds(held, HELD[0])) + 1


def test_harm_is_counted_from_its_beginning() -> None:
    """Requests, units and seconds; what was rolled back before was rolled back without harm."""
    late = replace(SAME, stages=HELD, effect=Effect(latency=3.0, from_seconds=300.0), look_seconds=2.0)
    result = release(late, _Says(Decision.ROLLBACK, after=320.0), Traffic(late, (1,)))
    assert (result.end, result.harmed_seconds) == (End.ROLLED_BACK, 22.0)
    assert result.harmed == pytest.approx(22 * 2, abs=20)
    assert result.harmed_units is not None
    assert result.harmed_units <= min(result.harmed or 0, 40)
    early = release(late, _Says(Decision.ROLLBACK, after=100.0), Traffic(late, (1,)))
    assert (early.end, early.harmed, early.harmed_seconds) == (End.ROLLED_BACK, None, None)


def test_deadlines_may_be_counted_in_units_or_seconds() -> None:
    """A stage is given up after so many candidate units, or so much time."""
    by_units = replace(FIVE, stages=(Stage(1, 0.5, None, deadline_units=100),))
    result = release(by_units, _Says(Decision.CONTINUE), Traffic(by_units, (1,)))
    assert (result.end, result.blamed) == (End.UNDECIDED, None)
    assert 100 <= (result.harmed_units or 0) < 120
    by_time = replace(SAME, stages=HELD)
    assert 900 <= release(by_time, _Says(Decision.CONTINUE), Traffic(by_time, (1,))).seconds < 920


def test_looks_come_with_requests_but_not_faster_than_live() -> None:
    """Twenty candidate requests, two seconds at least; from the harm's beginning on, as often as the world says."""

    def ends(world: Scenario, stage: Stage, harm_began: float = 0.0) -> list[float]:
        judge = _Says(Decision.CONTINUE)
        return list(itertools.islice(look_ends(world, stage, 100.0, harm_began, judge), 4))

    world = replace(FIVE, look_candidates=20)
    assert ends(world, STAGES[0]) == pytest.approx([820, 1540, 2260, 2980])
    assert ends(replace(world, requests_per_hour=1e6), HALF) == [102.0, 104.0, 106.0, 108.0]
    often = replace(world, look_seconds=2.0)
    assert ends(often, STAGES[0]) == [102.0, 104.0, 106.0, 108.0]
    assert ends(often, STAGES[0], 1000.0) == pytest.approx([820, 1000, 1002, 1004])
