"""Conversations that stay on the variant that they began on, whichever gateway they reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select, update

from softlaunch.catalog.records import record_variant
from softlaunch.core.split import takes_candidate, unit_hash
from softlaunch.gateway.pins import Pins
from softlaunch.ledger.pins import Pin, forget_pins, read_retired
from softlaunch.policy.gateway import GatewayPolicy
from softlaunch.policy.units import UnitPolicy
from softlaunch.store.database import Database
from softlaunch.store.tables import PinRow, ReleaseRow, RouteRow
from tests.gateway.worlds import APP, NEVER_TRIPS, QUICK, World, running_world
from tests.support.builders import CANDIDATE, NOON, STABLE, make_policy, make_variant, record_app
from tests.support.servers import FakeModels, running_gateway, wait_until

RELEASE = f"{APP}-1"
LATER = make_variant("1.2.0")
SESSIONS: dict[str, Any] = {"source": "metadata.session_id", "pin": "thread"}


def sessions(takes: float, leaves: float) -> str:
    """A session that is the candidate's at one weight, and not at another."""
    found = (f"session-{number}" for number in range(10_000))
    return next(
        one
        for one in found
        if takes_candidate(unit_hash(one, "pepper"), RELEASE, takes)
        and not takes_candidate(unit_hash(one, "pepper"), RELEASE, leaves)
    )


AMONG_THE_FIRST, AMONG_THE_NEXT, OTHER = sessions(10.0, 0.0), sessions(30.0, 10.0), sessions(50.0, 30.0)


@contextmanager
def world_of(url: str, models: FakeModels, **unit: Any) -> Iterator[World]:
    """An app whose sessions are pinned."""
    policy = UnitPolicy.model_validate({**SESSIONS, **unit})
    with running_world(url, models, unit=policy) as running:
        yield running


@pytest.fixture
def world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """The same, for as long as the policy's default."""
    with world_of(ledger_url, models) as running:
        yield running


@contextmanager
def another_gateway(world: World, url: str) -> Iterator[httpx.Client]:
    """A second gateway on the same ledger."""
    with running_gateway(url, limits=QUICK) as there, httpx.Client(base_url=there, timeout=60) as client:
        yield client


def ask(world: World, session: str, client: httpx.Client | None = None) -> httpx.Response:
    """One request in a session."""
    body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}], "metadata": {"session_id": session}}
    response = (client or world.client).post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response


def model_of(response: httpx.Response) -> str:
    """The model that answered."""
    return str(response.json()["model"]).removesuffix("-resolved")


def promote(world: World) -> None:
    """Let the candidate be stable, as a promotion does."""
    with world.database.begin() as session:
        session.add(
            ReleaseRow(
                id=RELEASE,
                app=APP,
                number=1,
                state="promoted",
                stable_digest=world.stable.digest,
                candidate_digest=world.candidate.digest,
                opened_at=NOON,
                policy={},
                opened_by="anna",
                opened_from="test",
            )
        )
    world.split(0.0, stable_digest=world.candidate.digest, candidate_digest=None, release_id=None)


def undo(world: World) -> None:
    """Take the promotion back."""
    with world.database.begin() as session:
        session.execute(update(ReleaseRow).values(state="rolled_back"))
    world.split(0.0, stable_digest=world.stable.digest, candidate_digest=None, release_id=None)


def pins_in(database: Database) -> int:
    """How many are written."""
    with database.read() as session:
        return int(session.execute(select(func.count()).select_from(PinRow)).scalar_one())


def test_a_conversation_of_stable_stays_as_the_weight_grows(world: World) -> None:
    """It is no evidence then, and a new one goes by the split."""
    with world.watched():
        world.split(10.0, stage=2)
        begun = ask(world, AMONG_THE_NEXT)
        assert model_of(begun) == "stable"
        world.split(50.0, stage=3)
        going_on = ask(world, AMONG_THE_NEXT)
        assert model_of(going_on) == "stable"
        world.split(50.0, stage=3)
        assert world.row_of(begun).release_id == RELEASE
        row = world.row_of(going_on)
        assert (row.release_id, row.weight_percent, row.arm) == (None, 0.0, "stable")
        fresh = ask(world, OTHER)
        assert (model_of(fresh), world.row_of(fresh).release_id) == ("candidate", RELEASE)


def test_conversations_of_an_earlier_split_are_no_evidence_on_either_side(world: World) -> None:
    """Else stable's would be older than the candidate's. Where copies are compared they count as ever."""
    with world.watched():
        world.split(10.0, stage=2)
        old = {"candidate": AMONG_THE_FIRST, "stable": sessions(100.0, 60.0)}
        for name, session in old.items():
            assert model_of(ask(world, session)) == name
        world.split(50.0, stage=3)
        rows = [world.row_of(ask(world, session)) for session in old.values()]
        assert [(row.arm, row.release_id) for row in rows] == [("candidate", None), ("stable", None)]
        world.split(0.0, stage=1, shadow_percent=100.0)
        assert world.row_of(ask(world, old["stable"])).release_id == RELEASE  # its copy is compared with itself


