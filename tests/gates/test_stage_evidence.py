"""The evidence of one stream of events: when units are evidence, and how the budget is divided."""

import json

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events
from softlaunch.gates.stage_evidence import StageEvidence
from softlaunch.gates.unit_entries import PASSING_BY, RETURNING, Way, round_part
from softlaunch.gates.visits import VisitRule
from tests.support.regulars import Harm, Regulars, no_harm, slower

MARGINS = {Metric.ERRORS: 0.02, Metric.LATENCY: 0.2}
RATED = Metric.QUALITY
RULE = VisitRule(most=5, pause=30.0, age=120.0)


def begin(people: Regulars, metrics: dict[Metric, float] | None = None, past: float = 200.0) -> StageEvidence:
    """A book that knows stable's past."""
    return StageEvidence.begin(people.share, metrics or MARGINS, RULE, people.requests(-past, 0.0))


def filled(seed: int, seconds: float, harm: Harm = no_harm) -> StageEvidence:
    """A book after some time with regular users."""
    people = Regulars(np.random.default_rng(seed))
    book = begin(people)
    for window in people.stage(seconds, harm):
        assert window.requests is not None
        book.update(window.requests, window.until)
    return book


@pytest.mark.parametrize("parts", [RETURNING, PASSING_BY], ids=["users come back", "they don't"])
def test_the_ways_share_one_budget(parts: dict[Way, float]) -> None:
    """By the union bound the chance that any of them errs is at most the sum of their parts."""
    assert set(parts) == set(Way)
    assert sum(parts.values()) == pytest.approx(1.0)


def test_however_many_rounds_there_are_they_share_one_budget() -> None:
    """A million rounds leave a little of it, and no round is without any."""
    parts = np.array([round_part(number) for number in range(1, 100_001)])
    beyond = 4 * 100_000**-0.25 * round_part(1)  # the integral of the rest
    assert parts.sum() <= 1.0
    assert parts.sum() + beyond == pytest.approx(1.0, abs=1e-6)
    assert (np.diff(parts) < 0).all()
    assert parts[0] > 0.2


@pytest.mark.parametrize("swapped", ["all", "some"])
def test_when_a_round_begins_does_not_depend_on_arms(swapped: str) -> None:
    """Rounds turn by what both arms do together: else luck could choose the moment at which it is judged."""
    people = Regulars(np.random.default_rng(1), users=100)
    others = np.random.default_rng(2).random(people.users) < 0.5 if swapped == "some" else np.ones(people.users, bool)
    one, other = begin(people), begin(people)
    for window in people.stage(600.0):
        events = window.requests
        assert events is not None
        flipped = Events(events.at, events.units, events.candidate ^ others[events.units], events.values)
        one.update(events, window.until)
        other.update(flipped, window.until)
        for ours, theirs in ((one.short, other.short), (one.long, other.long)):
            assert (ours.number, ours.began, ours.old) == (theirs.number, theirs.began, theirs.old)
            np.testing.assert_array_equal(ours.visits.booked.all, theirs.visits.booked.all)
    assert one.short.number > 4
    assert one.long.number > 1


def test_a_round_turns_when_most_of_what_comes_is_of_units_that_it_has() -> None:
    """300 users are booked in about a minute; a round of theirs takes some two, a long one several times as long."""
    book = filled(1, 900.0)
    assert 5 <= book.short.number <= 20
    assert 1 < book.long.number < book.short.number
    assert book.short.last
    assert book.short.began % 5.0 == 0.0


def test_where_nobody_comes_back_rounds_grow_old() -> None:
    """150 of the candidate's units make a round, half as many more the next."""
    rng = np.random.default_rng(3)
    book = StageEvidence.begin(0.5, MARGINS, VisitRule(), Events(np.empty(0), np.empty(0, np.int64), np.empty(0, bool)))
    for look in range(40):
        units = np.arange(50) + 50 * look
        at = np.sort(rng.uniform(10.0 * look, 10.0 * look + 1, 50))
        errors = (rng.random(50) < 0.1).astype(np.float64)
        book.update(Events(at, units, rng.random(50) < 0.5, {Metric.ERRORS: errors}), 10.0 * look + 10)
    assert book.short.number == 4
    assert book.short.old == pytest.approx(300 * 1.5**3)
    assert book.long.number == 1


def test_a_round_begins_without_evidence_and_with_a_smaller_part() -> None:
    """Its predecessor's bets are kept for what they say lately, and for nothing else."""
    book = filled(1, 600.0, slower(3.0))
    way = book.processes(Metric.LATENCY)
    assert way[Way.ROUND] == (book.short.bets[Metric.LATENCY], round_part(book.short.number))
    assert book.short.last[Metric.LATENCY] is not book.short.bets[Metric.LATENCY]
    assert [way[one][1] for one in (Way.FIRST, Way.VISIT)] == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(3))
def test_harm_that_begins_late_is_seen_in_rounds_alone(seed: int) -> None:
    """By then every user's first visit is over; within a minute or two rounds have shown it."""
    people = Regulars(np.random.default_rng(seed))
    book = begin(people)
    peaks = dict.fromkeys(Way, 0.0)
    for window in people.stage(480.0, slower(3.0, since=240.0)):
        assert window.requests is not None
        book.update(window.requests, window.until)
        for way, (bets, _) in book.processes(Metric.LATENCY).items():
            peaks[way] = max(peaks[way], bets.log_evidence)
    assert peaks[Way.ROUND] > 15
    assert max(peaks[Way.FIRST], peaks[Way.VISIT]) < 5


