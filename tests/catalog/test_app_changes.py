"""What `diff` foresees: exactly what `apply` then does, and nothing where that does nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.catalog.app_changes import AppChange, ChangeKind, preview
from softlaunch.catalog.apps import apply
from softlaunch.catalog.records import ImmutableError
from softlaunch.ledger.routes import read_route
from softlaunch.store.database import Database
from softlaunch.store.tables import AliasMoveRow, AppRow, ModelRow, PromptRow, RouteRow, VariantRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
APP = "support-bot"
TABLES = (AppRow, AliasMoveRow, ModelRow, PromptRow, RouteRow, VariantRow)


def _everything(database: Database) -> list[str]:
    """All rows that applying may write."""
    with database.read() as session:
        return sorted(repr(row.model_dump()) for table in TABLES for row in session.exec(select(table)))


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def _foreseen(folder: Path, database: Database) -> list[tuple[str, str, str | None, str | None]]:
    """What would change; holds that nothing was written, and that applying then does as much and no more."""
    before = _everything(database)
    found = preview(folder, database)
    assert _everything(database) == before
    applied = apply(folder, database, "ann", clock=lambda: NOON)
    assert applied.changed == found.applied.changed == bool(found.changes)
    assert (applied.prompts, applied.models, applied.aliases) == (
        found.applied.prompts,
        found.applied.models,
        found.applied.aliases,
    )
    after = _everything(database)
    assert not apply(folder, database, "ann", clock=lambda: NOON).changed
    assert _everything(database) == after
    assert preview(folder, database).changes == ()
    return [(change.kind.value, change.name, change.before, change.after) for change in found.changes]


def test_a_new_app_is_foreseen_whole(app_folder: Path, database: Database) -> None:
    """Everything is new, and a second prompt comes after the first."""
    assert _foreseen(app_folder, database) == [
        ("app", APP, None, APP),
        ("prompt", "support@1.0.0", None, "support@1.0.0"),
        ("prompt", "support@1.1.0", "support@1.0.0", "support@1.1.0"),
        ("model", "steady", None, "steady"),
        ("model", "cheap", None, "cheap"),
        ("variant", "current", None, "support@1.0.0 on steady, temperature 0.2"),
        ("variant", "brief", None, "support@1.1.0 on steady"),
    ]


def test_a_policy_is_compared_key_by_key(app_folder: Path, database: Database) -> None:
    """Old and new value, as people write them; what gateways serve by is told besides."""
    _foreseen(app_folder, database)
    window = '{days: [fri], from: "16:00", time_zone: Europe/Berlin}'
    _edit(
        app_folder / "softlaunch.yaml",
        "golden_set",
        f"alpha: 0.02\ngateway: {{lease: 30 s}}\nfreeze: [{window}]\ngolden_set",
    )
    found = _foreseen(app_folder, database)
    assert ("policy", "alpha", "0.01", "0.02") in found
    assert ("policy", "gateway.lease", "10 s", "30 s") in found
    assert ("policy", "freeze[0].from", None, "16:00") in found
    assert found[-1][0] == "gateways"


def test_a_variant_that_moves_shows_what_differs(app_folder: Path, database: Database) -> None:
    """By its label, and by the parts of it; what serves stays, and a note says so."""
    _foreseen(app_folder, database)
    _edit(app_folder / "variants.yaml", "temperature: 0.2", "temperature: 0.7")
    (change,) = preview(app_folder, database).changes
    assert isinstance(change, AppChange)
    assert (change.kind, change.name) == (ChangeKind.VARIANT, "current")
    assert [part.part for part in change.parts] == ["sampling: temperature"]
    assert "only a release changes what serves" in preview(app_folder, database).applied.notes[0]
    assert _foreseen(app_folder, database) == [
        ("variant", "current", "support@1.0.0 on steady, temperature 0.2", "support@1.0.0 on steady, temperature 0.7")
    ]


def test_a_folder_that_moved_is_told_apart_from_a_policy_that_changed(app_folder: Path, database: Database) -> None:
    """Workers find the policy by its path."""
    _foreseen(app_folder, database)
    moved = app_folder.rename(app_folder.with_name("moved"))
    ((kind, name, before, after),) = _foreseen(moved, database)
    assert (kind, name) == ("policy", "the file itself")
    assert before is not None
    assert after == before.replace(str(app_folder), str(moved))


def test_what_apply_refuses_is_refused(app_folder: Path, database: Database) -> None:
    """An edited prompt version can't be recorded; nothing is."""
    _foreseen(app_folder, database)
    before = _everything(database)
    _edit(app_folder / "prompts" / "support" / "v1.0.0.md", "You answer", "You always answer")
    with pytest.raises(ImmutableError, match="save it as a new version"):
        preview(app_folder, database)
    assert _everything(database) == before


def test_gateways_that_serve_by_something_else_are_a_change(app_folder: Path, database: Database) -> None:
    """A release with a policy of its own left what gateways serve by; applying the same folder brings it back."""
    _foreseen(app_folder, database)
    with database.begin() as session:
        row = session.get_one(RouteRow, APP)
        row.serving = {**row.serving, "gateway": {**row.serving["gateway"], "lease": 99.0}}
    assert [kind for kind, *_ in _foreseen(app_folder, database)] == ["gateways"]
    route = read_route(database, APP)
    assert route is not None
    assert route.revision == 2