def test_over_a_promotion_and_at_any_gateway(world: World, ledger_url: str) -> None:
    """What began on the former stable goes on there, what began on the candidate too, and what is new is new."""
    with world.watched():
        world.split(50.0, stage=3)
        before = sessions(100.0, 60.0)
        assert model_of(ask(world, before)) == "stable"
        assert model_of(ask(world, AMONG_THE_FIRST)) == "candidate"
    wait_until(lambda: pins_in(world.database) == 2, "both are written")
    promote(world)
    with another_gateway(world, ledger_url) as there:
        for client in (world.client, there):
            went_on = ask(world, before, client)
            assert (model_of(went_on), went_on.headers["x-softlaunch-arm"]) == ("stable", "stable")
            assert went_on.headers["x-softlaunch-variant"] == world.stable.short
            assert model_of(ask(world, AMONG_THE_FIRST, client)) == "candidate"
            assert model_of(ask(world, "another", client)) == "candidate"
    row = world.row_of(went_on)
    assert (row.variant_digest, row.release_id) == (world.stable.digest, None)


def test_what_one_gateway_begins_another_goes_on_with(world: World, ledger_url: str) -> None:
    """It learns of it with its routes."""
    with another_gateway(world, ledger_url) as there, world.watched():
        world.split(10.0, stage=2)
        ask(world, AMONG_THE_NEXT)
        wait_until(lambda: pins_in(world.database) == 1, "it is written")
        world.split(50.0, stage=3)
        revision = world.ask_database("select revision from routes")[0][0]
        told = (f'softlaunch_route_revision{{app="{APP}"}} {revision}.0', f'softlaunch_lease_holds{{app="{APP}"}} 1.0')
        wait_until(
            lambda: all(line in there.get("/metrics").text for line in told), "the other serves by the new split"
        )
        assert model_of(ask(world, OTHER, there)) == "candidate"
        assert model_of(ask(world, AMONG_THE_NEXT, there)) == "stable"


def test_a_rollback_wins_at_once(world: World) -> None:
    """A conversation of the candidate is stable's from then on, also when the candidate comes again."""
    with world.watched():
        world.split(10.0, stage=2)
        assert model_of(ask(world, AMONG_THE_FIRST)) == "candidate"
        world.split(0.0, candidate_digest=None, release_id=None)
        assert model_of(ask(world, AMONG_THE_FIRST)) == "stable"
        world.split(100.0, stage=4, release_id=f"{APP}-2")
        again = ask(world, AMONG_THE_FIRST)
        assert (model_of(again), world.row_of(again).release_id) == ("stable", None)


def test_a_rollback_of_what_was_promoted(world: World) -> None:
    """Nobody stays on it."""
    with world.watched():
        world.split(10.0, stage=2)
        assert model_of(ask(world, AMONG_THE_FIRST)) == "candidate"
    promote(world)
    assert model_of(ask(world, AMONG_THE_FIRST)) == "candidate"
    undo(world)
    assert model_of(ask(world, AMONG_THE_FIRST)) == "stable"


def test_without_a_watcher_a_candidates_conversations_are_stables(world: World) -> None:
    """The lease holds for them as for everybody."""
    with world.watched():
        world.split(10.0, stage=2)
        assert model_of(ask(world, AMONG_THE_FIRST)) == "candidate"
    with world.database.begin() as session:
        session.execute(update(RouteRow).values(lease_seconds=0.1, revision=RouteRow.revision + 1))
    world.wait_for_metric("softlaunch_lease_holds", 0.0)
    assert model_of(ask(world, AMONG_THE_FIRST)) == "stable"


def test_after_its_limit_a_conversation_goes_by_the_split(ledger_url: str, models: FakeModels) -> None:
    """As a new one, which is evidence again."""
    with world_of(ledger_url, models, pin_limit=1.0) as world, world.watched():
        world.split(10.0, stage=2)
        assert model_of(ask(world, AMONG_THE_NEXT)) == "stable"
        world.split(50.0, stage=3)
        wait_until(lambda: model_of(ask(world, AMONG_THE_NEXT)) == "candidate", "its time is over")
        assert world.row_of(ask(world, AMONG_THE_NEXT)).release_id == RELEASE