def test_what_is_usual_follows_the_users_who_come_back() -> None:
    """Once all has been three times as slow for long, that is the typical visit of a round, and of what comes anew."""
    people = Regulars(np.random.default_rng(4))
    book = begin(people)
    for window in people.stage(900.0):
        events = window.requests
        assert events is not None
        drifted = {**events.values, Metric.LATENCY: 3 * events.values[Metric.LATENCY]}
        book.update(Events(events.at, events.units, events.candidate, drifted), window.until)
    usual = book.known[Way.ROUND][Metric.LATENCY]["log"]
    assert usual.scores(np.array([2400.0]))[0] == pytest.approx(0.0, abs=0.5)


def scored(rng: np.random.Generator, share: float, rates: tuple[float, float], worse: float = 0.0) -> StageEvidence:
    """A book of scores that come from so much of the candidate's and of stable's answers, in a world that drifts."""
    book = StageEvidence.begin(share, {RATED: 0.02}, VisitRule(), scores(rng, np.zeros(500, bool), 0, 0.8))
    for look in range(150):
        arm = rng.random(60) < share
        arm = arm[rng.random(60) < np.where(arm, *rates)]
        good = 0.8 + 0.15 * np.sin(look / 20)
        book.update(scores(rng, arm, look + 1, good - worse * arm), 10.0 * look + 20)
    return book


def scores(rng: np.random.Generator, arm: np.ndarray, look: int, good: float | np.ndarray) -> Events:
    """Scores of as many new units, some time before the look's next."""
    count = len(arm)
    at = 10.0 * look + np.sort(rng.uniform(0, 1, count))
    return Events(at, np.arange(count) + 1000 * look, arm, {RATED: np.clip(good + rng.normal(0, 0.1, count), 0, 1)})


@pytest.mark.parametrize("rates", [(1.0, 0.25), (0.25, 1.0)], ids=["candidate's 4:1", "stable's 4:1"])
@pytest.mark.parametrize("seed", range(3))
def test_arms_of_which_one_is_scored_more_often_are_still_alike(seed: int, rates: tuple[float, float]) -> None:
    """The share of what was heard takes the place of the split; with as much harm it is found all the same."""
    for worse, least, most in ((0.0, -9.0, 3.0), (0.1, 8.0, np.inf)):
        book = scored(np.random.default_rng(seed), 0.5, rates, worse)
        evidence = book.processes(RATED)[Way.VISIT][0].log_evidence
        assert least < evidence < most
        heard = book.heard[Way.VISIT]
        assert heard[0] / sum(heard) == pytest.approx(0.8 if rates[0] > rates[1] else 0.2, abs=0.05)


def test_nothing_is_bet_on_scores_before_their_share_is_known() -> None:
    """Fifty have to be heard first."""
    rng = np.random.default_rng(5)
    book = StageEvidence.begin(0.5, {RATED: 0.02}, VisitRule(), scores(rng, np.zeros(500, bool), 0, 0.8))
    book.update(scores(rng, np.arange(49) % 2 == 0, 1, 0.8), 100.0)
    book.update(scores(rng, np.arange(49) % 2 == 0, 10, 0.1), 200.0)
    assert all(not bets.log_e_values for bets, _ in book.processes(RATED).values())
    book.update(scores(rng, np.arange(49) % 2 == 0, 20, 0.1), 300.0)
    assert all(bets.log_e_values for bets, _ in book.processes(RATED).values())


def test_first_visits_are_handed_on_for_passing() -> None:
    """Each unit once, in the metric's own unit, when its visit is over."""
    people = Regulars(np.random.default_rng(6))
    book = begin(people)
    seen = [book.update(window.requests, window.until) for window in people.stage(300.0) if window.requests]
    for metric in MARGINS:
        candidate = np.concatenate([one[metric].candidate.values for one in seen])
        stable = np.concatenate([one[metric].stable.values for one in seen])
        assert (len(candidate), len(stable)) == (people.candidates.sum(), (~people.candidates).sum())
    assert np.median(stable) == pytest.approx(800, rel=0.15)


def test_a_round_that_looks_bad_lately_speaks_against_a_pass() -> None:
    """Once ten of the candidate's users have been seen in it, and beyond a standard error."""
    assert filled(7, 300.0, slower(2.0, since=150.0)).contradicts(Metric.LATENCY, 0.2) == pytest.approx(1.0, abs=0.4)
    assert filled(7, 300.0).contradicts(Metric.LATENCY, 0.2) is None
    assert filled(7, 20.0, slower(9.0)).contradicts(Metric.LATENCY, 0.2) is None


@pytest.mark.parametrize("seconds", [0.0, 30.0, 600.0], ids=["nothing yet", "the first round", "several rounds"])
def test_a_book_that_is_stored_is_the_same_book(seconds: float) -> None:
    """What it has shown and what it knows survive JSON; whom it has booked is remembered otherwise."""
    book = filled(8, seconds, slower(1.5))
    text = json.dumps(book.dump(), allow_nan=False)
    again = StageEvidence.load(json.loads(text), MARGINS)
    assert again.dump() == book.dump()
    for metric in MARGINS:
        for way, (bets, part) in book.processes(metric).items():
            assert again.processes(metric)[way][0].log_evidence == bets.log_evidence
            assert again.processes(metric)[way][1] == part
    assert len(text) < 30_000
