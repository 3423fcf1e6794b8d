"""A first variant that never served well is replaced by `apply`; whatever ever served changes by a release alone."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from softlaunch.catalog.apps import Applied, apply, models_to_replace
from softlaunch.catalog.records import ImmutableError, get_variant
from softlaunch.ledger.releases import Actor, Opening, open_release
from softlaunch.ledger.routes import read_route
from softlaunch.policy.load import load_policy
from softlaunch.policy.release import State
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from tests.support.builders import request_row

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RIGHT = "http://127.0.0.1:10/v1"


def _apply(folder: Path, database: Database, *silent: str) -> Applied:
    return apply(folder, database, "ann", clock=lambda: NOON, silent=silent)


def _logged(database: Database, first: Applied, **columns: Any) -> None:
    with database.begin() as session:
        session.add(request_row(variant_digest=first.production, release_id=None, **columns))


def _repair_endpoint(folder: Path) -> None:
    path = folder / "models.yaml"
    text, edits = re.subn(r"https?://[^\s,}']+", RIGHT, path.read_text(), count=1)
    assert edits
    path.write_text(text)


def _name_another_stable(folder: Path) -> None:
    path = folder / "variants.yaml"
    path.write_text(path.read_text().replace("stable: current", "stable: brief"))


def test_a_wrong_first_endpoint_is_repaired_under_its_name(app_folder: Path, database: Database) -> None:
    """Every answer failed, so that the model's record is replaced and its variant serves at once."""
    first = _apply(app_folder, database)
    _logged(database, first, outcome="connect", status=502)
    _repair_endpoint(app_folder)
    repaired = _apply(app_folder, database)
    route = read_route(database, "support-bot")
    assert route is not None
    assert (route.stable.model.endpoint, route.revision, repaired.production) == (RIGHT, 2, route.stable.digest)
    assert any("never gave a good answer" in note for note in repaired.notes)
    assert _apply(app_folder, database).changed is False


def test_another_variant_takes_the_place_of_a_first_that_never_answered(app_folder: Path, database: Database) -> None:
    """What variants.yaml calls stable serves."""
    first = _apply(app_folder, database)
    _logged(database, first, outcome="provider_failed", status=503)
    _name_another_stable(app_folder)
    second = _apply(app_folder, database)
    assert second.production != first.production
    with database.read() as session:
        assert get_variant(session, "support-bot", "production").label == "support@1.1.0 on steady"
        assert get_variant(session, "support-bot", "baseline").digest == second.production


def test_before_any_request_it_takes_an_endpoint_that_is_known_not_to_answer(
    app_folder: Path, database: Database
) -> None:
    """Without that, only a release changes what serves."""
    first = _apply(app_folder, database)
    _name_another_stable(app_folder)
    assert _apply(app_folder, database).production == first.production
    (asked,) = models_to_replace(app_folder, database)
    assert _apply(app_folder, database, asked.digest).production != first.production


@pytest.mark.parametrize("failures", [0, 50])
def test_what_ever_answered_well_is_not_replaced(app_folder: Path, database: Database, failures: int) -> None:
    """Neither its place nor its model's record, however badly it does now."""
    first = _apply(app_folder, database)
    _logged(database, first)
    for number in range(failures):
        _logged(database, first, request_id=f"bot-{number}", outcome="connect", status=502)
    _name_another_stable(app_folder)
    silent = [model.digest for model in models_to_replace(app_folder, database)]
    assert _apply(app_folder, database, *silent).production == first.production
    _repair_endpoint(app_folder)
    with pytest.raises(ImmutableError, match="another endpoint"):
        _apply(app_folder, database, *(model.digest for model in models_to_replace(app_folder, database)))


@pytest.mark.parametrize(
    ("state", "replaced"), [(State.CANARY, False), (State.PROMOTED, False), (State.REJECTED, True)]
)
def test_what_a_release_has_brought_to_users_is_not_replaced(
    app_folder: Path,
    database: Database,
    state: State,
    replaced: bool,  # noqa: FBT001
) -> None:
    """A rejected attempt stands in nobody's way."""
    first = _apply(app_folder, database)
    _logged(database, first, outcome="connect", status=502)
    with database.begin() as session:
        brief = get_variant(session, "support-bot", "brief").digest
        policy = load_policy(app_folder / "softlaunch.yaml")
        opening = Opening("support-bot", first.production, brief, policy, str(app_folder / "softlaunch.yaml"))
        row = session.get_one(ReleaseRow, open_release(session, opening, Actor("ann", "a test"), NOON))
        row.state, row.live_app = state, "support-bot" if state.live else None
    _name_another_stable(app_folder)
    assert (_apply(app_folder, database).production != first.production) is replaced


@pytest.mark.parametrize("answered", [pytest.param(True, id="answered"), pytest.param(False, id="never asked")])
def test_a_model_that_answered_as_a_fallback_stays_as_it_is(
    app_folder: Path, database: Database, *, answered: bool
) -> None:
    """What it answered was by the endpoint on record, whoever's answer it was."""
    variants = app_folder / "variants.yaml"
    variants.write_text(variants.read_text().replace("model: steady, s", "model: steady, fallbacks: [cheap], s"))
    first = _apply(app_folder, database)
    if answered:
        _logged(database, first, answered_by="cheap")
    path = app_folder / "models.yaml"
    path.write_text(path.read_text().replace("name: cheap, provider: rehearsal", "name: cheap, provider: other"))
    (spare,) = models_to_replace(app_folder, database)[:1]
    silent = [one.digest for one in models_to_replace(app_folder, database)]
    assert spare.name == "cheap"
    if answered:
        with pytest.raises(ImmutableError, match="model cheap was recorded"):
            _apply(app_folder, database, *silent)
    else:
        assert "cheap" in _apply(app_folder, database, *silent).models
