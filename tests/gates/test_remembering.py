"""A panel that was stored and learns again whom it has heard goes on as the one that never forgot."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Events, Window
from softlaunch.gates.visits import ByUnit, VisitRule, Visits
from softlaunch.policy.release import plan
from tests.support.builders import make_policy

POLICY = make_policy(
    gates=[
        {"metric": "errors", "margin": "20 points"},
        {"metric": "latency", "margin": "50 %"},
        {"metric": "satisfaction", "margin": "20 points"},
    ]
)
TENTH = plan(POLICY)[2]
RATED = Metric.SATISFACTION


def returning_users(rng: np.random.Generator, count: int, seconds: float, users: int = 40) -> Events:
    """Requests of a few users, now and then several at one moment; every fifth user is the candidate's, mostly."""
    at = np.sort(np.round(rng.uniform(0, seconds, count), 1))
    units = rng.integers(0, users, count)
    strays = rng.random(count) < 0.02
    measured = rng.random(count) < 0.9
    return Events(
        at,
        units,
        (units % 5 == 0) ^ strays,
        {
            Metric.ERRORS: (rng.random(count) < 0.1).astype(np.float64),
            Metric.LATENCY: np.where(measured, 800 * rng.lognormal(0, 0.5, count), np.nan),
            RATED: np.where(measured, rng.random(count), np.nan),
        },
    )


def cut(events: Events, edges: list[float]) -> Iterator[tuple[Events, float]]:
    """Pieces of events, and the moment up to which each is complete."""
    for early, late in zip([-np.inf, *edges[:-1]], edges, strict=True):
        yield events.only((events.at >= early) & (events.at < late)), late


def windows(events: Events, edges: list[float]) -> list[Window]:
    """The same as windows, in which every fourth request is rated."""
    rated = events.only(np.arange(0, len(events), 4))
    ratings = [
        Events(part.at, part.units, part.candidate, {RATED: part.values[RATED]}) for part, _ in cut(rated, edges)
    ]
    pieces = zip(cut(events, edges), ratings, strict=True)
    return [
        Window(TENTH.candidate_share, requests=part, ratings={RATED: said}, until=until)
        for (part, until), said in pieces
    ]


def edges_of(rng: np.random.Generator, end: float) -> list[float]:
    """Some moments up to the end."""
    return [*np.sort(rng.uniform(0, end, rng.integers(0, 30))).tolist(), end]


@pytest.mark.parametrize("seed", range(5))
def test_visits_are_the_same_however_time_is_cut(seed: int) -> None:
    """To the last digit, and also where a unit strays to the other arm or does several things at once."""
    rng = np.random.default_rng(seed)
    events = returning_users(rng, 600, 60.0, users=300)
    table = np.stack([events.values[metric] for metric in (Metric.ERRORS, Metric.LATENCY)], axis=1)
    seen = []
    for edges in ([60.0], edges_of(rng, 60.0), edges_of(rng, 60.0)):
        visits = Visits(VisitRule(most=4, pause=9.0, age=30.0), 2)
        entries: list[tuple[int, bool, list[float]]] = []
        for early, late in zip([0.0, *edges[:-1]], edges, strict=True):
            places = np.flatnonzero((events.at >= early) & (events.at < late))
            booked = visits.booked.all
            over = visits.take(ByUnit.of(events.only(places), table[places]), late)
            entries += zip(
                np.setdiff1d(visits.booked.all, booked).tolist(), over.candidate, over.means.tolist(), strict=True
            )
        seen.append((sorted(entries), visits.booked.all.tolist(), visits.open.tolist()))
    assert len(seen[0][1]) > 10
    assert len(seen[0][2]) > 3
    np.testing.assert_equal(seen[1], seen[0])
    np.testing.assert_equal(seen[2], seen[0])


@pytest.mark.parametrize("seed", range(2))
def test_a_stored_panel_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    """Stored after every window, one that remembers from another cut of all that was goes on like one that recalls."""
    rng = np.random.default_rng(seed)
    history = returning_users(rng, 1000, 300.0)
    past = Window(0.5, requests=history, ratings={RATED: history.only(np.arange(0, 1000, 4))}, until=300.0)
    events = returning_users(rng, 2000, 400.0)
    held = GateSet.begin(POLICY, TENTH, past)
    stored = json.loads(json.dumps(held.dump()))
    ends = [*np.arange(7.0, 400.0, 7.0).tolist(), 400.0]
    for number, window in enumerate(windows(events, ends)):
        panel = GateSet.load(POLICY, TENTH, stored)
        panel.recall(held)
        panel.update(window)
        if number and number % 4 == 0:
            until = ends[number - 1]
            again = GateSet.load(POLICY, TENTH, stored)
            again.remember(windows(events.only(events.at < until), edges_of(rng, until)))
            again.update(window)
            assert again.verdicts() == panel.verdicts()
            assert again.dump() == panel.dump()
        held, stored = panel, json.loads(json.dumps(panel.dump()))
    assert stored["returning"]["books"]["requests"]["round"]["number"] > 2
