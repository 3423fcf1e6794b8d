"""Drivers and reconcilers killed at seeded instants of many releases: each goes on correctly, and nobody notices."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from softlaunch.core.clock import utc_now
from softlaunch.ledger.releases import Actor
from softlaunch.releases.ending import roll_back
from tests.support.arena import Arena, Instant, arena, whenever
from tests.support.backends import on_postgresql
from tests.support.invariants import no_user_was_failed, served_one_candidate_while_watched, went_the_whole_way

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RATE_RPS = 6.0
WITHIN = {0: 8, 1: 9, 2: 24, 3: 24, 4: 24, 5: 24, 6: 5}
"""How many writes each revision of a release surely lasts: opened, then the five stages, then promoted."""
KILLS = 11
AT_ONCE = 4
"""More drivers starve each other on a small machine: reconcilers take releases over before their drivers die."""
OPERATOR = "app-0"


def instants(seed: int) -> list[Instant]:
    """Seeded instants, every revision among them, no two the same."""
    rng = random.Random(seed)
    everywhere = [(revision, writes) for revision, last in WITHIN.items() for writes in range(last + 1)]
    one_each = [(revision, rng.randint(2, last)) for revision, last in WITHIN.items()]
    others = rng.sample([instant for instant in everywhere if instant not in one_each], KILLS - len(one_each))
    return [Instant(f"app-{number + 1}", *instant) for number, instant in enumerate(one_each + others)]


@on_postgresql
def test_releases_go_on_whenever_their_driver_is_killed(database_url: str, tmp_path: Path) -> None:
    """Eleven drivers die by SIGKILL in the middle of a write, then a reconciler that drives what they left."""
    planned = instants(1 + ("postgres" in database_url))
    with arena(database_url, tmp_path, [OPERATOR, *(one.app for one in planned)], RATE_RPS) as playing:
        for first in range(0, len(planned), AT_ONCE):
            die_at(playing, planned[first : first + AT_ONCE])
        playing.release(Instant(OPERATOR, 3, 12))
        whenever(lambda: playing.died(OPERATOR), "the operator's release has lost its driver")
        take_back(playing)
        kill_a_reconciler(playing)
        whenever(playing.over, "every release is over", 600)
        assert playing.collect_deaths() == KILLS + 1
        never_opened = {one.app for one in planned if one.app not in playing.releases()}
        assert never_opened <= {one.app for one in planned if one.revision == 0}
        for instant in planned:
            if instant.app not in never_opened:
                went_the_whole_way(playing, instant.app)
            served_one_candidate_while_watched(playing, instant.app)
        assert playing.releases()[OPERATOR].state == "rolled_back"
        served_one_candidate_while_watched(playing, OPERATOR)
    no_user_was_failed(playing)


def die_at(playing: Arena, planned: Sequence[Instant]) -> None:
    """Start releases whose drivers die, and wait until they did."""
    for instant in planned:
        playing.release(instant)
    whenever(lambda: all(playing.died(one.app) for one in planned), "the drivers are dead", 180)


def take_back(playing: Arena) -> None:
    """A person rolls back what has just lost its driver, while reconcilers are about to resume it."""
    with playing.database.begin() as session:
        roll_back(session, OPERATOR, Actor("anna", "test"), "it looks odd", utc_now())


def kill_a_reconciler(playing: Arena) -> None:
    """Kill a reconciler that drives something, and start it again."""
    driving: Callable[[], list[str]] = lambda: [  # noqa: E731
        app for process in playing.reconcilers for app in playing.driven_by(process)
    ]
    whenever(lambda: bool(driving()), "a reconciler drives what a victim left")
    process = max(playing.reconcilers, key=lambda one: len(playing.driven_by(one)))
    left = playing.driven_by(process)
    died = process.kill()
    for app in left:
        playing.note_death(app, died)
    process.start()
