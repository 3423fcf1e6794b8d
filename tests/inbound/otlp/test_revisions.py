"""Spans that name the revision of the route that their arm was drawn by: no arm is taken on trust."""

from typing import Any

import pytest

from softlaunch.core.split import takes_candidate, unit_hash
from softlaunch.gateway.units import unit_of_conversation
from softlaunch.inbound.otlp.attribution import Lacking
from softlaunch.store.database import Database
from tests.inbound.otlp.test_intake import Desk, T
from tests.support.builders import APP, CANDIDATE, STABLE, make_policy
from tests.support.otlp import record_split, span

POLICY = make_policy(shadow=None, sources={"otlp": {}}, gateway={"lease": "10 s"})


def on_candidate(unit: str, weight: float = 50.0) -> bool:
    """Whether a unit is the candidate's."""
    return takes_candidate(unit_hash(unit, "salt"), f"{APP}-1", weight)


USERS = [f"user-{number}" for number in range(200)]
THEIRS = next(user for user in USERS if on_candidate(user))
OTHERS = next(user for user in USERS if not on_candidate(user))


def told(began: float, unit: str, variant: str, revision: Any = 1, **more: Any) -> Any:
    """A span of a call for a unit, by a revision."""
    named = {"softlaunch__unit": unit, "softlaunch__variant": variant, "softlaunch__revision": revision, **more}
    return span(began, **named)


@pytest.fixture
def desk(database: Database) -> Desk:
    """A receiver; the split of revision 1 is 50 %, and has been in force for a minute."""
    record_split(database, 50.0, since=T - 60, policy=POLICY)
    return Desk(database).open()


def weights(desk: Desk) -> list[tuple[str, float]]:
    """Arm and weight of each row."""
    return [(row.arm, row.weight_percent) for row in desk.rows()]


def test_a_side_is_computed_again(desk: Desk) -> None:
    """A candidate that isn't the unit's is refused, and is missing; stable in its place counts for nothing."""
    theirs, stable_instead = told(T - 9, THEIRS, CANDIDATE.short), told(T - 8, THEIRS, STABLE.short)
    others, stolen = told(T - 7, OTHERS, STABLE.short), told(T - 6, OTHERS, CANDIDATE.short)
    verdicts = desk.take(theirs, stable_instead, others, stolen)
    assert weights(desk) == [("candidate", 50.0), ("stable", 0.0), ("stable", 50.0)]
    assert dict(verdicts.lacking) == {(APP, Lacking.SIDE): 1}
    assert desk.drops() == [("unattributed", 1)]


def test_a_value_that_is_kept_counts_by_its_own_split(desk: Desk) -> None:
    """Until the lease and a moment are over; who shows a candidate for longer is logged, and is no evidence."""
    record_split(desk.database, 80.0, since=T + 10, policy=POLICY, revision=2)
    desk.wall.now = T + 40
    desk.take(*(told(T + after, THEIRS, CANDIDATE.short) for after in (11, 24, 26)))
    assert [(row.route_revision, row.weight_percent) for row in desk.rows()] == [(1, 50.0), (1, 50.0), (1, 0.0)]


def test_a_weight_that_is_told_is_never_more_than_the_splits(desk: Desk) -> None:
    """Zero where no candidate could be shown."""
    for weight in (0, 20.0, 100.0):
        desk.take(told(T - 5, OTHERS, STABLE.short, softlaunch__weight_percent=weight))
    assert [weight for _, weight in weights(desk)] == [0.0, 20.0, 50.0]


def test_a_split_just_begun_counts_at_once(desk: Desk) -> None:
    """Whoever names a revision has followed."""
    record_split(desk.database, 80.0, since=T + 10, policy=POLICY, revision=2)
    desk.wall.now = T + 20
    desk.take(told(T + 11, THEIRS, CANDIDATE.short, "2"))
    assert weights(desk) == [("candidate", 80.0)]


def test_a_revision_that_was_not_seen_makes_no_evidence(database: Database) -> None:
    """One from before this receiver is a row; one that is still to come is refused."""
    record_split(database, 50.0, since=T - 60, policy=POLICY)
    record_split(database, 80.0, since=T - 30, policy=POLICY, revision=2)
    desk = Desk(database).open()
    verdicts = desk.take(told(T - 9, THEIRS, CANDIDATE.short, 1), told(T - 8, THEIRS, CANDIDATE.short, 3))
    assert weights(desk) == [("candidate", 0.0)]
    assert dict(verdicts.lacking) == {(APP, Lacking.SPLIT): 1}


def test_conversations_are_known_as_the_config_server_knows_them(database: Database) -> None:
    """Where the policy splits by conversation, a row has the pseudonym that a gateway's would have."""
    policy = make_policy(shadow=None, sources={"otlp": {}}, unit={"source": "conversation"})
    record_split(database, 50.0, since=T - 60, policy=policy)
    desk = Desk(database).open()
    named = unit_of_conversation("c-1")
    arm = CANDIDATE if on_candidate(named) else STABLE
    desk.take(told(T - 9, "c-1", arm.short))
    assert [row.unit for row in desk.rows()] == [unit_hash(named, "salt")]


@pytest.mark.parametrize("revision", [1, None], ids=["with a revision", "without"])
@pytest.mark.parametrize(
    ("only", "told_weights"),
    [
        pytest.param({"values": [THEIRS]}, (None, None), id="units by name"),
        pytest.param({"header": "x-team", "values": ["inside"]}, (100.0, 0.0), id="a header, told by the weights"),
    ],
)
def test_a_stage_for_some_counts_who_is_inside(
    database: Database, only: dict[str, Any], told_weights: tuple[float | None, ...], revision: int | None
) -> None:
    """Outside there is stable alone, which is no evidence."""
    record_split(database, 100.0, since=T - 60, policy=POLICY, only={"header": "", **only})
    desk = Desk(database).open()
    inside, outside = told_weights
    desk.take(
        told(T - 9, THEIRS, CANDIDATE.short, revision, softlaunch__weight_percent=inside),
        told(T - 8, OTHERS, STABLE.short, revision, softlaunch__weight_percent=outside),
    )
    assert weights(desk) == [("candidate", 100.0), ("stable", 0.0)]


def test_a_header_that_nobody_tells_of_makes_no_evidence(database: Database) -> None:
    """Where a header says who is inside, a span has to say it by its weight, or name the revision."""
    record_split(database, 50.0, since=T - 60, policy=POLICY, only={"header": "x-team", "values": ["inside"]})
    desk = Desk(database).open()
    desk.take(told(T - 9, THEIRS, CANDIDATE.short, None), told(T - 8, OTHERS, STABLE.short, None))
    assert weights(desk) == [("candidate", 0.0), ("stable", 0.0)]
