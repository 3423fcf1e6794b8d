"""How gates went over time, as the ledger keeps it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from math import inf

import pytest

from softlaunch.core.verdict import Interval, Met, Outcome
from softlaunch.ledger.looks import read_looks, record_look
from softlaunch.store.database import Database
from tests.support.builders import NOON, make_verdict, open_in_new_app

SLOWER = replace(
    make_verdict(harm=0.4, interval=Interval(0.2, inf), margin=0.1, candidate_value=1400.0, stable_value=1000.0),
    candidate_met=Met(90, 30, 1390.0, 2900.0, 1401.0, 20),
)


def _look_each_second(database: Database, seconds: int, *, must: bool = False) -> str:
    release_id = open_in_new_app(database)
    with database.begin() as session:
        for second in range(seconds):
            now = NOON + timedelta(seconds=second)
            record_look(session, (release_id, 1), NOON, (SLOWER,), now, must=must)
    return release_id


def test_a_look_holds_what_people_met_and_what_the_gate_made_of_it(database: Database) -> None:
    """Figures of users come first, the evidence's own where those aren't known; an open end stays open."""
    release_id = _look_each_second(database, 1)
    with database.read() as session:
        (look,) = read_looks(session, release_id)[1]["latency"]
    assert (look.looked_at, look.outcome, look.harm, look.margin) == (NOON, Outcome.PASS, 0.4, 0.1)
    assert look.interval == Interval(0.2, inf)
    assert (look.candidate, look.candidate_lately, look.stable, look.stable_lately) == (1390.0, 1401.0, 1000.0, None)


def test_looks_grow_rarer_with_the_age_of_a_stage(database: Database) -> None:
    """An hour of looks each second leaves about a hundred, the first ones two seconds apart."""
    release_id = _look_each_second(database, 3600)
    with database.read() as session:
        looks = read_looks(session, release_id)[1]["latency"]
    pauses = [(after.looked_at - before.looked_at).total_seconds() for before, after in pairwise(looks)]
    assert 90 < len(looks) < 150
    assert pauses[0] == 2
    assert pauses[-1] > 120


@pytest.mark.parametrize("most", [3, 500])
def test_what_must_be_kept_is_kept_and_reading_is_bounded(database: Database, most: int) -> None:
    """A look at which something changed is never left out, and the newest are read where there are too many."""
    release_id = _look_each_second(database, 10, must=True)
    with database.read() as session:
        looks = read_looks(session, release_id, most)[1]["latency"]
    assert looks[-1].looked_at == NOON + timedelta(seconds=9)
    assert len(looks) == min(most, 10)


def test_a_gate_that_saw_nothing_has_no_interval(database: Database) -> None:
    """What isn't known is None, not zero."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        record_look(session, (release_id, 1), NOON, (make_verdict(Outcome.INCONCLUSIVE),), NOON, must=False)
    with database.read() as session:
        (look,) = read_looks(session, release_id)[1]["latency"]
    assert (look.interval, look.harm, look.candidate, look.stable) == (None, None, None, None)
