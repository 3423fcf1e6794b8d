"""Applying an app's folder, and making candidates."""

from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from sqlmodel import Session, col, select

from softlaunch.catalog import records
from softlaunch.catalog.aliases import MovedBy, move_alias
from softlaunch.catalog.apps import Applied, apply
from softlaunch.catalog.candidates import CandidateError, Change, resolve_candidate
from softlaunch.catalog.records import ImmutableError
from softlaunch.core.documents import DocumentError
from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.releases import Actor, Opening, open_release
from softlaunch.ledger.routes import read_route
from softlaunch.policy.load import load_policy
from softlaunch.store.database import Database
from softlaunch.store.tables import AliasMoveRow, AppRow, PromptRow, VariantRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _apply(folder: Path, database: Database) -> Applied:
    return apply(folder, database, "ann", clock=lambda: NOON)


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def _names(session: Session) -> dict[str, str]:
    return {one.alias: records.get_variant(session, one.app, one.alias).label for one in records.list_aliases(session)}


def test_applying_records_everything(app_folder: Path, database: Database) -> None:
    """A first apply makes the app, its prompts, models and variants, their names, and a route to stable."""
    applied = _apply(app_folder, database)
    assert applied.created
    assert applied.prompts == ("support@1.0.0", "support@1.1.0")
    assert applied.models == ("steady", "cheap")
    assert applied.variants == ("current", "brief")
    with database.read() as session:
        assert _names(session) == {
            "baseline": "support@1.0.0 on steady, temperature 0.2",
            "brief": "support@1.1.0 on steady",
            "current": "support@1.0.0 on steady, temperature 0.2",
            "production": "support@1.0.0 on steady, temperature 0.2",
        }
        moves = session.exec(select(AliasMoveRow.alias, AliasMoveRow.moved_by).order_by(col(AliasMoveRow.alias))).all()
        assert [tuple(move) for move in moves] == [(alias, "ann") for alias in sorted(_names(session))]
    route = read_route(database, "support-bot")
    assert route is not None
    assert (route.revision, route.stable.digest, route.candidate) == (1, applied.production, None)
    assert len(route.serving.salt) == 32


def test_applying_again_changes_nothing(app_folder: Path, database: Database) -> None:
    """Apply is idempotent, down to the app's salt and its route's revision."""
    _apply(app_folder, database)
    first = read_route(database, "support-bot")
    applied = _apply(app_folder, database)
    assert (applied.changed, applied.notes) == (False, ())
    assert read_route(database, "support-bot") == first


def test_an_edited_prompt_asks_for_a_new_version(app_folder: Path, database: Database) -> None:
    """Recorded content never changes: the message says to save a new version, and nothing else was written."""
    _apply(app_folder, database)
    _edit(app_folder / "prompts" / "support" / "v1.0.0.md", "You answer", "You always answer")
    _edit(app_folder / "softlaunch.yaml", "golden_set", "alpha: 0.02\ngolden_set")
    with pytest.raises(ImmutableError, match=r"support@1\.0\.0 was recorded on 2026-03-01 .* save it as a new version"):
        _apply(app_folder, database)
    with database.read() as session:
        assert session.get_one(AppRow, "support-bot").policy["alpha"] == 0.01


def test_an_edited_model_asks_for_a_new_name(app_folder: Path, database: Database) -> None:
    """A model version that changed says which key did, and proposes a name."""
    _apply(app_folder, database)
    _edit(app_folder / "models.yaml", "million: 0.1", "million: 0.2")
    with pytest.raises(ImmutableError, match=r"model cheap .* another input_usd_per_million, .* such as cheap-2"):
        _apply(app_folder, database)


def test_a_variant_that_changed_moves_its_name(app_folder: Path, database: Database) -> None:
    """A name follows the file; what serves changes only by a release, and a note says so."""
    before = _apply(app_folder, database)
    _edit(app_folder / "variants.yaml", "temperature: 0.2", "temperature: 0.7")
    after = _apply(app_folder, database)
    assert (after.aliases, after.production) == (("current",), before.production)
    assert "only a release changes what serves" in after.notes[0]
    with database.read() as session:
        assert _names(session)["current"] == "support@1.0.0 on steady, temperature 0.7"


def test_a_changed_gateway_policy_reaches_the_route(app_folder: Path, database: Database) -> None:
    """What gateways need of the policy travels with a new revision of the route."""
    _apply(app_folder, database)
    _edit(app_folder / "softlaunch.yaml", "golden_set", "gateway: {lease: 30 s}\nunit: {source: header}\ngolden_set")
    applied = _apply(app_folder, database)
    route = read_route(database, "support-bot")
    assert route is not None
    assert (applied.policy_changed, applied.route_revision, route.revision) == (True, 2, 2)
    assert (route.lease_seconds, route.serving.unit.source) == (30, "header")


def test_a_live_release_keeps_the_serving_it_began_with(app_folder: Path, database: Database) -> None:
    """While a release runs its route isn't touched; the note says when the new policy will hold."""
    applied = _apply(app_folder, database)
    with database.begin() as session:
        opening = Opening(
            app="support-bot",
            stable_digest=applied.production,
            candidate_digest=records.get_variant(session, "support-bot", "brief").digest,
            policy=load_policy(app_folder / "softlaunch.yaml"),
            policy_path=str(app_folder / "softlaunch.yaml"),
        )
        open_release(session, opening, Actor("ann", "a test"), NOON)
    before = read_route(database, "support-bot")
    _edit(app_folder / "softlaunch.yaml", "golden_set", "gateway: {fallback: false}\ngolden_set")
    applied = _apply(app_folder, database)
    assert "live release" in applied.notes[0]
    assert read_route(database, "support-bot") == before