def test_a_former_stable_that_fails_is_stood_in_for(world: World) -> None:
    """Its provider may have switched it off: stable answers, and the row says so."""
    with world.watched():
        world.split(10.0, stage=2)
        ask(world, AMONG_THE_NEXT)
    promote(world)
    world.models.faults["stable"] = "500"
    response = ask(world, AMONG_THE_NEXT)
    row = world.row_of(response)
    assert (model_of(response), row.outcome, row.fell_back) == ("candidate", "provider_failed", True)
    assert row.variant_digest == world.stable.digest


def test_a_conversation_of_a_user(ledger_url: str, models: FakeModels) -> None:
    """With `redraw: conversation` it is the user's and the first message's."""
    with world_of(ledger_url, models, source="user", redraw="conversation") as world:
        first = model_of(world.ask("ann"))
        promote(world)
        assert (first, model_of(world.ask("ann"))) == ("stable", "stable")
        other = world.ask("ann", messages=[{"role": "user", "content": "Something else"}])
        assert model_of(other) == "candidate"


def test_apps_that_pin_nothing_write_nothing(ledger_url: str, models: FakeModels) -> None:
    """Not even where sessions are named."""
    with running_world(ledger_url, models, gateway=GatewayPolicy(breaker=NEVER_TRIPS)) as world:
        ask(world, "one")
        world.rows(1)
        assert pins_in(world.database) == 0


# What a gateway knows, and what the ledger says


def test_the_newest_conversations_are_known() -> None:
    """So many as there is room for."""
    pins = Pins(most=2)
    for unit in (1, 2, 1, 3):
        pins.note(APP, unit, Pin("d", None, 0, 100.0))
    assert [pins.find(APP, unit, 50.0) is not None for unit in (1, 2, 3)] == [True, False, True]
    assert pins.find(APP, 1, 100.0) is None


def test_pins_are_read_once_and_numbers_may_begin_again(database: Database) -> None:
    """After all were deleted SQLite counts from one again."""
    pins = Pins()

    def write(*units: int) -> None:
        with database.begin() as session:
            for unit in units:
                session.add(PinRow(app=APP, unit=unit, variant_digest=f"d{unit}", expires_at=100.0))

    write(1, 2, 3)
    pins.read(database, 50.0)
    assert [getattr(pins.find(APP, unit, 50.0), "digest", None) for unit in (1, 2, 3)] == ["d1", "d2", "d3"]
    with database.begin() as session:
        session.execute(delete(PinRow))
    pins.read(database, 50.0)
    write(4)
    pins.read(database, 50.0)
    assert pins.find(APP, 4, 50.0) is not None


def test_pins_that_are_over_are_forgotten(database: Database) -> None:
    """By a cleanup, and they aren't read before it."""
    with database.begin() as session:
        session.add(PinRow(app=APP, unit=1, variant_digest="d", expires_at=10.0))
        session.add(PinRow(app=APP, unit=2, variant_digest="d", expires_at=20.0))
    pins = Pins()
    pins.read(database, 15.0)
    assert (pins.find(APP, 1, 5.0), pins.find(APP, 2, 5.0) is not None) == (None, True)
    assert forget_pins(database, 15.0) == 1
    assert pins_in(database) == 1


@pytest.mark.parametrize(
    ("releases", "retired"),
    [
        pytest.param([("promoted", "S", "C")], "S", id="replaced by a promotion"),
        pytest.param([("rolled_back", "S", "C")], "", id="nothing was replaced"),
        pytest.param([("promoted", "S", "C"), ("promoted", "C", "L")], "SC", id="one after the other"),
        pytest.param([("promoted", "S", "C"), ("rolled_back", "C", "L")], "S", id="a later one that was rolled back"),
        pytest.param([("promoted", "S", "C"), ("rolled_back", "C", "S")], "", id="tried again and rolled back"),
        pytest.param([("rolled_back", "S", "C"), ("promoted", "S", "C")], "S", id="promoted at the second try"),
    ],
)
def test_what_promotions_replaced(database: Database, releases: list[tuple[str, str, str]], retired: str) -> None:
    """As long as no rollback after it speaks against it."""
    named = {"S": STABLE, "C": CANDIDATE, "L": LATER}
    record_app(database, make_policy())
    with database.begin() as session:
        record_variant(session, LATER, NOON)
        session.flush()
        for number, (state, stable, candidate) in enumerate(releases, start=1):
            session.add(
                ReleaseRow(
                    id=f"{APP}-{number}",
                    app=APP,
                    number=number,
                    state=state,
                    stable_digest=named[stable].digest,
                    candidate_digest=named[candidate].digest,
                    opened_at=NOON,
                    policy={},
                    opened_by="anna",
                    opened_from="test",
                )
            )
    with database.read() as session:
        assert read_retired(session, APP) == {named[name].digest for name in retired}