def test_a_broken_file_writes_nothing(app_folder: Path, database: Database) -> None:
    """All files are read before the first row is written."""
    _edit(app_folder / "variants.yaml", "brief:", "brief: {}\n  other:")
    with pytest.raises(DocumentError, match=r"variants\.brief\.prompt: is missing"):
        _apply(app_folder, database)
    with database.read() as session:
        assert session.exec(select(PromptRow)).all() == []


def test_a_folder_that_is_no_app(tmp_path: Path, database: Database) -> None:
    """The message says how to make one."""
    with pytest.raises(DocumentError, match="softlaunch init"):
        _apply(tmp_path, database)


def test_two_people_apply_at_once(app_folder: Path, database: Database, database_url: str) -> None:
    """Simultaneous first applies both succeed, and the app has one salt."""
    other = Database(database_url)
    results: list[Applied] = []

    def apply_to(ledger: Database) -> None:
        results.append(_apply(app_folder, ledger))

    threads = [Thread(target=apply_to, args=(one,)) for one in (database, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(one.created for one in results) == [False, True]


def test_two_apps_share_prompts_and_models(app_folder: Path, database: Database) -> None:
    """Prompts, models and variants belong to nobody; aliases and salts belong to an app."""
    _apply(app_folder, database)
    _edit(app_folder / "softlaunch.yaml", "support-bot", "sales-bot")
    applied = _apply(app_folder, database)
    assert (applied.created, applied.prompts, applied.variants) == (True, (), ())
    with database.read() as session:
        apps = {row.name: row.salt for row in session.exec(select(AppRow)).all()}
    assert set(apps) == {"support-bot", "sales-bot"}
    assert len(set(apps.values())) == 2


@pytest.mark.parametrize(
    ("change", "label"),
    [
        pytest.param(Change(prompt="1.1.0"), "support@1.1.0 on steady, temperature 0.2", id="another version"),
        pytest.param(
            Change(prompt="support@1.1.0", model="cheap"), "support@1.1.0 on cheap, temperature 0.2", id="both"
        ),
        pytest.param(Change(sampling={"temperature": "0.9"}), "support@1.0.0 on steady, temperature 0.9", id="hotter"),
        pytest.param(Change(sampling={"temperature": None}), "support@1.0.0 on steady", id="a parameter left out"),
        pytest.param(
            Change(sampling={"max_tokens": 50}),
            "support@1.0.0 on steady, temperature 0.2, max_tokens 50",
            id="more",
        ),
        pytest.param(Change(variant="brief"), "support@1.1.0 on steady", id="a named variant"),
    ],
)
def test_a_candidate_is_production_with_changes(
    app_folder: Path, database: Database, change: Change, label: str
) -> None:
    """What a change doesn't name stays as it is, and the candidate is recorded."""
    _apply(app_folder, database)
    with database.begin() as session:
        base = records.get_variant(session, "support-bot", "production")
        candidate = resolve_candidate(session, "support-bot", base, change, NOON)
    assert candidate.label == label
    with database.read() as session:
        assert session.get_one(VariantRow, candidate.digest).label == label


def test_one_limit_of_the_length_replaces_the_other(app_folder: Path, database: Database) -> None:
    """A candidate never has both spellings: an endpoint would refuse them."""
    _apply(app_folder, database)
    with database.begin() as session:
        base = records.get_variant(session, "support-bot", "production")
        older = resolve_candidate(session, "support-bot", base, Change(sampling={"max_tokens": 50}), NOON)
        newer = Change(sampling={"max_completion_tokens": 9})
        candidate = resolve_candidate(session, "support-bot", older, newer, NOON)
    assert candidate.label == "support@1.0.0 on steady, temperature 0.2, max_completion_tokens 9"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        pytest.param(Change(), CandidateError, "name the candidate: a variant", id="nothing"),
        pytest.param(Change(variant="brief", model="cheap"), CandidateError, "not both", id="a whole one and a change"),
        pytest.param(Change(prompt="2.0.0"), NotFoundError, r"support@1\.0\.0, support@1\.1\.0", id="no such version"),
        pytest.param(Change(model="dear"), NotFoundError, "recorded: cheap, steady", id="no such model"),
        pytest.param(
            Change(variant="nope"), NotFoundError, "baseline, brief, current, production", id="no such variant"
        ),
        pytest.param(Change(sampling={"temperature": 3}), CandidateError, "temperature=3: ", id="too hot"),
        pytest.param(Change(sampling={"heat": 1}), CandidateError, "parameters: temperature, top_p", id="no parameter"),
    ],
)
def test_no_candidate(app_folder: Path, database: Database, change: Change, error: type[Exception], said: str) -> None:
    """What makes no candidate is refused with what exists."""
    _apply(app_folder, database)
    with database.begin() as session:
        base = records.get_variant(session, "support-bot", "production")
        with pytest.raises(error, match=said):
            resolve_candidate(session, "support-bot", base, change, NOON)


def test_move_alias_by_hand_is_seen(app_folder: Path, database: Database) -> None:
    """After a promotion `production` stays where the release put it, whatever the files say."""
    _apply(app_folder, database)
    with database.begin() as session:
        brief = records.get_variant(session, "support-bot", "brief").digest
        move_alias(session, "support-bot", "production", brief, MovedBy("a release"), NOON)
    assert _apply(app_folder, database).production == brief
